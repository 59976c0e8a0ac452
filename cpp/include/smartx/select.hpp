// From a choice made at run time (which set function, over what) to one run of greedy.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "smartx/facility_location.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/greedy.hpp"
#include "smartx/greedy_costs.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// The set functions, as a choice made at run time.
namespace objective {
struct FacilityLocation {};
struct GraphCut {
  double penalty = 0.4;
};
struct LogDet {
  double ridge = 1.0;
};
}  // namespace objective
using Objective = std::variant<objective::FacilityLocation, objective::GraphCut, objective::LogDet>;

struct Request {
  Objective objective;
  Item budget = 0;
  GreedyOptions options;
  bool certificate = false;
  Offset candidates = 0;  // of graph cut over rows (cut_rows.hpp): changes the time alone
  /// Where costs are given, the budget is not looked at: the better of greedy by gain and greedy by
  /// gain per cost is chosen. Together they are worth at least (1 - 1/e) / 2 of the best for a
  /// monotone submodular f. Source: Leskovec et al., 2007 (CELF).
  Costs costs;
  /// (n,) template of each row, in 0 .. n - 1, each of which keeps to its share (turns.hpp); empty:
  /// any row may be next. Only for lazy and naive, without costs.
  Span<const Item> templates;
  /// Different rows that are in S from the start: they are not chosen, and budget does not count
  /// them. Without costs and certificate.
  Span<const Item> first;
};

/// A selection whose gains are in the units of the set function's definition: similarities of
/// fixed-point rows are cosines again.
struct Chosen {
  std::vector<Item> items;
  std::vector<double> gains;
  Offset evaluations = 0;
  double gap = 0.0;  // certificate_gap, where asked for
};

/// Over Q12 rows. Facility location builds the dense 16-bit kernel (2 n^2 bytes); graph cut and
/// log-det build none.
Chosen maximize(RowsView rows, const Request& request, const Context& context);
/// Over a sparse graph; row v lists what v covers. Graph cut and log-det need it symmetric.
template <class W>
Chosen maximize(GraphView<W> graph, const Request& request, const Context& context);
/// Over a dense kernel; row v lists what v covers. Graph cut and log-det need it symmetric.
template <class T>
Chosen maximize(DenseView<T> kernel, const Request& request, const Context& context);

/// The full greedy order of many groups of adjacent rows: order[i] is a place inside its group.
struct GroupOrders {
  std::vector<Item> order;    // (rows,) group after group, best first
  std::vector<double> gains;  // (rows,)
};

/// What is known of the rows of groups beside their vectors.
struct GroupRows {
  /// (rows,) template of each, from 0 on and below the number of rows of its group: each template
  /// keeps to its share of its group (turns.hpp). Empty: any row may be next.
  Span<const Item> templates;
  /// (rows,) whether a row comes first: before all others of its group, in the order of rows, with
  /// a gain of 0; the others are greedy's choice given these. Empty: none does.
  Span<const bool> first;
};

/// Kernels of groups that are ranked side by side may take so many bytes together.
constexpr Offset kKernelsTogether = Offset{512} << 20;

/// Orders every group by lazy greedy over its own rows: one group on each thread, except those
/// whose kernels would take more than `memory` then, and those too costly for the others to keep up
/// with, which run one after another on all threads. `sizes` sum to rows.n.
GroupOrders rank_groups(RowsView rows, Span<const Offset> sizes, const Objective& objective,
                        const Context& context, Offset memory = kKernelsTogether,
                        const GroupRows& known = {});

}  // namespace smartx
