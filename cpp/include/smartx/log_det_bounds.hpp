// Upper bounds on the forms of RowsLogDet: float32, many rows at once.
#pragma once

#include <vector>

#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// What RowsLogDet computes in float64, with the same W and v rounded to float32. A product x . q
/// (x a row of W or a v, q a row of the corpus) is off by at most `off_` = steps * 2^-24 * |x| |q|
/// (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), so
///   q^T A^-1 q <= sum of (|w . q| + off)^2 - sum of max(0, |v . q| - off)^2,
/// about 1e-4 above the form. Most rows that lazy greedy asks about need no more than that.
/// Everything is kept times sqrt(diagonal): then no |x| is above 1 but for rounding.
class LogDetBounds {
 public:
  LogDetBounds(RowsView rows, double diagonal);

  /// W of a new epoch; row(i) gives i + 1 values.
  template <class RowOf>
  void begin_epoch(const RowOf& row) {
    start_epoch();
    for (Offset i = 0; i < rows_.d; ++i) put(row(i), i + 1, factor_row(i));
  }
  /// A v of this epoch, (d,).
  void add(const double* direction);
  /// out[i] is at least the form of items[i]: items differ, the same values however they are
  /// split among calls.
  void bounds(const Item* items, Item count, double* out) const noexcept;

 private:
  struct Note {
    double form = 0.0;  // bound, times diagonal_
    Item epoch = -1;
    Item seen = 0;  // directions of this epoch that form accounts for
  };

  /// Rows 16 b .. 16 b + 15 of W have 16 (b + 1) values each.
  float* factor_row(Offset i) {
    return factor_.data() + block_start(i / 16) + i % 16 * (16 * (i / 16 + 1));
  }
  static Offset block_start(Offset b) { return 128 * b * (b + 1); }
  void start_epoch();
  /// Rounds to float32 and raises off_ to what products with these values need.
  void put(const double* values, Offset count, float* out);
  void update(const Item* items, Item count) const noexcept;
  void base(const Item* items, Item count, const float* rows, float* y) const noexcept;

  static constexpr Item kGroup = 8, kTogether = 32;

  RowsView rows_;
  double diagonal_;
  Offset width_;      // d, up to a multiple of 16: what is beyond d is zero
  double off_ = 0.0;  // in this epoch
  Item epoch_ = 0, pending_ = 0;
  std::vector<float> factor_, directions_;
  mutable std::vector<Note> notes_;  // (n,)
};

}  // namespace smartx
