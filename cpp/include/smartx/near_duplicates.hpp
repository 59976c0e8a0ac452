// Rows that point nearly where a better-ranked row of their group points.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/dot.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Thresholds are whole millionths of a cosine: 1 .. kCosineUnit.
inline constexpr std::int64_t kCosineUnit = 1'000'000;

/// Aligned with the order of the rows, group after group.
struct NearDuplicates {
  std::vector<Item> origin;  // place in the group's order of the row that stays; -1: this one does
  std::vector<double> cosine;  // of the two rows; 0 where this one stays
};

/// Goes through each group in its order. A row stays unless a row that stayed before it has at
/// least the threshold's cosine with it; the first such row is its origin. Cosines are those of the
/// stored rows, a . b / (|a| |b|), compared exactly, so equal rows have cosine 1 and the answer
/// depends on nothing but rows and order. `order` holds places inside each group; `sizes` sum to
/// rows.n. Work: d multiply-adds for each row and each row that stayed before it. Memory: O(n d).
NearDuplicates near_duplicates(RowsView rows, Span<const Offset> sizes, Span<const Item> order,
                               std::int64_t millionths, const Context& context);

}  // namespace smartx
