#include "smartx/graph.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace smartx {

namespace {

using Edge = std::pair<Item, std::int32_t>;

/// The entries of one row, columns ascending: its own neighbours and itself.
void own_edges(const NeighboursView& neighbours, const std::int32_t* self, Item row,
               std::vector<Edge>& edges) {
  edges.clear();
  const Offset start = Offset{row} * neighbours.k;
  for (Offset e = start; e < start + neighbours.k; ++e)
    edges.emplace_back(neighbours.items[e], neighbours.similarities[e]);
  if (self != nullptr) edges.emplace_back(row, self[row]);
  std::sort(edges.begin(), edges.end());
}

std::size_t place(Offset i) {
  return static_cast<std::size_t>(i);
}

}  // namespace

Graph<std::int32_t> directed(const NeighboursView& neighbours, const std::int32_t* self) {
  Graph<std::int32_t> graph;
  const Offset degree = neighbours.k + (self != nullptr ? 1 : 0);
  graph.indptr.resize(place(Offset{neighbours.n} + 1));
  graph.indices.resize(place(neighbours.n * degree));
  graph.weights.resize(place(neighbours.n * degree));
  std::vector<Edge> edges;
  for (Item i = 0; i < neighbours.n; ++i) {
    own_edges(neighbours, self, i, edges);
    graph.indptr[place(Offset{i} + 1)] = (Offset{i} + 1) * degree;
    for (Offset e = 0; e < degree; ++e) {
      graph.indices[place(i * degree + e)] = edges[place(e)].first;
      graph.weights[place(i * degree + e)] = edges[place(e)].second;
    }
  }
  return graph;
}

Graph<std::int32_t> symmetrised(const NeighboursView& neighbours, const std::int32_t* self) {
  const Graph<std::int32_t> out = directed(neighbours, self);
  const Graph<std::int32_t> in = transposed(out.view());
  Graph<std::int32_t> graph;
  graph.indptr.resize(place(Offset{neighbours.n} + 1));
  // Two rounds over the merged rows: count, then fill, so that nothing is stored twice as large.
  for (int fill = 0; fill < 2; ++fill) {
    Offset end = 0;
    for (Item i = 0; i < neighbours.n; ++i) {
      Offset a = out.indptr[place(i)], b = in.indptr[place(i)];
      const Offset last_a = out.indptr[place(Offset{i} + 1)];
      const Offset last_b = in.indptr[place(Offset{i} + 1)];
      while (a < last_a || b < last_b) {
        const bool take_a =
            b == last_b || (a < last_a && out.indices[place(a)] <= in.indices[place(b)]);
        const Item column = take_a ? out.indices[place(a)] : in.indices[place(b)];
        if (fill == 1) {
          graph.indices[place(end)] = column;
          graph.weights[place(end)] = take_a ? out.weights[place(a)] : in.weights[place(b)];
        }
        ++end;
        if (a < last_a && out.indices[place(a)] == column) ++a;
        if (b < last_b && in.indices[place(b)] == column) ++b;
      }
      graph.indptr[place(Offset{i} + 1)] = end;
    }
    if (fill == 0) {
      graph.indices.resize(place(end));
      graph.weights.resize(place(end));
    }
  }
  return graph;
}

template <class W>
Graph<W> transposed(GraphView<W> graph) {
  Graph<W> out;
  out.indptr.assign(place(Offset{graph.n} + 1), 0);
  out.indices.resize(place(graph.entries()));
  out.weights.resize(place(graph.entries()));
  for (Offset e = 0; e < graph.entries(); ++e) ++out.indptr[place(Offset{graph.indices[e]} + 1)];
  std::partial_sum(out.indptr.begin(), out.indptr.end(), out.indptr.begin());
  std::vector<Offset> next(out.indptr.begin(), out.indptr.end() - 1);
  for (Item v = 0; v < graph.n; ++v) {
    graph.each_neighbour(v, [&](Item u, W weight) {
      const Offset e = next[place(u)]++;
      out.indices[place(e)] = v;
      out.weights[place(e)] = weight;
    });
  }
  return out;
}

template <class W>
std::string graph_fault(GraphView<W> graph, Offset entries) {
  const auto text = [](auto value) { return std::to_string(value); };
  if (graph.indptr[0] != 0) return "indptr[0] is " + text(graph.indptr[0]) + ", not 0";
  for (Item v = 0; v < graph.n; ++v) {
    if (graph.indptr[v + 1] < graph.indptr[v])
      return "indptr falls from " + text(graph.indptr[v]) + " to " + text(graph.indptr[v + 1]) +
             " at row " + text(v);
  }
  if (graph.entries() != entries)
    return "indptr ends at " + text(graph.entries()) + ", but there are " + text(entries) +
           " entries";
  for (Item v = 0; v < graph.n; ++v) {
    for (Offset e = graph.indptr[v]; e < graph.indptr[v + 1]; ++e) {
      const Item column = graph.indices[e];
      if (column < 0 || column >= graph.n)
        return "row " + text(v) + " lists column " + text(column) + " of " + text(graph.n);
      if (e > graph.indptr[v] && column <= graph.indices[e - 1])
        return "row " + text(v) + " lists column " + text(column) + " after column " +
               text(graph.indices[e - 1]) + "; columns must ascend";
      if (!std::isfinite(static_cast<double>(graph.weights[e])))
        return "row " + text(v) + ", column " + text(column) + ": the weight is not finite";
    }
  }
  return "";
}

template Graph<std::int32_t> transposed(GraphView<std::int32_t>);
template Graph<float> transposed(GraphView<float>);
template Graph<double> transposed(GraphView<double>);
template std::string graph_fault(GraphView<std::int32_t>, Offset);
template std::string graph_fault(GraphView<float>, Offset);
template std::string graph_fault(GraphView<double>, Offset);

}  // namespace smartx
