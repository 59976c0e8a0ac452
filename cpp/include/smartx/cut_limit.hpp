// What keeps graph cut by epochs (cut_rows.hpp) exact: no row that an epoch does not follow gains
// more than this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace smartx {

/// What some rows say that an epoch does not follow, its outsiders. With g_j the gain of row j at
/// the epoch's start and r_j its row sum: F(t), the largest g_j - t r_j, at some places of t.
struct Outsiders {
  static constexpr int kPlaces = 4;
  static constexpr double kNone = -std::numeric_limits<double>::infinity();

  /// t of place k: 0, 1/2, 1 and 2 steps.
  static double place(int k, double step) { return k == 0 ? 0.0 : step * 0.25 * (1 << k); }

  void see(double gain, double row_sum, double step) noexcept {
    for (int k = 0; k < kPlaces; ++k) high[k] = std::max(high[k], gain - place(k, step) * row_sum);
    least_sum = std::min(least_sum, row_sum);
    most_sum = std::max(most_sum, row_sum);
  }
  void join(const Outsiders& other) noexcept;

  double high[kPlaces] = {kNone, kNone, kNone, kNone};  // F at the places
  double least_sum = -kNone, most_sum = kNone;          // of r
};

/// Let D be the sum of the rows chosen in an epoch, R that of all rows of the ground set, so that
/// r_j = q_j . R. An outsider's gain is g_j - 2 penalty q_j . D. For any t,
///   2 penalty q_j . D = t r_j + q_j . (2 penalty D - t R),
/// and with t = 2 penalty D . R / |R|^2 the vector in brackets is 2 penalty times the part of D at
/// right angles to R, so its product with q_j is at most 2 penalty |q_j'| |D'|, ' meaning that
/// part. Hence no outsider is above F(t) + 2 penalty max |q'| |D'|. F is convex: between two places
/// where it is known it lies below the chord; beyond them its slope is at least -max r and at most
/// -min r. |D|^2 and D . R are exact integers; what doubles round away is far below the padding
/// that is added.
class CutLimit {
 public:
  CutLimit() = default;
  /// `length`: |R|. `across`: no |q'| is larger.
  CutLimit(double penalty, double length, double across)
      : penalty_(penalty), length_(length), across_(across) {}

  /// An epoch begins that is likely to reach t = step. No number that a gain is made of is above
  /// `reach`.
  void start(const Outsiders& outsiders, double step, double reach);

  /// No outsider's gain is above this: D . D and D . R.
  double above(std::int64_t square, std::int64_t with_all) const;

 private:
  double highest(double t) const;

  double penalty_ = 0.0, length_ = 0.0, across_ = 0.0;
  Outsiders outsiders_;
  double step_ = 0.0, reach_ = 0.0;
};

}  // namespace smartx
