// Set functions and greedy for Python. What would make the core read outside an array, or go on
// without end or sense, is refused here; smartx.engine refuses it earlier, in more words.
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "graphs.hpp"
#include "module.hpp"
#include "smartx/cosine_kernel.hpp"
#include "smartx/dense_head.hpp"
#include "smartx/first_where.hpp"
#include "smartx/select.hpp"

namespace smartx {

namespace {

void require(bool holds, const char* fault) {
  if (!holds) throw std::invalid_argument(fault);
}

/// Calls body(i) for i in 0..n-1: a loop over an array of the caller that Ctrl-C ends.
template <class Body>
void each(Offset n, const Context& context, const Body& body) {
  constexpr Offset kBetweenPolls = 1 << 16;
  for (Offset start = 0; start < n; start += kBetweenPolls) {
    const Offset end = std::min(n, start + kBetweenPolls);
    for (Offset i = start; i < end; ++i) body(i);
    context.check();
  }
}

objective::GraphCut graph_cut(double penalty) {
  require(penalty >= 0.0 && penalty <= 1e12, "penalty: it is not from 0 to 1e12");
  return {penalty};
}

objective::LogDet log_det(double ridge) {
  require(ridge >= 1e-12 && ridge <= 1e12, "ridge: it is not from 1e-12 to 1e12");
  return {ridge};
}

/// A request without its ground set, and the arrays that it points to: copies, so that it outlives
/// those of the caller.
struct HeldRequest {
  Request request;
  std::vector<double> costs;
  std::vector<Item> templates, first;

