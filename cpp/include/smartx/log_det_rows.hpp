// Log-determinant over Q12 rows, without any kernel (log_det.hpp has the one over kernels).
#pragma once

#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/log_det_bounds.hpp"
#include "smartx/log_det_inverse.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Over Q12 rows x = q / kScale: the variance of x given S is ridge * (1 + form(x)),
/// form(x) = q^T A^-1 q, A = ridge * kScale^2 * I + sum of q q^T over S.
/// A new row subtracts one square from every form: form_j -= (q_j . v)^2, v = A^-1 q / sqrt(1 +
/// form), a "direction". A form is brought up to date only when it is asked for, by the directions
/// it has not seen yet. After d additions ("an epoch") A is factored anew from exact integers and
/// forms start again from it, so a form is a function of (S in order, row) alone, errors do not
/// build up, and memory is O(n + d^2).
class RowsLogDet {
 public:
  using Gain = double;  // form
  static constexpr Offset kSweep = 5;

  /// Over distinct rows, of which some may be added more than once: at most `additions` in all.
  /// bounds, gains, weigh and add run on the threads of `context`. Throws std::invalid_argument
  /// where the ridge is not within kLeastRidge .. kMostRidge.
  RowsLogDet(SomeRows rows, Item additions, double ridge, const Context& context);

  Item size() const { return rows_.n; }
  Gain gain(Item v) noexcept;
  /// Upper bounds on gains, in a small part of their time.
  void bounds(const Item* items, Item count, Gain* out) { bounds_.bounds(items, count, out); }
  void gains(const Item* items, Item count, Gain* out);
  /// gain(v), and of the first row since the last addition what add needs.
  Gain weigh(Item v);
  void add(Item v);
  /// Inside an epoch a form never rises; see begin_epoch.
  Gain risen() const { return risen_; }
  double shown(Gain form) const { return natural_log(ridge_ * (1.0 + form)); }
  /// No gain is ever below log(ridge).
  double slack() const;
  Offset work(Item v) const;

 private:
  struct Note {
    double form = 0.0;
    Item epoch = -1;
    Item seen = 0;  // directions of this epoch that form accounts for
  };

  Item pending() const { return static_cast<Item>(epoch_rows_.size()); }
  void widen(Item v, double* out) const noexcept;
  double base_form(Item v, const double* y) const noexcept;
  void solve(Item v);
  void along_directions(const double* row, Offset first, Offset last, double* products,
                        double* z) const noexcept;
  void begin_epoch();

  static constexpr Offset kParts = 4;  // into which long loops are cut, on any number of threads

  SomeRows rows_;
  Item additions_;
  double ridge_, diagonal_;  // diagonal: ridge * kScale^2
  Context context_;
  InverseOfRows inverse_;  // A^-1 at the start of the epoch
  LogDetBounds bounds_;
  Offset width_;  // d, up to a multiple of 8: what is beyond d is zero
  Item epoch_length_;
  std::vector<Note> notes_;  // (n,)
  Item epoch_ = 0, chosen_ = 0;
  double risen_ = 0.0;
  std::vector<Item> epoch_rows_;    // rows added in this epoch
  std::vector<double> directions_;  // of them, width_ values each
  Item solved_item_ = -1;           // the row weighed first since the last addition
  std::vector<double> solved_;      // A^-1 q of it, (width_,)
};

}  // namespace smartx
