// Sparse similarity graphs: compressed rows, and what turns neighbour lists into one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/knn.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// A sparse matrix in compressed rows (CSR) that somebody else owns. Row v holds the entries
/// indptr[v] .. indptr[v + 1] - 1 of indices (ascending in a row) and weights.
template <class W>
struct GraphView {
  Item n = 0;
  const Offset* indptr = nullptr;  // (n + 1,)
  const Item* indices = nullptr;
  const W* weights = nullptr;

  Item size() const { return n; }
  Offset entries() const { return indptr[n]; }
  /// Calls f(u, weight) for every entry of row v, in stored order.
  template <class F>
  void each_neighbour(Item v, F f) const {
    for (Offset e = indptr[v]; e < indptr[v + 1]; ++e) f(indices[e], weights[e]);
  }
};

template <class W>
struct Graph {
  std::vector<Offset> indptr;
  std::vector<Item> indices;
  std::vector<W> weights;

  GraphView<W> view() const {
    return {static_cast<Item>(indptr.size()) - 1, indptr.data(), indices.data(), weights.data()};
  }
};

/// The graph in which row i lists its neighbours, columns ascending. Where `self` is given (n
/// values), row i lists itself too, with weight self[i].
Graph<std::int32_t> directed(const NeighboursView& neighbours, const std::int32_t* self,
                             const Context& context);
/// The same, and an edge stands wherever either end lists the other. The weight of (i, j) must be
/// that of (j, i), as it is for similarities.
Graph<std::int32_t> symmetrised(const NeighboursView& neighbours, const std::int32_t* self,
                                const Context& context);

/// Entry (u, v) for every entry (v, u); columns ascend in every row. It has `columns` rows, those
/// of the graph where they are not given.
template <class W>
Graph<W> transposed(GraphView<W> graph, Item columns, const Context& context);
template <class W>
Graph<W> transposed(GraphView<W> graph, const Context& context) {
  return transposed(graph, graph.n, context);
}

/// The first fault of a graph that came from outside, or "" where there is none: indptr not
/// starting at 0, falling, or not ending at `entries`; a column outside 0..columns-1; a column that
/// does not ascend (or repeats) in its row; a weight that is not finite.
template <class W>
std::string graph_fault(GraphView<W> graph, Item columns, Offset entries, const Context& context);
template <class W>
std::string graph_fault(GraphView<W> graph, Offset entries, const Context& context) {
  return graph_fault(graph, graph.n, entries, context);
}

}  // namespace smartx
