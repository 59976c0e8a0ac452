// Graph cut over Q12 rows by exact greedy, without a kernel and without knowing how negative a
// similarity can be.
#pragma once

#include <vector>

#include "smartx/context.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/turns.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// What greedy (greedy.hpp) chooses over GraphCut<RowsCut> (graph_cut.hpp): the same rows and the
/// same bits of gains, in Q12 units. `candidates`: about how many classes of equal rows an epoch
/// looks at closely; it changes the time alone, 0 stands for a good number.
/// Time about O(c sqrt(c) d + n sqrt(c)) for n rows of c classes, memory O(n) + 16 MiB for
/// 200,000 classes. Throws std::invalid_argument as GraphCut does. `first`: in S from the start.
Selection<double> greedy_cut(RowsView rows, const EqualRows& equal, Turns& turns, double penalty,
                             Item budget, Span<const Item> first, Offset candidates,
                             const Context& context);

/// No set of as many rows is worth more than the chosen one plus this, in Q12 units. The kernel is
/// positive semidefinite, so f over fractional sets is concave and lies below its tangent at S:
/// f(T) <= f(S) + sum of slope_j over T - sum of slope_j over S, slope_j = rowsum_j - 2 penalty *
/// sum over i in S of s(i, j). Holds for any penalty and any sign of similarities.
double cut_gap(RowsView rows, double penalty, const std::vector<Item>& chosen,
               const Context& context);

}  // namespace smartx
