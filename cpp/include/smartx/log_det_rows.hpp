// Log-determinant over Q12 rows, without any kernel (log_det.hpp has the one over kernels).
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/log_det_bounds.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Over Q12 rows x = q / kScale: the variance of x given S is ridge * (1 + form(x)),
/// form(x) = q^T A^-1 q, A = ridge * kScale^2 * I + sum of q q^T over S.
/// A new row subtracts one square from every form: form_j -= (q_j . v)^2, v = A^-1 q / sqrt(1 +
/// form). A form is brought up to date only when it is asked for, by the v it has not seen yet.
/// After d additions ("an epoch") A is factored anew from exact integers and forms start
/// again from it, so a form is a function of (S in order, row) alone, errors do not build up, and
/// memory is O(n + d^2).
class RowsLogDet {
 public:
  using Gain = double;  // form

  /// Over distinct rows, of which some may be added more than once: at most `additions` in all.
  /// bounds, weigh and add run on the threads of `context`.
  RowsLogDet(SomeRows rows, Item additions, double ridge, const Context& context);

  Item size() const { return rows_.n; }
  Gain gain(Item v) const noexcept;
  /// Upper bounds on gains, in a small part of their time.
  void bounds(const Item* items, Item count, Gain* out) { bounds_.bounds(items, count, out); }
  /// gain(v), keeping what add(v) needs.
  Gain weigh(Item v);
  void add(Item v);
  /// Inside an epoch a form never rises; see begin_epoch.
  Gain risen() const { return risen_; }
  double shown(Gain form) const { return natural_log(ridge_ * (1.0 + form)); }
  /// No gain is ever below log(ridge).
  double slack() const;
  /// Some 60 directions of d float32 products, 8 of them in the time of an operation.
  Offset work(Item) const { return width_ * 8; }

 private:
  struct Note {
    double form = 0.0;
    Item epoch = -1;
    Item seen = 0;  // directions of this epoch that form accounts for
  };

  /// What an addition needs of a row at this S.
  struct Weighed {
    Item item = -1;
    double form = 0.0;
    std::vector<double> solved;  // A^-1 q, (width,)
  };

  Item pending() const { return static_cast<Item>(epoch_rows_.size()); }
  /// Where rows 8 b .. 8 b + 7 of W begin: each has 8 (b + 1) values.
  static Offset block_start(Offset b) { return 32 * b * (b + 1); }
  double* factor_row(Offset i) {
    return factor_.data() + block_start(i / 8) + i % 8 * (8 * (i / 8 + 1));
  }

  bool is_fresh(Item v) const { return notes_[v].epoch == epoch_ && notes_[v].seen == pending(); }
  void widen(Item v, double* out) const noexcept;
  /// y = W q of a widened row: blocks first .. last - 1 of 8 values; adds W^T y of these to z.
  void along_factor(const double* row, Offset first, Offset last, double* y,
                    double* z = nullptr) const noexcept;
  /// Products of a widened row with v first .. last - 1 of the epoch; takes them off z.
  void along_directions(const double* row, Offset first, Offset last, double* products,
                        double* z) const noexcept;
  double base_form(Item v, const double* y) const noexcept;
  void solve(Item v);
  std::vector<double> lower_factor() const;
  void invert(const std::vector<double>& lower);
  void add_to_gram();
  void begin_epoch();

  SomeRows rows_;
  Item additions_;
  double ridge_, diagonal_;
  static constexpr Offset kParts = 4;  // into which long loops are cut, on any number of threads

  Context context_;
  Offset width_;  // d, up to a multiple of 8: what is beyond d is zero
  Item epoch_length_;
  mutable std::vector<Note> notes_;  // (n,)
  Item epoch_ = 0, chosen_ = 0;
  double risen_ = 0.0;
  std::vector<Item> epoch_rows_;    // rows added in this epoch
  std::vector<double> directions_;  // their v, width_ values each
  std::vector<std::int64_t> gram_;  // (d, d) sum of q q^T before this epoch, lower triangle
  std::vector<double> factor_;      // W, W A W^T = I at the start of the epoch, lower triangle
  Weighed weighed_;                 // the first row that was weighed since the last addition
  LogDetBounds bounds_;
};

}  // namespace smartx
