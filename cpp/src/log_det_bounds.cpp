#include "smartx/log_det_bounds.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/parallel.hpp"
#include "smartx/real.hpp"
#include "smartx/vector_ops.hpp"

namespace smartx {

namespace {

/// Room of the running thread for `count` values.
float* scratch(Offset count) {
  thread_local std::vector<float> room;
  if (static_cast<Offset>(room.size()) < count) room.resize(static_cast<std::size_t>(count));
  return room.data();
}

/// More rows of which nobody reads the products, where they come for nothing.
Item padded(Item count) {
  return count < 3 ? count : (count + 3) / 4 * 4;
}

}  // namespace

LogDetBounds::LogDetBounds(RowsView rows, double diagonal, int threads)
    : rows_(rows),
      diagonal_(diagonal),
      threads_(threads),
      width_((Offset{rows.d} + 15) / 16 * 16),
      along_factor_(static_cast<std::size_t>(kTogether * width_)),
      along_directions_(along_factor_.size()),
      notes_(static_cast<std::size_t>(rows.n)) {
}

void LogDetBounds::start_epoch() {
  factor_.assign(static_cast<std::size_t>(block_start(width_ / 16)), 0.0F);
  directions_.clear();
  off_ = 0.0;
  pending_ = 0;
  ++epoch_;
}

void LogDetBounds::put(const double* values, Offset count, float* out) {
  const double scale = std::sqrt(diagonal_);
  for (Offset c = 0; c < count; ++c) out[c] = static_cast<float>(scale * values[c]);
  const double norm2 =
      fixed_order_sum(count, [&](Offset c) { return scale * values[c] * (scale * values[c]); });
  // Values rounded, products rounded, 16 sums of width / 16 each, added in 4 steps; |q| <= 2^12.
  const double steps = static_cast<double>(width_ / 16 + 6);
  off_ = std::max(off_, 1.01 * steps * 0x1p-24 * 0x1p12 * std::sqrt(norm2));
}

void LogDetBounds::add(const double* direction) {
  directions_.resize(static_cast<std::size_t>((pending_ + 1) * width_));
  put(direction, rows_.d, directions_.data() + pending_ * width_);
  ++pending_;
}

void LogDetBounds::bounds(const Item* items, Item count, double* out) {
  Item stale[kTogether];
  Item some = 0;
  for (Item i = 0; i < count; ++i) {
    const Note& note = notes_[items[i]];
    if (note.epoch != epoch_ || note.seen != pending_) stale[some++] = items[i];
    if (some == kTogether || (some > 0 && i + 1 == count)) {
      update(stale, some);
      some = 0;
    }
  }
  for (Item i = 0; i < count; ++i) out[i] = std::max(notes_[items[i]].form / diagonal_, 0.0);
}

/// Brings up to kTogether items up to date, which it sorts: those of an earlier epoch first, then
/// the one that has seen least.
void LogDetBounds::update(Item* items, Item count) {
  std::sort(items, items + count, [&](Item a, Item b) {
    const Note &x = notes_[a], &y = notes_[b];
    return x.epoch != y.epoch ? x.epoch < y.epoch : x.seen < y.seen;
  });
  Item old = 0;
  Offset products = 0;
  for (Item k = 0; k < count; ++k) {
    Note& note = notes_[items[k]];
    if (note.epoch != epoch_) {
      note = {0.0, epoch_, 0};
      products += epoch_ > 0 ? width_ / 2 : 0;
      ++old;
    }
    products += pending_ - note.seen;
  }
  const int shares = products * width_ < kWorthThreads ? 1 : threads_;
  parallel_for(
      shares, shares, Cancel{},
      [&](Offset share) noexcept { multiply(items, count, old, share, shares); }, 1,
      Helpers::kFromEnd);
  for (Item k = 0; k < count; ++k) {
    Note& note = notes_[items[k]];
    if (k < old) {
      const double form = epoch_ == 0
                              ? static_cast<double>(norm2(rows_.row(items[k]), rows_.d))
                              : vector_ops().squares(&along_factor_[k * width_], rows_.d, off_);
      note.form = form * (1.0 + 0x1p-36);  // for the rounding of float64 sums
    }
    note.form -= vector_ops().squares(&along_directions_[k * width_ + note.seen],
                                      pending_ - note.seen, -off_);
    note.seen = pending_;
  }
}

/// Every `shares`-th block of the products of items[k]: with W for the first `old`, and with the
/// directions that they miss. Whoever does the same share finds the same blocks in its cache.
void LogDetBounds::multiply(const Item* items, Item count, Item old, Offset share,
                            Offset shares) noexcept {
  float* const rows = scratch(padded(count) * width_);
  for (Item k = 0; k < count; ++k)  // rows lie apart
    for (Offset c = 0; c < rows_.d; c += 32) __builtin_prefetch(rows_.row(items[k]) + c);
  for (Item k = 0; k < count; ++k) {
    float* const wide = rows + k * width_;
    vector_ops().widen_to_float(rows_.row(items[k]), rows_.d, wide);
    std::fill(wide + rows_.d, wide + width_, 0.0F);
  }
  std::fill(rows + count * width_, rows + padded(count) * width_, 0.0F);
  for (Offset b = share; b < width_ / 16 && epoch_ > 0 && old > 0; b += shares) {
    const Offset width = 16 * (b + 1);
    vector_ops().float_dots(factor_.data() + block_start(b), 16, width, width, rows, padded(old),
                            width_, along_factor_.data() + 16 * b, width_);
  }
  Item missing = 0;  // items that miss a direction of the block
  const Offset start = notes_[items[0]].seen / kBlock;
  for (Offset b = start + (share + shares - start % shares) % shares; b * kBlock < pending_;
       b += shares) {
    const Offset first = b * kBlock;
    while (missing < count && notes_[items[missing]].seen < first + kBlock) ++missing;
    vector_ops().float_dots(directions_.data() + first * width_,
                            std::min<Offset>(kBlock, pending_ - first), width_, width_, rows,
                            padded(missing), width_, along_directions_.data() + first, width_);
  }
}

}  // namespace smartx
