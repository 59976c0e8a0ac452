#include "smartx/graph.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/first_where.hpp"

namespace smartx {

namespace {

constexpr Offset kRowsAtOnce = 256;

/// indptr[i + 1] holds the size of row i: makes it its end.
void sizes_to_ends(std::vector<Offset>& indptr) {
  for (std::size_t i = 1; i < indptr.size(); ++i) indptr[i] += indptr[i - 1];
}

template <class W>
void make_room(Graph<W>& graph) {
  graph.indices.resize(static_cast<std::size_t>(graph.indptr.back()));
  graph.weights.resize(graph.indices.size());
}

/// Calls put(column, weight) for every column of two rows of ascending columns, each once.
template <class Put>
void merge(const GraphView<std::int32_t>& one, const GraphView<std::int32_t>& two, Item row,
           const Put& put) {
  Offset a = one.indptr[row], b = two.indptr[row];
  const Offset last_a = one.indptr[row + 1], last_b = two.indptr[row + 1];
  while (a < last_a && b < last_b) {  // without a branch on the columns
    const Item from_a = one.indices[a], from_b = two.indices[b];
    const bool take_a = from_a <= from_b, take_b = from_b <= from_a;
    put(take_a ? from_a : from_b, take_a ? one.weights[a] : two.weights[b]);
    a += take_a;
    b += take_b;
  }
  for (; a < last_a; ++a) put(one.indices[a], one.weights[a]);
  for (; b < last_b; ++b) put(two.indices[b], two.weights[b]);
}

}  // namespace

Graph<std::int32_t> directed(const NeighboursView& neighbours, const std::int32_t* self,
                             const Context& context) {
  Graph<std::int32_t> graph;
  const Item k = neighbours.k, degree = k + (self != nullptr ? 1 : 0);
  graph.indptr.resize(static_cast<std::size_t>(neighbours.n) + 1);
  for (Item i = 0; i < neighbours.n; ++i) graph.indptr[i + 1] = (Offset{i} + 1) * degree;
  make_room(graph);
  using Edges = std::vector<std::pair<Item, std::int32_t>>;
  std::vector<Edges> edges_of(static_cast<std::size_t>(context.threads()));
  for (Edges& edges : edges_of) edges.reserve(static_cast<std::size_t>(degree));
  const auto fill = [&](Offset i, int hand) noexcept {
    Edges& edges = edges_of[static_cast<std::size_t>(hand)];
    edges.clear();
    for (Offset e = i * k; e < (i + 1) * k; ++e)
      edges.emplace_back(neighbours.items[e], neighbours.similarities[e]);
    if (self != nullptr) edges.emplace_back(static_cast<Item>(i), self[i]);
    std::sort(edges.begin(), edges.end());
    for (Item e = 0; e < degree; ++e) {
      graph.indices[i * degree + e] = edges[e].first;
      graph.weights[i * degree + e] = edges[e].second;
    }
  };
  parallel_for(neighbours.n, context, fill, kRowsAtOnce);
  return graph;
}

Graph<std::int32_t> symmetrised(const NeighboursView& neighbours, const std::int32_t* self,
                                const Context& context) {
  const Graph<std::int32_t> out = directed(neighbours, self, context);
  const Graph<std::int32_t> in = transposed(out.view(), context);
  Graph<std::int32_t> graph;
  graph.indptr.resize(out.indptr.size());
  // Two rounds over the merged rows: count, then fill, so that nothing is stored twice as large.
  const auto count = [&](Offset i) noexcept {
    Offset size = 0;
    merge(out.view(), in.view(), static_cast<Item>(i), [&](Item, std::int32_t) { ++size; });
    graph.indptr[i + 1] = size;
  };
  parallel_for(neighbours.n, context, count, kRowsAtOnce);
  sizes_to_ends(graph.indptr);
  make_room(graph);
  const auto fill = [&](Offset i) noexcept {
    Offset end = graph.indptr[i];
    merge(out.view(), in.view(), static_cast<Item>(i), [&](Item column, std::int32_t weight) {
      graph.indices[end] = column;
      graph.weights[end++] = weight;
    });
  };
  parallel_for(neighbours.n, context, fill, kRowsAtOnce);
  return graph;
}

template <class W>
Graph<W> transposed(GraphView<W> graph, Item columns, const Context& context) {
  constexpr Item kBetweenChecks = 4096;
  const auto n = static_cast<std::size_t>(columns);
  Graph<W> out;
  out.indptr.assign(n + 1, 0);
  // Parts of the rows, one for each thread, where the entries are worth as many counts. Those of
  // one column go part after part, so its rows ascend.
  const Offset worth = columns == 0 ? 1 : 1 + graph.entries() / (2 * Offset{columns});
  const auto parts = std::min<Offset>(context.threads(), worth);
  const auto first = [&](Offset p) { return static_cast<Item>(graph.n * p / parts); };
  std::vector<std::vector<Offset>> next(static_cast<std::size_t>(parts));  // of a part, by column
  parallel_tasks(parts, context, [&](Offset p, int, const Context& alone) {
    std::vector<Offset>& count = next[p];
    count.assign(n, 0);
    for (Item v = first(p); v < first(p + 1); ++v) {
      if (v % kBetweenChecks == 0) alone.check();
      graph.each_neighbour(v, [&](Item u, W) { ++count[u]; });
    }
  });
  Offset end = 0;
  for (std::size_t u = 0; u < n; ++u) {
    for (std::vector<Offset>& count : next) {
      const Offset here = count[u];
      count[u] = end;
      end += here;
    }
    out.indptr[u + 1] = end;
  }
  make_room(out);
  parallel_tasks(parts, context, [&](Offset p, int, const Context& alone) {
    for (Item v = first(p); v < first(p + 1); ++v) {
      if (v % kBetweenChecks == 0) alone.check();
      graph.each_neighbour(v, [&](Item u, W weight) {
        const Offset e = next[p][u]++;
        out.indices[e] = v;
        out.weights[e] = weight;
      });
    }
  });
  return out;
}

template <class W>
std::string graph_fault(GraphView<W> graph, Item columns, Offset entries, const Context& context) {
  const auto text = [](auto value) { return std::to_string(value); };
  if (graph.indptr[0] != 0) return "indptr[0] is " + text(graph.indptr[0]) + ", not 0";
  const Offset falls = first_where(graph.n, context,
                                   [&](Offset v) { return graph.indptr[v + 1] < graph.indptr[v]; });
  if (falls < graph.n)
    return "indptr falls from " + text(graph.indptr[falls]) + " to " +
           text(graph.indptr[falls + 1]) + " at row " + text(falls);
  if (graph.entries() != entries)
    return "indptr ends at " + text(graph.entries()) + ", but there are " + text(entries) +
           " entries";
  const auto bad = [&](Offset e, Offset start) {
    const Item column = graph.indices[e];
    return column < 0 || column >= columns || (e > start && column <= graph.indices[e - 1]) ||
           !std::isfinite(static_cast<double>(graph.weights[e]));
  };
  const Offset v = first_where(
      graph.n, context,
      [&](Offset row) {
        for (Offset e = graph.indptr[row]; e < graph.indptr[row + 1]; ++e)
          if (bad(e, graph.indptr[row])) return true;
        return false;
      },
      kRowsAtOnce);
  if (v == graph.n) return "";
  Offset e = graph.indptr[v];
  while (!bad(e, graph.indptr[v])) ++e;
  const Item column = graph.indices[e];
  if (column < 0 || column >= columns)
    return "row " + text(v) + " lists column " + text(column) + " of " + text(columns);
  if (e > graph.indptr[v] && column <= graph.indices[e - 1])
    return "row " + text(v) + " lists column " + text(column) + " after column " +
           text(graph.indices[e - 1]) + "; columns must ascend";
  return "row " + text(v) + ", column " + text(column) + ": the weight is not finite";
}

template Graph<std::int32_t> transposed(GraphView<std::int32_t>, Item, const Context&);
template Graph<float> transposed(GraphView<float>, Item, const Context&);
template Graph<double> transposed(GraphView<double>, Item, const Context&);
template std::string graph_fault(GraphView<std::int32_t>, Item, Offset, const Context&);
template std::string graph_fault(GraphView<float>, Item, Offset, const Context&);
template std::string graph_fault(GraphView<double>, Item, Offset, const Context&);

}  // namespace smartx
