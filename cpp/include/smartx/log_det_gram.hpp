// The exact similarities of a few rows of many values, for log-determinant.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Cosines of Q12 rows, a kernel source of KernelLogDet. Rows of the kernel are computed when they
/// are asked for; after some of them all, which takes half as many products and blocks them.
/// Memory: 4 n^2 bytes, which copies share.
class GramEntries {
 public:
  static constexpr bool kSemidefinite = true;

  /// `budget`: how many rows will be prepared, where that is known. All are at once for many.
  GramEntries(SomeRows rows, const Context& context, Item budget = 0);

  /// Whether log-det over n rows of d values works on their kernel: it is no larger than the rows,
  /// and a factor of it smaller than one of the (d, d) matrix that RowsLogDet holds. Where it all
  /// fits in a cache the difference is small, and small sets keep to the arithmetic of large ones.
  static bool pays(Item n, Item d) { return n <= d && Offset{n} * d > Offset{1} << 17; }

  Item size() const { return rows_.n; }
  double at(Item i, Item j) const noexcept { return (i == j ? norms_[i] : row(i)[j]) * kCosine; }
  void prepare(Item i);

 private:
  static constexpr double kCosine = 1.0 / (kScale * kScale);  // a Q12 similarity unit
  std::int32_t* row(Item i) const { return values_.get() + Offset{i} * rows_.n; }
  void fill();

  SomeRows rows_;
  Context context_;
  Item few_;  // rows that take about as long as all of them
  Item prepared_;
  std::vector<std::int32_t> norms_;         // (n,) similarities of rows with themselves
  std::shared_ptr<std::int32_t[]> values_;  // (n, n), of those rows that were asked for
};

}  // namespace smartx
