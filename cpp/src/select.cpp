#include "smartx/select.hpp"

#include <cmath>
#include <utility>

#include "smartx/certificate.hpp"
#include "smartx/context.hpp"
#include "smartx/cut_rows.hpp"
#include "smartx/graph_cut.hpp"
#include "smartx/kernel.hpp"
#include "smartx/log_det.hpp"
#include "smartx/log_det_gram.hpp"
#include "smartx/log_det_greedy.hpp"
#include "smartx/log_det_rows.hpp"
#include "smartx/turns.hpp"

namespace smartx {

namespace {

constexpr double kCosine = 1.0 / (kScale * kScale);  // one Q12 similarity unit, as a cosine

template <class F>
Chosen solve_costs(F f, const EqualRows& equal, const Request& request, const Context& context) {
  Chosen best;
  double best_value = 0.0;
  Offset evaluations = 0;
  for (const bool by_cost : {true, false}) {
    F own = f;
    CostGreedy<F> greedy(own, equal, request.costs, by_cost, request.options, context);
    auto selection = greedy.run();
    evaluations += selection.evaluations;
    std::vector<double> gains;
    double value = 0.0;
    for (const auto gain : selection.gains) {
      gains.push_back(own.shown(gain));
      value += gains.back();
    }
    if (!by_cost && value <= best_value) continue;
    best_value = value;
    if (request.certificate)
      best.gap = cost_gap(own, equal, selection.items, request.costs, context);
    best.items = std::move(selection.items);
    best.gains = std::move(gains);
  }
  best.evaluations = evaluations;
  return best;
}

constexpr Item kFewToBound = 64;

template <class F>
Selection<typename F::Gain> greedy(F& f, const EqualRows& equal, const Request& request,
                                   const Context& context) {
  Turns turns = Turns::among(request.templates, request.first);
  if constexpr (has_weigh<F>::value) {  // of a few rows the gains cost less than their bounds
    if (request.options.optimizer == Optimizer::kLazy && equal.rows() > kFewToBound)
      return greedy_log_det(f, equal, turns, request.budget, request.first, context);
  }
  return Greedy<F>(f, equal, turns, request.options, context).run(request.budget, request.first);
}

template <class F>
Chosen solve(F f, const EqualRows& equal, const Request& request, const Context& context) {
  if (request.costs.of != nullptr) return solve_costs(std::move(f), equal, request, context);
  auto selection = greedy(f, equal, request, context);
  Chosen chosen;
  chosen.evaluations = selection.evaluations;
  chosen.gains.reserve(selection.gains.size());
  for (const auto gain : selection.gains) chosen.gains.push_back(f.shown(gain));
  if (request.certificate) {
    chosen.gap = certificate_gap(f, equal, selection.items, context, chosen.evaluations);
  }
  chosen.items = std::move(selection.items);
  return chosen;
}

Chosen shown(Selection<double>&& selection, double unit) {
  Chosen chosen;
  chosen.evaluations = selection.evaluations;
  chosen.gains = std::move(selection.gains);
  for (double& gain : chosen.gains) gain *= unit;
  chosen.items = std::move(selection.items);
  return chosen;
}

// What rows, graphs and kernels have of each set function: choose(source, equal, objective, ...).

constexpr Item kFew = 16;  // rows whose tile would be mostly padding

/// Which rows are equal, and of one template. Of a few it is not worth asking.
EqualRows equal_of(RowsView rows, const Request& request, const Context& context) {
  if (rows.n <= kFew) return EqualRows(rows.n);
  if (request.templates.size == 0) return EqualRows(rows, context, request.costs.of);
  const std::vector<double> marks(request.templates.begin(), request.templates.end());
  return EqualRows(rows, context, marks.data());
}

template <class Source>
EqualRows equal_of(const Source& source, const Request&, const Context&) {
  return EqualRows(source.size());
}

/// The 16-bit kernel (kernel.hpp) of up to kFew rows, kFew values from row to row.
void few_similarities(RowsView rows, std::uint16_t* values, const Context& context) {
  std::int32_t exact[kFew];
  for (Item i = 0; i < rows.n; ++i) {
    context.dot().row_dots(rows.row(i), rows.data, rows.n, rows.d, exact);
    for (Item j = 0; j < rows.n; ++j)
      values[i * kFew + j] =
          static_cast<std::uint16_t>(std::min((std::max(exact[j], 0) + 128) >> 8, 65535));
  }
}

Chosen choose(RowsView rows, const EqualRows& equal, objective::FacilityLocation,
              const Request& request, const Context& context) {
  using Use = Kernel16Cover::Use;
  constexpr double kUnit = Kernel16Cover::kUnit;
  if (rows.n <= kFew) {
    std::uint16_t values[kFew * kFew];
    few_similarities(rows, values, context);
    return solve(FacilityLocation<Kernel16Cover>(
                     {values, rows.n, rows.n, kFew, Use::kAgain, context.ops()}, kUnit, context),
                 equal, request, context);
  }
  auto kernel = DenseKernel16::build(rows, equal, context);
  const Use use =
      request.costs.of == nullptr ? Use::kOnce : Use::kAgain;  // costs: greedy runs twice
  return solve(FacilityLocation<Kernel16Cover>({kernel, use, context.ops()}, kUnit, context), equal,
               request, context);
}

/// Lazy greedy runs by epochs, the others as over any set function. A sample of lazier-than-lazy is
/// so cheap to look at whole that bounds would cost more than they save.
Chosen choose(RowsView rows, const EqualRows& equal, objective::GraphCut cut,
              const Request& request, const Context& context) {
  Chosen chosen;
  if (request.options.optimizer == Optimizer::kLazy && request.costs.of == nullptr) {
    Turns turns = Turns::among(request.templates, request.first);
    chosen = shown(greedy_cut(rows, equal, turns, cut.penalty, request.budget, request.first,
                              request.candidates, context),
                   kCosine);
  } else {
    Request plain = request;
    plain.certificate = false;
    if (request.options.optimizer == Optimizer::kLazierThanLazy)
      plain.options.optimizer = Optimizer::kStochastic;
    chosen = solve(
        GraphCut<RowsCut>(RowsCut(equal.distinct(rows), context), cut.penalty, kCosine, context),
        equal, plain, context);
  }
  if (request.certificate && request.costs.of == nullptr)
    chosen.gap = cut_gap(rows, cut.penalty, chosen.items, context) * kCosine;
  return chosen;
}

/// How many rows S will have.
Item to_add(const Request& request) {
  return request.budget + static_cast<Item>(request.first.size);
}

Chosen choose(RowsView rows, const EqualRows& equal, objective::LogDet log_det,
              const Request& request, const Context& context) {
  if (GramEntries::pays(rows.n, rows.d))
    return solve(
        KernelLogDet<GramEntries>(GramEntries(equal.distinct(rows), context,
                                              request.costs.of == nullptr ? to_add(request) : 0),
                                  log_det.ridge, context),
        equal, request, context);
  return solve(RowsLogDet(equal.distinct(rows), rows.n, log_det.ridge, context), equal, request,
               context);
}

template <class W>
constexpr double kUnitOf = std::is_integral_v<W> ? kCosine : 1.0;

template <class W>
Chosen choose(GraphView<W> graph, const EqualRows& all, objective::FacilityLocation,
              const Request& request, const Context& context) {
  return solve(FacilityLocation<GraphCover<W>>(GraphCover<W>{graph}, kUnitOf<W>, context), all,
               request, context);
}

template <class W>
Chosen choose(GraphView<W> graph, const EqualRows& all, objective::GraphCut cut,
              const Request& request, const Context& context) {
  return solve(
      GraphCut<GraphCutEdges<W>>(GraphCutEdges<W>(graph), cut.penalty, kUnitOf<W>, context), all,
      request, context);
}

template <class W>
Chosen choose(GraphView<W> graph, const EqualRows& all, objective::LogDet log_det,
              const Request& request, const Context& context) {
  return solve(
      KernelLogDet<GraphEntries<W>>(GraphEntries<W>{graph, kUnitOf<W>}, log_det.ridge, context),
      all, request, context);
}

template <class T>
Chosen choose(DenseView<T> kernel, const EqualRows& all, objective::FacilityLocation,
              const Request& request, const Context& context) {
  return solve(FacilityLocation<DenseCover<T>>(DenseCover<T>{kernel}, 1.0, context), all, request,
               context);
}

template <class T>
Chosen choose(DenseView<T> kernel, const EqualRows& all, objective::GraphCut cut,
              const Request& request, const Context& context) {
  return solve(GraphCut<DenseCut<T>>(DenseCut<T>(kernel), cut.penalty, 1.0, context), all, request,
               context);
}

template <class T>
Chosen choose(DenseView<T> kernel, const EqualRows& all, objective::LogDet log_det,
              const Request& request, const Context& context) {
  return solve(KernelLogDet<DenseEntries<T>>(DenseEntries<T>{kernel}, log_det.ridge, context), all,
               request, context);
}

/// What every maximize does, on one team.
template <class Source>
Chosen on_team(const Source& source, const Request& request, const Context& context) {
  Chosen chosen;
  with_team(context, [&](const Context& led) {
    const EqualRows equal = equal_of(source, request, led);
    chosen =
        std::visit([&](auto objective) { return choose(source, equal, objective, request, led); },
                   request.objective);
  });
  return chosen;
}

}  // namespace

Chosen maximize(RowsView rows, const Request& request, const Context& context) {
  return on_team(rows, request, context);
}

template <class W>
Chosen maximize(GraphView<W> graph, const Request& request, const Context& context) {
  return on_team(graph, request, context);
}

template <class T>
Chosen maximize(DenseView<T> kernel, const Request& request, const Context& context) {
  return on_team(kernel, request, context);
}

template Chosen maximize(GraphView<std::int32_t>, const Request&, const Context&);
template Chosen maximize(GraphView<float>, const Request&, const Context&);
template Chosen maximize(GraphView<double>, const Request&, const Context&);
template Chosen maximize(DenseView<float>, const Request&, const Context&);
template Chosen maximize(DenseView<double>, const Request&, const Context&);

}  // namespace smartx
