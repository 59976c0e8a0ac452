#include "smartx/select.hpp"

#include <cmath>
#include <utility>

#include "smartx/certificate.hpp"
#include "smartx/cut_rows.hpp"
#include "smartx/graph_cut.hpp"
#include "smartx/kernel.hpp"
#include "smartx/log_det.hpp"
#include "smartx/log_det_rows.hpp"
#include "smartx/parallel.hpp"

namespace smartx {

namespace {

constexpr double kCosine = 1.0 / (kScale * kScale);  // one Q12 similarity unit, as a cosine

template <class F>
Chosen solve_costs(F f, const Request& request, const Cancel& cancel) {
  Chosen best;
  double best_value = 0.0;
  Offset evaluations = 0;
  for (const bool by_cost : {true, false}) {
    F own = f;
    CostGreedy<F> greedy(own, request.costs, by_cost, request.options, cancel);
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
      best.gap = cost_gap(own, selection.items, request.costs, request.options, cancel);
    best.items = std::move(selection.items);
    best.gains = std::move(gains);
  }
  best.evaluations = evaluations;
  return best;
}

template <class F>
Chosen solve(F f, const Request& request, const Cancel& cancel) {
  if (request.costs.of != nullptr) return solve_costs(std::move(f), request, cancel);
  Greedy<F> greedy(f, request.options, cancel);
  auto selection = greedy.run(request.budget);
  Chosen chosen;
  chosen.evaluations = selection.evaluations;
  chosen.gains.reserve(selection.gains.size());
  for (const auto gain : selection.gains) chosen.gains.push_back(f.shown(gain));
  if (request.certificate) {
    chosen.gap = certificate_gap(f, selection.items, request.options, cancel, chosen.evaluations);
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

/// Graph cut over rows: lazy greedy runs by epochs, the others as over any set function. A sample
/// of lazier-than-lazy is so cheap to look at whole that bounds would cost more than they save.
Chosen cut_rows(RowsView rows, Request request, const Cancel& cancel) {
  const double penalty = request.objective.parameter;
  Chosen chosen;
  if (request.options.optimizer == Optimizer::kLazy && request.costs.of == nullptr) {
    chosen = shown(greedy_cut(rows, penalty, request.budget, request.candidates,
                              request.options.threads, cancel),
                   kCosine);
  } else {
    Request plain = request;
    plain.certificate = false;
    if (request.options.optimizer == Optimizer::kLazierThanLazy)
      plain.options.optimizer = Optimizer::kStochastic;
    chosen = solve(GraphCut<RowsCut>(RowsCut(rows), penalty, kCosine), plain, cancel);
  }
  if (request.certificate && request.costs.of == nullptr)
    chosen.gap = cut_gap(rows, penalty, chosen.items, request.options.threads, cancel) * kCosine;
  return chosen;
}

constexpr Item kFew = 16;  // rows whose tile would be mostly padding

/// The 16-bit kernel (kernel.hpp) of up to kFew rows, kFew values from row to row.
void few_similarities(RowsView rows, std::uint16_t* values) {
  std::int32_t exact[kFew];
  for (Item i = 0; i < rows.n; ++i) {
    dot_level().row_dots(rows.row(i), rows.data, rows.n, rows.d, exact);
    for (Item j = 0; j < rows.n; ++j)
      values[i * kFew + j] =
          static_cast<std::uint16_t>(std::min((std::max(exact[j], 0) + 128) >> 8, 65535));
  }
}

Chosen choose(RowsView rows, const Request& request, const Cancel& cancel) {
  const double parameter = request.objective.parameter;
  switch (request.objective.kind) {
    case ObjectiveKind::kFacilityLocation: {
      using Use = Kernel16Cover::Use;  // greedy under costs runs twice
      constexpr double kUnit = 256.0 * kCosine;
      if (rows.n <= kFew) {
        std::uint16_t values[kFew * kFew];
        few_similarities(rows, values);
        return solve(
            FacilityLocation<Kernel16Cover>({values, rows.n, rows.n, kFew, Use::kAgain}, kUnit),
            request, cancel);
      }
      auto kernel = DenseKernel16::build(rows, request.options.threads, cancel);
      const Use use = request.costs.of == nullptr ? Use::kOnce : Use::kAgain;
      return solve(FacilityLocation<Kernel16Cover>({kernel, use}, kUnit), request, cancel);
    }
    case ObjectiveKind::kGraphCut:
      return cut_rows(rows, request, cancel);
    case ObjectiveKind::kLogDet:
      return solve(RowsLogDet(rows, parameter, request.options.threads), request, cancel);
  }
  return {};
}

template <class W>
Chosen choose(GraphView<W> graph, const Request& request, const Cancel& cancel) {
  const double unit = std::is_integral_v<W> ? kCosine : 1.0;
  const double parameter = request.objective.parameter;
  switch (request.objective.kind) {
    case ObjectiveKind::kFacilityLocation:
      return solve(FacilityLocation<GraphCover<W>>(GraphCover<W>{graph}, unit), request, cancel);
    case ObjectiveKind::kGraphCut:
      return solve(GraphCut<GraphCutEdges<W>>(GraphCutEdges<W>(graph), parameter, unit), request,
                   cancel);
    case ObjectiveKind::kLogDet:
      return solve(KernelLogDet<GraphEntries<W>>(GraphEntries<W>{graph, unit}, parameter), request,
                   cancel);
  }
  return {};
}

template <class T>
Chosen choose(DenseView<T> kernel, const Request& request, const Cancel& cancel) {
  const double parameter = request.objective.parameter;
  switch (request.objective.kind) {
    case ObjectiveKind::kFacilityLocation:
      return solve(FacilityLocation<DenseCover<T>>(DenseCover<T>{kernel}, 1.0), request, cancel);
    case ObjectiveKind::kGraphCut:
      return solve(GraphCut<DenseCut<T>>(DenseCut<T>(kernel), parameter, 1.0), request, cancel);
    case ObjectiveKind::kLogDet:
      return solve(KernelLogDet<DenseEntries<T>>(DenseEntries<T>{kernel}, parameter), request,
                   cancel);
  }
  return {};
}

/// What every maximize does, on one team.
template <class Source>
Chosen on_team(const Source& source, const Request& request, const Cancel& cancel) {
  Chosen chosen;
  with_team(request.options.threads, [&] { chosen = choose(source, request, cancel); });
  return chosen;
}

}  // namespace

Chosen maximize(RowsView rows, const Request& request, const Cancel& cancel) {
  return on_team(rows, request, cancel);
}

template <class W>
Chosen maximize(GraphView<W> graph, const Request& request, const Cancel& cancel) {
  return on_team(graph, request, cancel);
}

template <class T>
Chosen maximize(DenseView<T> kernel, const Request& request, const Cancel& cancel) {
  return on_team(kernel, request, cancel);
}

template Chosen maximize(GraphView<std::int32_t>, const Request&, const Cancel&);
template Chosen maximize(GraphView<float>, const Request&, const Cancel&);
template Chosen maximize(GraphView<double>, const Request&, const Cancel&);
template Chosen maximize(DenseView<float>, const Request&, const Cancel&);
template Chosen maximize(DenseView<double>, const Request&, const Cancel&);

std::vector<double> cosine_kernel(const double* rows, Item count, Item d, int threads,
                                  const Cancel& cancel) {
  std::vector<double> units(static_cast<std::size_t>(count) * d);
  const auto normalise = [&](Offset i) noexcept {
    const double* row = rows + i * d;
    double largest = 0.0;  // scaling by it first keeps the squares in range
    for (Item c = 0; c < d; ++c) largest = std::max(largest, std::abs(row[c]));
    const double norm = std::sqrt(
        fixed_order_sum(d, [&](Offset c) { return (row[c] / largest) * (row[c] / largest); }));
    for (Item c = 0; c < d; ++c) units[i * d + c] = row[c] / largest / norm;
  };
  parallel_for(count, threads, cancel, normalise);
  std::vector<double> kernel(static_cast<std::size_t>(count) * count);
  const auto one_row = [&](Offset i) noexcept {
    for (Offset j = 0; j < count; ++j) {
      const double* a = units.data() + i * d;
      const double* b = units.data() + j * d;
      kernel[i * count + j] = fixed_order_sum(d, [&](Offset c) { return a[c] * b[c]; });
    }
  };
  parallel_for(count, threads, cancel, one_row);
  return kernel;
}

}  // namespace smartx
