#include "smartx/log_det_bounds.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/context.hpp"
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

LogDetBounds::LogDetBounds(SomeRows rows, double diagonal, const Context& context)
    : rows_(rows),
      diagonal_(diagonal),
      context_(context),
      width_((Offset{rows.d} + kBlock - 1) / kBlock * kBlock),
      room_((width_ / kBlock + kShares - 1) / kShares * kBlock),
      off_factor_(static_cast<std::size_t>(kShares * room_)),
      off_directions_(off_factor_.size()),
      notes_(static_cast<std::size_t>(rows.n)) {
}

void LogDetBounds::begin_epoch(const InverseOfRows& inverse) {
  factor_.assign(static_cast<std::size_t>(block_start(width_ / kBlock)), 0.0F);
  directions_.clear();
  pending_ = 0;
  ++epoch_;
  for (Offset i = 0; i < rows_.d; ++i) {
    off_factor_[place(i)] = put(inverse.row(i), i + 1, factor_row(i));
    context_.check();
  }
}

double LogDetBounds::put(const double* values, Offset count, float* out) const {
  const double scale = std::sqrt(diagonal_);
  for (Offset c = 0; c < count; ++c) out[c] = static_cast<float>(scale * values[c]);
  const double norm2 =
      fixed_order_sum(count, [&](Offset c) { return scale * values[c] * (scale * values[c]); });
  // Values rounded, products rounded, 16 sums of count / 16 each, added in 4 steps; |q| <= 2^12.
  const double steps = static_cast<double>((count + 15) / 16 + 6);
  return 1.01 * steps * 0x1p-24 * 0x1p12 * std::sqrt(norm2);
}

void LogDetBounds::add(const double* direction) {
  directions_.resize(static_cast<std::size_t>((pending_ + 1) * width_));
  off_directions_[place(pending_)] =
      -put(direction, rows_.d, directions_.data() + pending_ * width_);
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
  const int hands = products * width_ < kWorthThreads ? 1 : std::min(context_.threads(), kShares);
  parallel_for(
      hands, context_,
      [&](Offset hand) noexcept {
        multiply(items, count, old, kShares * hand / hands, kShares * (hand + 1) / hands);
      },
      1, Helpers::kFromEnd);
  note_sums(items, count, old);
}

void LogDetBounds::note_sums(const Item* items, Item count, Item old) {
  for (Item k = 0; k < count; ++k) {
    Note& note = notes_[items[k]];
    double added = 0.0, taken = 0.0;
    for (const Sums& sums : sums_) {
      added += sums.added[k];
      taken += sums.taken[k];
    }
    if (k < old) {
      if (epoch_ == 0) added = static_cast<double>(norm2(rows_.row(items[k]), rows_.d));
      note.form = added * kRounded;
    }
    note.form -= taken;
    note.seen = pending_;
  }
}

/// Some shares of the products of items[k]: with W for the first `old`, and with the directions
/// that they miss.
void LogDetBounds::multiply(const Item* items, Item count, Item old, Offset first_share,
                            Offset last_share) noexcept {
  float* const rows = scratch(padded(count) * (width_ + room_));
  float* const products = rows + padded(count) * width_;
  for (Item k = 0; k < count; ++k)  // rows lie apart
    for (Offset c = 0; c < rows_.d; c += 32) __builtin_prefetch(rows_.row(items[k]) + c);
  for (Item k = 0; k < count; ++k) {
    float* const wide = rows + k * width_;
    context_.ops().widen_to_float(rows_.row(items[k]), rows_.d, wide);
    std::fill(wide + rows_.d, wide + width_, 0.0F);
  }
  std::fill(rows + count * width_, rows + padded(count) * width_, 0.0F);
  for (Offset share = first_share; share < last_share; ++share) {
    if (epoch_ > 0) along_factor(rows, old, share, products);
    along_directions(items, rows, count, share, products);
  }
}

void LogDetBounds::along_factor(const float* rows, Item count, Offset share,
                                float* products) noexcept {
  Offset done = 0;
  for (Offset b = share; b < width_ / kBlock && count > 0; b += kShares, done += kBlock) {
    const Offset width = kBlock * (b + 1);
    context_.ops().float_dots(factor_.data() + block_start(b), kBlock, width, width, rows,
                              padded(count), width_, products + done, room_);
  }
  for (Item k = 0; k < count; ++k)
    sums_[share].added[k] =
        context_.ops().squares(products + k * room_, &off_factor_[share * room_], done);
}

void LogDetBounds::along_directions(const Item* items, const float* rows, Item count, Offset share,
                                    float* products) noexcept {
  const Offset start = notes_[items[0]].seen / kBlock;  // a block that some item misses
  const Offset first = start + (share + kShares - start % kShares) % kShares;
  Item missing = 0;  // items that miss something of the block
  Offset begins[kTogether];
  Offset done = first / kShares * kBlock, some = 0;
  for (Offset b = first; b * kBlock < pending_; b += kShares, done += some) {
    some = std::min<Offset>(kBlock, pending_ - b * kBlock);
    for (; missing < count && notes_[items[missing]].seen < b * kBlock + some; ++missing)
      begins[missing] = done + std::max<Offset>(0, notes_[items[missing]].seen - b * kBlock);
    context_.ops().float_dots(directions_.data() + b * kBlock * width_, some, width_, width_, rows,
                              padded(missing), width_, products + done, room_);
  }
  for (Item k = 0; k < count; ++k)
    sums_[share].taken[k] =
        k < missing ? context_.ops().squares(products + k * room_ + begins[k],
                                             off_directions_.data() + share * room_ + begins[k],
                                             done - begins[k])
                    : 0.0;
}

}  // namespace smartx
