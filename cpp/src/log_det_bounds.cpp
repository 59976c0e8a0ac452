#include "smartx/log_det_bounds.hpp"

#include <algorithm>
#include <cmath>

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

}  // namespace

LogDetBounds::LogDetBounds(RowsView rows, double diagonal)
    : rows_(rows),
      diagonal_(diagonal),
      width_((Offset{rows.d} + 15) / 16 * 16),
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

void LogDetBounds::bounds(const Item* items, Item count, double* out) const noexcept {
  Item stale[kTogether];
  Item some = 0;
  for (Item i = 0; i < count; ++i) {
    const Note& note = notes_[items[i]];
    if (note.epoch != epoch_ || note.seen != pending_) stale[some++] = items[i];
    if (some == kTogether || (some > 0 && i + 1 == count)) {
      std::sort(stale, stale + some, [&](Item a, Item b) {  // those that miss as much side by side
        const Note &x = notes_[a], &y = notes_[b];
        return x.epoch != y.epoch ? x.epoch < y.epoch : x.seen < y.seen;
      });
      for (Item first = 0; first < some; first += kGroup)
        update(stale + first, std::min(some - first, kGroup));
      some = 0;
    }
  }
  for (Item i = 0; i < count; ++i) out[i] = std::max(notes_[items[i]].form / diagonal_, 0.0);
}

/// Up to kGroup items: those of an earlier epoch first, then the one that has seen least.
void LogDetBounds::update(const Item* items, Item count) const noexcept {
  float* const rows = scratch(count * (width_ + std::max<Offset>(pending_, width_)));
  float* const products = rows + count * width_;
  for (Item k = 0; k < count; ++k)  // rows lie apart
    for (Offset c = 0; c < rows_.d; c += 32) __builtin_prefetch(rows_.row(items[k]) + c);
  for (Item k = 0; k < count; ++k) {
    const std::int16_t* row = rows_.row(items[k]);
    float* wide = rows + k * width_;
    vector_ops().widen_to_float(row, rows_.d, wide);
    std::fill(wide + rows_.d, wide + width_, 0.0F);
  }
  Item old = 0;
  while (old < count && notes_[items[old]].epoch != epoch_) ++old;
  base(items, old, rows, products);
  // The first `missing` items miss the directions from..until, the others have seen them.
  for (Item missing = 1; missing <= count; ++missing) {
    const Item from = notes_[items[missing - 1]].seen;
    const Item until = missing < count ? notes_[items[missing]].seen : pending_;
    if (from == until) continue;
    const Item some = until - from;
    vector_ops().float_dots(directions_.data() + from * width_, some, width_, width_, rows, missing,
                            width_, products);
    for (Item k = 0; k < missing; ++k) {
      Note& note = notes_[items[k]];
      const float* product = products + Offset{k} * some;
      note.form -= vector_ops().squares(product, some, -off_);
      note.seen = until;
    }
  }
}

/// Starts the notes of up to kGroup items anew.
void LogDetBounds::base(const Item* items, Item count, const float* rows, float* y) const noexcept {
  if (epoch_ > 0 && count > 0) {
    float block[16 * kGroup];
    for (Offset b = 0; b < width_ / 16; ++b) {
      const Offset width = 16 * (b + 1);
      vector_ops().float_dots(factor_.data() + block_start(b), 16, width, width, rows, count,
                              width_, block);
      for (Item k = 0; k < count; ++k) std::copy_n(block + 16 * k, 16, y + k * width_ + 16 * b);
    }
  }
  for (Item k = 0; k < count; ++k, y += width_) {
    const double form = epoch_ == 0 ? static_cast<double>(norm2(rows_.row(items[k]), rows_.d))
                                    : vector_ops().squares(y, rows_.d, off_);
    notes_[items[k]] = {form * (1.0 + 0x1p-36), epoch_, 0};  // for the rounding of float64 sums
  }
}

}  // namespace smartx
