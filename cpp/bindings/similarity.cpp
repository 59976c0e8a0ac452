// Fixed point, exact similarities, nearest neighbours, graphs: what smartx.engine sees of them.
#include <algorithm>
#include <cstring>

#include "arrays.hpp"
#include "faults.hpp"
#include "graphs.hpp"
#include "module.hpp"
#include "smartx/dot.hpp"
#include "smartx/first_where.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/kernel.hpp"
#include "smartx/knn.hpp"
#include "smartx/near_duplicates.hpp"

namespace smartx {

namespace {

/// Where the first item outside 0..n-1 stands; their number where none is.
Offset first_outside(Span<const Item> items, Item n, const Context& context) {
  return first_where(items.size, context, [&](Offset i) { return items[i] < 0 || items[i] >= n; });
}

RowsView rows_view(const py::array& array, const char* name) {
  const auto view = matrix_view<std::int16_t>(array, name);
  return {view.data, checked_size(view.rows, name), checked_size(view.columns, name)};
}

template <class Real>
py::tuple quantize_real(const py::array& values, int threads) {
  const auto view = matrix_view<Real>(values, "X");
  const Item n = checked_size(view.rows, "X"), d = checked_size(view.columns, "X");
  py::array_t<std::int16_t> out({view.rows, view.columns});
  std::int16_t* q = out.mutable_data();
  const RowFaults faults = without_gil(
      threads, "", [&](const Context& context) { return quantize(view.data, n, d, q, context); });
  return py::make_tuple(out, as_tuple(faults));
}

py::tuple quantize_any(const py::array& values, int threads) {
  if (py::isinstance<py::array_t<float>>(values)) return quantize_real<float>(values, threads);
  return quantize_real<double>(values, threads);
}

py::tuple check_rows(const py::array& rows, int threads) {
  const RowsView view = rows_view(rows, "rows");
  return as_tuple(
      without_gil(threads, "", [&](const Context& context) { return check_q12(view, context); }));
}

py::array_t<std::int64_t> sum_of(const py::array& rows, int threads) {
  const RowsView view = rows_view(rows, "rows");
  return hand_over(
      without_gil(threads, "", [&](const Context& context) { return sum_rows(view, context); }));
}

py::array_t<std::int32_t> similarities_of(const py::array& a, const py::array& b,
                                          const std::string& level, int threads) {
  const RowsView down = rows_view(a, "a"), across = rows_view(b, "b");
  if (down.d != across.d) throw std::invalid_argument("a and b have different dimensions");
  auto values = without_gil(
      threads, level, [&](const Context& context) { return similarities(down, across, context); });
  return hand_over(std::move(values), {down.n, across.n});
}

py::array_t<std::int32_t> pairs_of(const py::array& rows, const py::array& i, const py::array& j,
                                   int threads) {
  const RowsView view = rows_view(rows, "rows");
  const auto left = vector_view<Item>(i, "i"), right = vector_view<Item>(j, "j");
  if (left.size != right.size) throw std::invalid_argument("i and j have different lengths");
  std::vector<std::int32_t> out(static_cast<std::size_t>(left.size));
  without_gil(threads, "", [&](const Context& context) {
    const Offset p =
        std::min(first_outside(left, view.n, context), first_outside(right, view.n, context));
    if (p < left.size)
      throw std::out_of_range("pair " + std::to_string(p) + " names a row outside 0.." +
                              std::to_string(view.n - 1));
    pair_similarities(view, left, right, out.data(), context);
    return 0;
  });
  return hand_over(std::move(out));
}

py::tuple neighbours_of(const py::array& rows, Item k, const std::string& level, int threads) {
  const RowsView view = rows_view(rows, "rows");
  Neighbours found = without_gil(
      threads, level, [&](const Context& context) { return exact_neighbours(view, k, context); });
  const std::vector<py::ssize_t> shape{found.n, found.k};
  return py::make_tuple(hand_over(std::move(found.items), shape),
                        hand_over(std::move(found.similarities), shape));
}

template <class W>
py::tuple graph_tuple(Graph<W>&& graph) {
  return py::make_tuple(hand_over(std::move(graph.indptr)), hand_over(std::move(graph.indices)),
                        hand_over(std::move(graph.weights)));
}

py::tuple graph_of_neighbours(const py::array& rows, const py::array& items,
                              const py::array& weights, bool symmetric, bool include_self,
                              int threads) {
  const RowsView view = rows_view(rows, "rows");
  const auto near = matrix_view<Item>(items, "items");
  const auto values = matrix_view<std::int32_t>(weights, "weights");
  if (near.rows != view.n || values.rows != near.rows || values.columns != near.columns)
    throw std::invalid_argument("rows, items and weights do not fit together");
  const NeighboursView lists{view.n, checked_size(near.columns, "items"), near.data, values.data};
  return graph_tuple(without_gil(threads, "", [&](const Context& context) {
    const Span<const Item> listed{near.data, near.rows * near.columns};
    if (first_outside(listed, view.n, context) < listed.size)
      throw std::out_of_range("a neighbour lies outside the rows");
    const std::vector<std::int32_t> self =
        include_self ? own_similarities(view, context) : std::vector<std::int32_t>();
    const std::int32_t* diagonal = include_self ? self.data() : nullptr;
    return symmetric ? symmetrised(lists, diagonal, context) : directed(lists, diagonal, context);
  }));
}

std::string fault_of(const py::array& indptr, const py::array& indices, const py::array& weights,
                     int threads) {
  return by_weight(indptr, indices, weights, [&](auto graph) {
    return without_gil(threads, "", [&](const Context& context) {
      return graph_fault(graph, indices.size(), context);
    });
  });
}

py::tuple transposed_graph(const py::array& indptr, const py::array& indices,
                           const py::array& weights, int threads) {
  return by_weight(indptr, indices, weights, [&](auto graph) {
    return graph_tuple(without_gil(threads, "", [&](const Context& context) {
      check_graph(graph, indices.size(), context);
      return transposed(graph, context);
    }));
  });
}

/// (origin, cosine), both aligned with the order.
py::tuple near_duplicates_of(const py::array& rows, const py::array& sizes, const py::array& order,
                             std::int64_t millionths, const std::string& level, int threads) {
  const RowsView view = rows_view(rows, "rows");
  const auto groups = vector_view<Offset>(sizes, "sizes");
  const auto places = vector_view<Item>(order, "order");
  if (millionths < 1 || millionths > kCosineUnit)
    throw std::invalid_argument("millionths must be 1 to 1000000");
  if (places.size != view.n) throw std::invalid_argument("order does not fit the rows");
  std::vector<Offset> ends;
  for (const Offset size : groups) {
    const Offset start = ends.empty() ? 0 : ends.back();
    if (size < 0 || size > view.n - start) throw std::invalid_argument("sizes do not fit the rows");
    ends.push_back(start + size);
  }
  if ((ends.empty() ? 0 : ends.back()) != view.n)
    throw std::invalid_argument("sizes do not fit the rows");
  NearDuplicates found = without_gil(threads, level, [&](const Context& context) {
    const auto outside = [&](Offset i) {
      const auto group = std::upper_bound(ends.begin(), ends.end(), i) - ends.begin();
      return places[i] < 0 || places[i] >= groups[group];
    };
    if (first_where(view.n, context, outside) < view.n)
      throw std::out_of_range("order names a row outside its group");
    return near_duplicates(view, groups, places, millionths, context);
  });
  return py::make_tuple(hand_over(std::move(found.origin)), hand_over(std::move(found.cosine)));
}

std::int32_t min_of(const py::array& rows, const std::string& level, int threads) {
  const RowsView view = rows_view(rows, "rows");
  return without_gil(threads, level,
                     [&](const Context& context) { return min_similarity(view, context); });
}

/// The dense 16-bit kernel without its padding: for tests.
py::array_t<std::uint16_t> kernel16(const py::array& rows, const std::string& level, int threads) {
  const RowsView view = rows_view(rows, "rows");
  const DenseKernel16 kernel = without_gil(
      threads, level, [&](const Context& context) { return DenseKernel16::build(view, context); });
  py::array_t<std::uint16_t> out({py::ssize_t{view.n}, py::ssize_t{view.n}});
  for (Item i = 0; i < view.n; ++i)
    std::memcpy(out.mutable_data(i, 0), kernel.row(i), sizeof(std::uint16_t) * view.n);
  return out;
}

py::list level_names() {
  py::list names;
  for (const Level& level : levels()) names.append(level.name);
  return names;
}

}  // namespace

void bind_similarity(py::module_& module) {
  using py::arg;
  module.attr("SCALE") = kScale;
  module.attr("MAX_NORM2") = kMaxNorm2;
  module.def("simd_levels", &level_names);
  module.def("simd_level", [] { return std::string(level_named().name); });
  module.def("quantize", &quantize_any, arg("X"), arg("threads"));
  module.def("check_q12", &check_rows, arg("rows"), arg("threads"));
  module.def("sum_rows", &sum_of, arg("rows"), arg("threads") = 1);
  module.def("similarities", &similarities_of, arg("a"), arg("b"), arg("level") = "",
             arg("threads") = 1);
  module.def("pair_similarities", &pairs_of, arg("rows"), arg("i"), arg("j"), arg("threads") = 1);
  module.def("neighbours", &neighbours_of, arg("rows"), arg("k"), arg("level") = "",
             arg("threads") = 1);
  module.def("graph_of_neighbours", &graph_of_neighbours, arg("rows"), arg("items"), arg("weights"),
             arg("symmetric"), arg("include_self"), arg("threads") = 1);
  module.def("graph_fault", &fault_of, arg("indptr"), arg("indices"), arg("weights"),
             arg("threads") = 1);
  module.def("transposed_graph", &transposed_graph, arg("indptr"), arg("indices"), arg("weights"),
             arg("threads") = 1);
  module.attr("COSINE_UNIT") = kCosineUnit;
  module.def("near_duplicates", &near_duplicates_of, arg("rows"), arg("sizes"), arg("order"),
             arg("millionths"), arg("level") = "", arg("threads") = 1);
  module.def("min_similarity", &min_of, arg("rows"), arg("level") = "", arg("threads") = 1);
  module.def("kernel16", &kernel16, arg("rows"), arg("level") = "", arg("threads") = 1);
}

}  // namespace smartx