  /// Throws where it does not fit a ground set of so many rows.
  Request over(Offset rows) const {
    require(request.budget <= rows, "budget: it is outside 0..rows");
    Request own = request;
    if (!templates.empty()) {
      require(static_cast<Offset>(templates.size()) == rows,
              "templates: they and the rows differ in number");
      for (const Item t : templates)
        require(t >= 0 && t < rows, "templates: one is not from 0 to rows - 1");
      own.templates = {templates.data(), rows};
    }
    if (!first.empty()) {
      std::vector<char> seen(static_cast<std::size_t>(rows), 0);
      for (const Item row : first) {
        require(row >= 0 && row < rows && !seen[row], "first: they are not rows without repeats");
        seen[row] = 1;
      }
      own.first = {first.data(), static_cast<Offset>(first.size())};
      require(request.budget <= rows - own.first.size, "budget: it is more than the rows left");
    }
    if (own.costs.of == nullptr) return own;
    require(static_cast<Offset>(costs.size()) == rows, "costs: they and the rows differ in number");
    own.costs.of = costs.data();
    return own;
  }
};

std::vector<Item> items_of(const py::object& array, const char* name) {
  if (array.is_none()) return {};
  const auto values = vector_view<Item>(py::cast<py::array>(array), name);
  return {values.begin(), values.end()};
}

HeldRequest request_of(const Objective& objective, Offset budget, Optimizer optimizer,
                       std::uint64_t seed, double epsilon, bool certificate, Offset candidates,
                       const py::object& costs, double total, const py::object& templates,
                       const py::object& first) {
  require(budget >= 0, "budget: it is outside 0..rows");
  require(epsilon > 0.0 && epsilon < 1.0, "epsilon: it is not above 0 and below 1");
  require(candidates >= 0, "candidates: they are below 0");
  HeldRequest held{{objective,
                    checked_size(budget, "budget"),
                    {optimizer, seed, epsilon},
                    certificate,
                    candidates,
                    {},
                    {},
                    {}},
                   {},
                   items_of(templates, "templates"),
                   items_of(first, "first")};
  require(held.templates.empty() || optimizer == Optimizer::kLazy || optimizer == Optimizer::kNaive,
          "templates: samples are drawn without them");
  require(held.first.empty() || !certificate, "first: there is no certificate with them");
  if (costs.is_none()) return held;
  require(held.templates.empty() && held.first.empty(),
          "costs: they have no meaning with templates or rows that come first");
  require(total >= 0.0 && std::isfinite(total), "total: it is not a finite number from 0 on");
  const auto values = vector_view<double>(py::cast<py::array>(costs), "costs");
  without_gil(1, "", [&](const Context& context) {
    each(values.size, context, [&](Offset i) {
      require(values[i] > 0.0 && std::isfinite(values[i]),
              "costs: one is not a finite number above zero");
    });
    held.costs.assign(values.begin(), values.end());
    return 0;
  });
  held.request.costs = {held.costs.data(), total};
  return held;
}

/// (items, gains, evaluations, gap of the certificate or None)
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

constexpr double kLargestSimilarity = 1e100;

/// Throws where sums or squares of similarities could overflow, or one is no number.
template <class T>
void check_similarities(const T* values, Offset count, const Context& context) {
  if constexpr (std::is_integral_v<T>) return;
  const auto wrong = [&](Offset i) {
    return !(std::abs(static_cast<double>(values[i])) <= kLargestSimilarity);
  };
  require(first_where(count, context, wrong) == count,
          "a similarity is not a number from -1e100 to 1e100");
}

py::tuple maximize_rows(const py::array& rows, const HeldRequest& held, int threads) {
  const RowsView view = rows_view(rows);
  const Request request = held.over(view.n);
  return to_python(
      without_gil(threads, "",
                  [&](const Context& context) { return maximize(view, request, context); }),
      request.certificate);
}

py::tuple maximize_graph(const py::array& indptr, const py::array& indices,
                         const py::array& weights, const HeldRequest& held, int threads) {
  return by_weight(indptr, indices, weights, [&](auto graph) {
    const Request request = held.over(graph.n);
    return to_python(without_gil(threads, "",
                                 [&](const Context& context) {
                                   check_graph(graph, indices.size(), context);
                                   check_similarities(graph.weights, graph.entries(), context);
                                   return maximize(graph, request, context);
                                 }),
                     request.certificate);
  });
}

template <class T>
py::tuple maximize_dense(const py::array& kernel, const HeldRequest& held, int threads) {
  const auto view = matrix_view<T>(kernel, "kernel");
  require(view.rows == view.columns, "kernel: it is not square");
  const Request request = held.over(view.rows);
  const DenseView<T> dense{view.data, checked_size(view.rows, "kernel")};
  return to_python(without_gil(threads, "",
                               [&](const Context& context) {
                                 check_similarities(view.data, view.rows * view.rows, context);
                                 return maximize(dense, request, context);
                               }),
                   request.certificate);
}

py::tuple maximize_kernel(const py::array& kernel, const HeldRequest& held, int threads) {
  if (py::isinstance<py::array_t<float>>(kernel))
    return maximize_dense<float>(kernel, held, threads);
  return maximize_dense<double>(kernel, held, threads);
}

py::tuple maximize_head(const py::array& rows, const py::array& indptr, const py::array& indices,
                        const py::array& weights, Offset candidates, Offset head,
                        const HeldRequest& held, int threads) {
  const RowsView view = rows_view(rows);
  const auto graph = graph_view<std::int32_t>(indptr, indices, weights);
  const Request request = held.over(view.n);
  require(graph.n == view.n && candidates <= view.n && head <= candidates && head >= 0,
          "rows, graph, candidates and head do not fit each other");
  require(std::holds_alternative<objective::FacilityLocation>(request.objective) &&
              request.costs.of == nullptr && !request.certificate,
          "request: only facility location has a head, without costs and certificate");
  return to_python(without_gil(threads, "",
                               [&](const Context& context) {
                                 check_graph(graph, indices.size(), context);
                                 return maximize_with_head(
                                     view, graph, static_cast<Item>(candidates),
                                     static_cast<Item>(head), request, context);
                               }),
                   false);
}

/// A kernel that is to be used up, of at least so many rows and columns.
Kernel16View kernel16_view(const py::array& kernel, Offset rows, Offset columns) {
  const auto view = matrix_view<std::uint16_t>(kernel, "kernel");
  require(view.rows == rows && view.columns >= columns && view.columns % 2 == 0,
          "kernel: it does not fit the rows");
  require(kernel.writeable(), "kernel: it cannot be used up");
  return {const_cast<std::uint16_t*>(view.data), view.columns};
}

void check_ready(const Request& request) {
  require(std::holds_alternative<objective::FacilityLocation>(request.objective) &&
              request.costs.of == nullptr && !request.certificate &&
              (request.options.optimizer == Optimizer::kLazy ||
               request.options.optimizer == Optimizer::kNaive),
          "request: only facility location has a kernel in 16 bits, without costs, certificate "
          "and samples");
}

py::tuple maximize_kernel16(const py::array& kernel, const HeldRequest& held, int threads) {
  const Item rows = checked_size(kernel.ndim() == 2 ? kernel.shape(0) : 0, "kernel");
  const Kernel16View view = kernel16_view(kernel, rows, rows);
  const Request request = held.over(rows);
  check_ready(request);
  return to_python(without_gil(threads, "",
                               [&](const Context& context) {
                                 return maximize_ready(view, rows, request, context);
                               }),
                   false);
}

py::tuple maximize_ready_head(const py::array& rows, const py::array& indptr,
                              const py::array& indices, const py::array& weights,
                              const py::array& proposed, const py::array& kernel, Offset head,
                              const HeldRequest& held, int threads) {
  const RowsView view = rows_view(rows);
  const auto graph = graph_view<std::int32_t>(indptr, indices, weights);
  const auto items = vector_view<Item>(proposed, "proposed");
  const Request request = held.over(view.n);
  check_ready(request);
  require(graph.n == view.n && head >= 0 && head <= view.n,
          "rows, graph and head do not fit each other");
  for (Offset i = 0; i < items.size; ++i)
    require(items[i] >= 0 && items[i] < view.n && (i == 0 || items[i] > items[i - 1]),
            "proposed: they are not ascending rows");
  const Kernel16View ready = kernel16_view(kernel, items.size, view.n);
  return to_python(without_gil(threads, "",
                               [&](const Context& context) {
                                 check_graph(graph, indices.size(), context);
                                 return maximize_with_ready_head(view, graph, items, ready,
                                                                 static_cast<Item>(head), request,
                                                                 context);
                               }),
                   false);
}

py::tuple worth_of(const py::array& rows, const py::array& items, int threads) {
  const RowsView view = rows_view(rows);
  const auto chosen = vector_view<Item>(items, "items");
  const DenseWorth worth = without_gil(threads, "", [&](const Context& context) {
    std::vector<char> seen(static_cast<std::size_t>(view.n), 0);
    each(chosen.size, context, [&](Offset i) {
      const Item item = chosen[i];
      require(item >= 0 && item < view.n && !seen[item],
              "items: they are not rows without repeats");
      seen[item] = 1;
    });
    return dense_worth(view, chosen, context);
  });
  return py::make_tuple(worth.value, worth.gap);
}

py::tuple rank_many(const py::array& rows, const py::array& sizes, const Objective& objective,
                    int threads, Offset memory, const py::object& templates,
                    const py::object& first) {
  const RowsView view = rows_view(rows);
  const auto groups = vector_view<Offset>(sizes, "sizes");
  GroupRows known;
  if (!templates.is_none())
    known.templates = vector_view<Item>(py::cast<py::array>(templates), "templates");
  if (!first.is_none()) known.first = vector_view<bool>(py::cast<py::array>(first), "first");
  require(known.templates.size == (templates.is_none() ? 0 : view.n),
          "templates: they and the rows differ in number");
  require(known.first.size == (first.is_none() ? 0 : view.n),
          "first: they and the rows differ in number");
  GroupOrders orders = without_gil(threads, "", [&](const Context& context) {
    Offset left = view.n;
    each(groups.size, context, [&](Offset g) {
      const Offset size = groups[g];
      require(size >= 0 && size <= left, "sizes: they do not fit the rows");
      for (Offset i = 0; known.templates.size > 0 && i < size; ++i) {
        const Item t = known.templates[view.n - left + i];
        require(t >= 0 && t < size, "templates: one is not below the rows of its group");
      }
      left -= size;
    });
    require(left == 0, "sizes: they do not fit the rows");
    return rank_groups(view, groups, objective, context, memory, known);
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
  using py::arg;
  py::class_<objective::FacilityLocation>(module, "FacilityLocation").def(py::init<>());
  py::class_<objective::GraphCut>(module, "GraphCut").def(py::init(&graph_cut), arg("penalty"));
  py::class_<objective::LogDet>(module, "LogDet").def(py::init(&log_det), arg("ridge"));
  py::enum_<Optimizer>(module, "Optimizer")
      .value("naive", Optimizer::kNaive)
      .value("lazy", Optimizer::kLazy)
      .value("stochastic", Optimizer::kStochastic)
      .value("lazier_than_lazy", Optimizer::kLazierThanLazy);
  py::class_<HeldRequest>(module, "Request")
      .def(py::init(&request_of), arg("objective"), arg("budget"),
           py::arg_v("optimizer", Optimizer::kLazy, "Optimizer.lazy"), arg("seed") = 0,
           arg("epsilon") = 0.01, arg("certificate") = false, arg("candidates") = 0,
           arg("costs") = py::none(), arg("total") = 0.0, arg("templates") = py::none(),
           arg("first") = py::none());
  module.def("maximize_rows", &maximize_rows, arg("rows"), arg("request"), arg("threads") = 1);
  module.def("maximize_graph", &maximize_graph, arg("indptr"), arg("indices"), arg("weights"),
             arg("request"), arg("threads") = 1);
  module.def("maximize_kernel", &maximize_kernel, arg("kernel"), arg("request"),
             arg("threads") = 1);
  module.def("maximize_with_head", &maximize_head, arg("rows"), arg("indptr"), arg("indices"),
             arg("weights"), arg("candidates"), arg("head"), arg("request"), arg("threads") = 1);
  module.def("maximize_kernel16", &maximize_kernel16, arg("kernel"), arg("request"),
             arg("threads") = 1);
  module.def("maximize_with_ready_head", &maximize_ready_head, arg("rows"), arg("indptr"),
             arg("indices"), arg("weights"), arg("proposed"), arg("kernel"), arg("head"),
             arg("request"), arg("threads") = 1);
  module.def("rank_groups", &rank_many, arg("rows"), arg("sizes"), arg("objective"),
             arg("threads") = 1, arg("memory") = kKernelsTogether, arg("templates") = py::none(),
             arg("first") = py::none());
  module.def("dense_worth", &worth_of, arg("rows"), arg("items"), arg("threads") = 1);
  module.def("cosine_kernel", &task_kernel, arg("means"), arg("threads") = 1);
}

}  // namespace smartx
