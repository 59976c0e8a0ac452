// Graphs from Python: three arrays as one checked view.
#pragma once

#include <string>

#include "arrays.hpp"
#include "smartx/graph.hpp"

namespace smartx {

/// Three arrays as a graph whose weights are W, where their types and lengths fit. What they say
/// is not looked at.
template <class W>
GraphView<W> graph_view(const py::array& indptr, const py::array& indices,
                        const py::array& weights) {
  const auto starts = vector_view<Offset>(indptr, "indptr");
  const auto columns = vector_view<Item>(indices, "indices");
  const auto values = vector_view<W>(weights, "weights");
  if (starts.size < 1) throw std::invalid_argument("indptr is empty");
  if (columns.size != values.size)
    throw std::invalid_argument("indices and weights have different lengths");
  return {checked_size(starts.size - 1, "indptr"), starts.data, columns.data, values.data};
}

/// Calls work(view) with the graph's weight type.
template <class Work>
auto by_weight(const py::array& indptr, const py::array& indices, const py::array& weights,
               const Work& work) {
  if (py::isinstance<py::array_t<std::int32_t>>(weights))
    return work(graph_view<std::int32_t>(indptr, indices, weights));
  if (py::isinstance<py::array_t<float>>(weights))
    return work(graph_view<float>(indptr, indices, weights));
  return work(graph_view<double>(indptr, indices, weights));
}

/// Throws where a graph of so many entries has a fault: the core would read outside its arrays.
/// To be called without the GIL.
template <class W>
void check_graph(GraphView<W> graph, Offset entries, const Context& context) {
  const std::string fault = graph_fault(graph, entries, context);
  if (!fault.empty()) throw std::invalid_argument(fault);
}

}  // namespace smartx
