#include "smartx/log_det_rows.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/log_det.hpp"
#include "smartx/vector_ops.hpp"

namespace smartx {

namespace {

/// Room of the running thread for `count` values.
double* scratch(Offset count) {
  thread_local std::vector<double> room;
  if (static_cast<Offset>(room.size()) < count) room.resize(static_cast<std::size_t>(count));
  return room.data();
}

}  // namespace

RowsLogDet::RowsLogDet(SomeRows rows, Item additions, double ridge, const Context& context)
    : rows_(rows),
      additions_(additions),
      ridge_(checked_ridge(ridge)),
      diagonal_(ridge * kScale * kScale),
      context_(context),
      inverse_(rows.d, diagonal_, context),
      bounds_(rows, diagonal_, context),
      width_(inverse_.width()),
      epoch_length_(std::max<Item>(rows.d, 16)),
      notes_(static_cast<std::size_t>(rows.n)) {
}

double RowsLogDet::slack() const {
  return std::max(0.0, -natural_log(ridge_));
}

/// Eight products of two values in the time of an operation.
Offset RowsLogDet::work(Item v) const {
  const Note& note = notes_[v];
  if (note.epoch == epoch_) return (pending() - note.seen + 1) * width_ / 8;
  return (pending() + (epoch_ > 0 ? width_ / 2 : 1)) * width_ / 8;
}

void RowsLogDet::widen(Item v, double* out) const noexcept {
  context_.ops().widen(rows_.row(v), rows_.d, out);
  std::fill(out + rows_.d, out + width_, 0.0);
}

/// The form at the start of the epoch, |y|^2 for y = W q.
double RowsLogDet::base_form(Item v, const double* y) const noexcept {
  if (epoch_ == 0) return static_cast<double>(norm2(rows_.row(v), rows_.d)) / diagonal_;
  return fixed_order_sum(width_, [&](Offset i) { return y[i] * y[i]; });
}

double RowsLogDet::gain(Item v) noexcept {
  Note& note = notes_[v];
  if (note.epoch != epoch_ || note.seen != pending()) {
    double* const row = scratch(width_ + std::max<Offset>(epoch_length_, width_));
    double* const products = row + width_;
    widen(v, row);
    if (note.epoch != epoch_) {
      inverse_.multiply(row, 0, width_, products);
      note = {base_form(v, products), epoch_, 0};
    }
    const Item some = pending() - note.seen;
    context_.ops().real_dots(directions_.data() + note.seen * width_, some, width_, width_, row, 1,
                             0, products, 0);
    for (Item r = 0; r < some; ++r) note.form -= products[r] * products[r];
    note.seen = pending();
  }
  return std::max(note.form, 0.0);
}

void RowsLogDet::gains(const Item* items, Item count, double* out) {
  parallel_for(count, context_, [&](Offset i) noexcept { out[i] = gain(items[i]); }, 32);
}

double RowsLogDet::weigh(Item v) {
  if (solved_item_ < 0) solve(v);
  const double form = gain(v);
  bounds_.learn(v, form);
  return form;
}

/// A^-1 q = W^T W q - sum of (q . v) v over the epoch's directions, and the form with it. Parts of
/// the sum are added in one order.
void RowsLogDet::solve(Item v) {
  const Offset blocks = width_ / 8, all = pending();
  double* const row = scratch((2 + 2 * kParts) * width_ + all);
  double *const y = row + width_, *const z = y + width_, *const products = z + 2 * kParts * width_;
  widen(v, row);
  parallel_for(
      2 * kParts, context_,
      [&](Offset i) noexcept {
        double* const own = z + i * width_;
        std::fill_n(own, width_, 0.0);
        if (i % 2 == 0) {  // a row of W is the longer the later it comes
          const auto cut = [&](Offset part) {
            return static_cast<Offset>(static_cast<double>(blocks) *
                                       std::sqrt(static_cast<double>(part) / kParts));
          };
          inverse_.multiply(row, 8 * cut(i / 2), 8 * cut(i / 2 + 1), y, own);
        } else {
          along_directions(row, all * (i / 2) / kParts, all * (i / 2 + 1) / kParts, products, own);
        }
      },
      1, Helpers::kFromEnd);
  Note& note = notes_[v];
  note = {base_form(v, y), epoch_, pending()};
  for (Offset r = 0; r < all; ++r) note.form -= products[r] * products[r];
  solved_item_ = v;
  solved_.assign(z, z + width_);
  constexpr double kOnes[2 * kParts - 1] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
  context_.ops().add_rows(kOnes, z + width_, 2 * kParts - 1, width_, width_, solved_.data());
}

/// Products of a widened row with directions first .. last - 1; takes them off z.
void RowsLogDet::along_directions(const double* row, Offset first, Offset last, double* products,
                                  double* z) const noexcept {
  for (Offset r = first; r < last; r += 8) {
    const Offset some = std::min<Offset>(8, last - r);
    const double* const block = directions_.data() + r * width_;
    context_.ops().real_dots(block, some, width_, width_, row, 1, 0, products + r, 0);
    double taken[8];
    for (Offset k = 0; k < some; ++k) taken[k] = -products[r + k];
    context_.ops().add_rows(taken, block, some, width_, width_, z);
  }
}

void RowsLogDet::add(Item v) {
  if (solved_item_ != v) solve(v);
  solved_item_ = -1;
  const double length = std::sqrt(1.0 + gain(v));
  for (const double value : solved_) directions_.push_back(value / length);
  epoch_rows_.push_back(v);
  bounds_.add(directions_.data() + directions_.size() - static_cast<std::size_t>(width_));
  ++chosen_;
  if (pending() == epoch_length_ && chosen_ < additions_) begin_epoch();
}

/// Starting anew may raise a form by rounding. Factoring perturbs A by less than 4 d 2^-53 times
/// its largest diagonal entry, relative to at least diagonal_; no form exceeds 1.01 / ridge. What
/// an epoch's squares round away is relative to the form that they are taken from.
void RowsLogDet::begin_epoch() {
  inverse_.add(rows_, epoch_rows_);
  const double steps = 8.0 * static_cast<double>(Offset{rows_.d} + epoch_length_);
  risen_ += steps * 0x1p-53 * (1.0 + inverse_.largest() / diagonal_) * (1.01 / ridge_);
  directions_.clear();
  epoch_rows_.clear();
  ++epoch_;
  bounds_.begin_epoch(inverse_);
}

}  // namespace smartx
