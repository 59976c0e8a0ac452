// Upper bounds on the forms of RowsLogDet: float32, many rows at once.
#pragma once

#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/log_det_inverse.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// What RowsLogDet computes in float64, with the same W and v rounded to float32. A product x . q
/// (x a row of W or a v, q a row of the corpus) is off by at most off(x) = steps * 2^-24 * |x| |q|
/// (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), so
///   q^T A^-1 q <= sum of (|w . q| + off)^2 - sum of max(0, |v . q| - off)^2,
/// about 1e-4 above the form. Most rows that lazy greedy asks about need no more than that.
/// Everything is kept times sqrt(diagonal): then no |x| is above 1 but for rounding.
class LogDetBounds {
 public:
  LogDetBounds(SomeRows rows, double diagonal, const Context& context);

  void begin_epoch(const InverseOfRows& inverse);
  /// A v of this epoch, (d,).
  void add(const double* direction);
  /// The form of an item, exact but for the rounding of float64.
  void learn(Item item, double form) {
    notes_[item] = {form * diagonal_ * kRounded, epoch_, pending_};
  }
  /// out[i] is at least the form of items[i], which differ: the same values however they are split
  /// among calls, on any number of threads.
  void bounds(const Item* items, Item count, double* out);

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
  /// Rounds to float32; gives by how much a product with these values can be off.
  double put(const double* values, Offset count, float* out) const;
  /// Where the product with row i of W, or with direction i, is among those of all shares.
  std::size_t place(Offset i) const {
    const Offset block = i / kBlock;
    return static_cast<std::size_t>(block % kShares * room_ + block / kShares * kBlock +
                                    i % kBlock);
  }
  void update(Item* items, Item count);
  /// Brings notes up to date by sums_; the first `old` items start anew.
  void note_sums(const Item* items, Item count, Item old);
  void multiply(const Item* items, Item count, Item old, Offset first_share,
                Offset last_share) noexcept;
  void along_factor(const float* rows, Item count, Offset share, float* products) noexcept;
  void along_directions(const Item* items, const float* rows, Item count, Offset share,
                        float* products) noexcept;

  static constexpr double kRounded = 1.0 + 0x1p-36;  // allows for the rounding of float64 sums
  static constexpr Item kTogether = 32;
  static constexpr int kShares = 4;     // of the blocks of W and of the directions, on any threads:
                                        // who has the same ones again finds them in its cache
  static constexpr Offset kBlock = 16;  // rows of W, or directions
  static constexpr Offset kWorthThreads = 1 << 17;  // products of two values: some 2 us

  /// Of one share: what the products of each item add to its form, and take from it.
  struct alignas(64) Sums {
    double added[kTogether], taken[kTogether];
  };

  SomeRows rows_;
  double diagonal_;
  Context context_;
  Offset width_;  // d, up to a multiple of 16: what is beyond d is zero
  Offset room_;   // products of a share
  std::vector<double> off_factor_, off_directions_;  // (kShares, room): these not above 0
  Item epoch_ = 0, pending_ = 0;
  std::vector<float> factor_, directions_;
  Sums sums_[kShares] = {};
  std::vector<Note> notes_;  // (n,)
};

}  // namespace smartx
