// The inverse that log-determinant over rows starts an epoch from.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// A^-1 = W^T W for A = diagonal * I + sum of q q^T over the rows that were added. W is the inverse
/// of A's Cholesky factor, lower triangular, in float64, and made anew from the exact sum; as long
/// as no row was added it is I / sqrt(diagonal) and not kept. Memory: 12 d^2 bytes; 20 d^2 for the
/// time of add.
class InverseOfRows {
 public:
  InverseOfRows(Item d, double diagonal, const Context& context);

  /// d, up to a multiple of 8. What a vector or W has beyond d is zero.
  Offset width() const { return width_; }
  /// Rows of `rows`, which may repeat.
  void add(const SomeRows& rows, const std::vector<Item>& items);
  /// The largest diagonal entry of the sum.
  double largest() const;
  /// W[i][0] .. W[i][i], once a row was added.
  const double* row(Offset i) const { return factor_.data() + place(i); }
  /// y = W q, rows first .. last - 1 of it, and z += W^T y of these where z is wanted. first and
  /// last are multiples of 8. Before a row was added y is not written: |y|^2 is |q|^2 / diagonal.
  void multiply(const double* q, Offset first, Offset last, double* y,
                double* z = nullptr) const noexcept;

 private:
  /// Where row i of W begins: rows 8 b .. 8 b + 7 have 8 (b + 1) values each.
  static Offset place(Offset i) {
    const Offset b = i / 8;
    return 32 * b * (b + 1) + i % 8 * 8 * (b + 1);
  }
  void add_to_gram(const SomeRows& rows, const Item* items, Item count);
  std::vector<double> cholesky() const;
  void invert(const std::vector<double>& lower);

  static constexpr Offset kTogether = 64;  // rows, or columns

  Offset d_, width_;
  double diagonal_;
  Context context_;
  std::vector<std::int64_t> gram_;  // (d, d) sum of q q^T, lower triangle
  std::vector<double> factor_;      // W
};

}  // namespace smartx
