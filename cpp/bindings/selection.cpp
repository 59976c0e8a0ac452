// Set functions and greedy for Python. smartx.engine checks values beforehand; here only what would
// make the core read outside an array is checked again.
#include <cstdint>

#include "arrays.hpp"
#include "module.hpp"
#include "smartx/dense_head.hpp"
#include "smartx/select.hpp"

namespace smartx {

namespace {

enum class ObjectiveKind { kFacilityLocation, kGraphCut, kLogDet };

Objective objective_of(ObjectiveKind kind, double parameter) {
  switch (kind) {
    case ObjectiveKind::kFacilityLocation:
      break;
    case ObjectiveKind::kGraphCut:
      return objective::GraphCut{parameter};
    case ObjectiveKind::kLogDet:
      return objective::LogDet{parameter};
  }
  return objective::FacilityLocation{};
}

py::tuple to_python(Chosen&& chosen, bool certificate) {
  py::object gap = py::none();
  if (certificate) gap = py::float_(chosen.gap);
  return py::make_tuple(hand_over(std::move(chosen.items)), hand_over(std::move(chosen.gains)),
                        chosen.evaluations, gap);
}

RowsView rows_view(const py::array& array) {
  const auto rows = matrix_view<std::int16_t>(array, "rows");
  return {rows.data, checked_size(rows.rows, "rows"), checked_size(rows.columns, "columns")};
}

Request request_of(ObjectiveKind kind, double parameter, Offset budget, Offset size,
                   Optimizer optimizer, std::uint64_t seed, double epsilon, bool certificate) {
  if (budget < 0 || budget > size) throw std::invalid_argument("budget is outside 0..rows");
  return {objective_of(kind, parameter),
          static_cast<Item>(budget),
          {optimizer, seed, epsilon},
          certificate,
          0,
          {}};
}

/// Lets rows cost what `costs` says, None or (size,) float64, `total` in all.
void set_costs(Request& request, const py::object& costs, double total, Offset size) {
  if (costs.is_none()) return;
  const auto values = vector_view<double>(py::cast<py::array>(costs), "costs");
  if (values.size != size) throw std::invalid_argument("costs and rows differ in number");
  for (const double cost : values) {
    if (!(cost > 0.0)) throw std::invalid_argument("a cost is not above zero");
  }
  request.costs = {values.data, total};
}

template <class Source>
py::tuple run(const Source& source, const Request& request, int threads) {
  return to_python(
      without_gil(threads, "",
                  [&](const Context& context) { return maximize(source, request, context); }),
      request.certificate);
}

py::tuple maximize_rows(const py::array& rows, ObjectiveKind kind, double parameter, Offset budget,
                        Optimizer optimizer, std::uint64_t seed, double epsilon, int threads,
                        bool certificate, Offset candidates, const py::object& costs,
                        double total) {
  const RowsView view = rows_view(rows);
  Request request =
      request_of(kind, parameter, budget, view.n, optimizer, seed, epsilon, certificate);
  request.candidates = candidates;
  set_costs(request, costs, total, view.n);
  return run(view, request, threads);
}

template <class W>
py::tuple maximize_edges(const py::array& indptr, const py::array& indices,
                         const py::array& weights, const Request& request, int threads) {
  const auto starts = vector_view<Offset>(indptr, "indptr");
  const auto columns = vector_view<Item>(indices, "indices");
  const auto values = vector_view<W>(weights, "weights");
  const GraphView<W> graph{checked_size(starts.size - 1, "indptr"), starts.data, columns.data,
                           values.data};
  if (starts[0] != 0 || starts[starts.size - 1] != columns.size || columns.size != values.size) {
    throw std::invalid_argument("indptr, indices and weights do not fit each other");
  }
  return run(graph, request, threads);
}

py::tuple maximize_graph(const py::array& indptr, const py::array& indices,
                         const py::array& weights, ObjectiveKind kind, double parameter,
                         Offset budget, Optimizer optimizer, std::uint64_t seed, double epsilon,
                         int threads, bool certificate, const py::object& costs, double total) {
  if (indptr.size() < 1) throw std::invalid_argument("indptr is empty");
  Request request =
      request_of(kind, parameter, budget, indptr.size() - 1, optimizer, seed, epsilon, certificate);
  set_costs(request, costs, total, indptr.size() - 1);
  if (py::isinstance<py::array_t<std::int32_t>>(weights)) {
    return maximize_edges<std::int32_t>(indptr, indices, weights, request, threads);
  }
  if (py::isinstance<py::array_t<float>>(weights)) {
    return maximize_edges<float>(indptr, indices, weights, request, threads);
  }
  return maximize_edges<double>(indptr, indices, weights, request, threads);
}

/// Throws unless the three arrays are a graph: what the core would read outside of otherwise.
GraphView<std::int32_t> checked_graph(const py::array& indptr, const py::array& indices,
                                      const py::array& weights) {
  const auto starts = vector_view<Offset>(indptr, "indptr");
  const auto columns = vector_view<Item>(indices, "indices");
  const auto values = vector_view<std::int32_t>(weights, "weights");
  if (starts.size < 1 || columns.size != values.size)
    throw std::invalid_argument("indptr, indices and weights do not fit each other");
  const GraphView<std::int32_t> graph{checked_size(starts.size - 1, "indptr"), starts.data,
                                      columns.data, values.data};
  const std::string fault = graph_fault(graph, columns.size);
  if (!fault.empty()) throw std::invalid_argument(fault);
  return graph;
}

py::tuple maximize_head(const py::array& rows, const py::array& indptr, const py::array& indices,
                        const py::array& weights, Offset candidates, Offset head, Offset budget,
                        Optimizer optimizer, int threads) {
  const RowsView view = rows_view(rows);
  const auto graph = checked_graph(indptr, indices, weights);
  const Request request =
      request_of(ObjectiveKind::kFacilityLocation, 0.0, budget, view.n, optimizer, 0, 0.5, false);
  if (graph.n != view.n || candidates > view.n || head > candidates || head < 0)
    throw std::invalid_argument("rows, graph, candidates and head do not fit each other");
  return to_python(without_gil(threads, "",
                               [&](const Context& context) {
                                 return maximize_with_head(
                                     view, graph, static_cast<Item>(candidates),
                                     static_cast<Item>(head), request, context);
                               }),
                   false);
}

py::tuple worth_of(const py::array& rows, const py::array& items, int threads) {
  const RowsView view = rows_view(rows);
  const auto chosen = vector_view<Item>(items, "items");
  std::vector<char> seen(static_cast<std::size_t>(view.n), 0);
  for (const Item item : chosen) {
    if (item < 0 || item >= view.n || seen[item])
      throw std::out_of_range("items are not rows without repeats");
    seen[item] = 1;
  }
  const DenseWorth worth = without_gil(
      threads, "", [&](const Context& context) { return dense_worth(view, chosen, context); });
  return py::make_tuple(worth.value, worth.gap);
}

template <class T>
py::tuple maximize_dense(const py::array& kernel, const Request& request, int threads) {
  const auto view = matrix_view<T>(kernel, "kernel");
  if (view.rows != view.columns) throw std::invalid_argument("the kernel is not square");
  return run(DenseView<T>{view.data, checked_size(view.rows, "kernel")}, request, threads);
}

py::tuple maximize_kernel(const py::array& kernel, ObjectiveKind kind, double parameter,
                          Offset budget, Optimizer optimizer, std::uint64_t seed, double epsilon,
                          int threads, bool certificate, const py::object& costs, double total) {
  if (kernel.ndim() != 2) throw std::invalid_argument("the kernel is not two-dimensional");
  Request request =
      request_of(kind, parameter, budget, kernel.shape(0), optimizer, seed, epsilon, certificate);
  set_costs(request, costs, total, kernel.shape(0));
  if (py::isinstance<py::array_t<float>>(kernel))
    return maximize_dense<float>(kernel, request, threads);
  return maximize_dense<double>(kernel, request, threads);
}

py::tuple rank_many(const py::array& rows, const py::array& sizes, ObjectiveKind kind,
                    double parameter, int threads, Offset memory) {
  const RowsView view = rows_view(rows);
  const auto groups = vector_view<Offset>(sizes, "sizes");
  Offset total = 0;
  for (const Offset size : groups) {
    if (size < 0 || size > view.n - total) throw std::invalid_argument("sizes do not fit the rows");
    total += size;
  }
  if (total != view.n) throw std::invalid_argument("sizes do not fit the rows");
  GroupOrders orders = without_gil(threads, "", [&](const Context& context) {
    return rank_groups(view, groups, objective_of(kind, parameter), context, memory);
  });
  return py::make_tuple(hand_over(std::move(orders.order)), hand_over(std::move(orders.gains)));
}

py::array_t<double> task_kernel(const py::array& means, int threads) {
  const auto view = matrix_view<double>(means, "means");
  const Item count = checked_size(view.rows, "means");
  const Item d = checked_size(view.columns, "columns");
  return hand_over(without_gil(threads, "",
                               [&](const Context& context) {
                                 return cosine_kernel(view.data, count, d, context);
                               }),
                   {count, count});
}

}  // namespace

void bind_selection(py::module_& module) {
  py::enum_<ObjectiveKind>(module, "ObjectiveKind")
      .value("facility_location", ObjectiveKind::kFacilityLocation)
      .value("graph_cut", ObjectiveKind::kGraphCut)
      .value("log_det", ObjectiveKind::kLogDet);
  py::enum_<Optimizer>(module, "Optimizer")
      .value("naive", Optimizer::kNaive)
      .value("lazy", Optimizer::kLazy)
      .value("stochastic", Optimizer::kStochastic)
      .value("lazier_than_lazy", Optimizer::kLazierThanLazy);
  module.def("maximize_rows", &maximize_rows, py::arg("rows").noconvert(), py::arg("kind"),
             py::arg("parameter"), py::arg("budget"), py::arg("optimizer"), py::arg("seed"),
             py::arg("epsilon"), py::arg("threads"), py::arg("certificate"),
             py::arg("candidates") = 0, py::arg("costs") = py::none(), py::arg("total") = 0.0);
  module.def("maximize_graph", &maximize_graph, py::arg("indptr").noconvert(),
             py::arg("indices").noconvert(), py::arg("weights").noconvert(), py::arg("kind"),
             py::arg("parameter"), py::arg("budget"), py::arg("optimizer"), py::arg("seed"),
             py::arg("epsilon"), py::arg("threads"), py::arg("certificate"),
             py::arg("costs") = py::none(), py::arg("total") = 0.0);
  module.def("maximize_kernel", &maximize_kernel, py::arg("kernel").noconvert(), py::arg("kind"),
             py::arg("parameter"), py::arg("budget"), py::arg("optimizer"), py::arg("seed"),
             py::arg("epsilon"), py::arg("threads"), py::arg("certificate"),
             py::arg("costs") = py::none(), py::arg("total") = 0.0);
  module.def("rank_groups", &rank_many, py::arg("rows").noconvert(), py::arg("sizes").noconvert(),
             py::arg("kind"), py::arg("parameter"), py::arg("threads"), py::arg("memory"));
  module.def("maximize_with_head", &maximize_head, py::arg("rows").noconvert(),
             py::arg("indptr").noconvert(), py::arg("indices").noconvert(),
             py::arg("weights").noconvert(), py::arg("candidates"), py::arg("head"),
             py::arg("budget"), py::arg("optimizer"), py::arg("threads"));
  module.def("dense_worth", &worth_of, py::arg("rows").noconvert(), py::arg("items").noconvert(),
             py::arg("threads"));
  module.def("cosine_kernel", &task_kernel, py::arg("means").noconvert(), py::arg("threads"));
}

}  // namespace smartx
