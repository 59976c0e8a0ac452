#include "smartx/log_det_rows.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/dot.hpp"
#include "smartx/vector_ops.hpp"

namespace smartx {

namespace {

Offset up_to_8(Offset value) {
  return (value + 7) / 8 * 8;
}

/// Room of the running thread for `count` values.
double* scratch(Offset count) {
  thread_local std::vector<double> room;
  if (static_cast<Offset>(room.size()) < count) room.resize(static_cast<std::size_t>(count));
  return room.data();
}

/// The lower factor L of gram + diagonal * I, (d, width) with zeros above. A pivot is at least
/// `diagonal`, as it is without rounding.
std::vector<double> lower_factor(const std::vector<std::int64_t>& gram, Offset d, Offset width,
                                 double diagonal) {
  std::vector<double> lower(static_cast<std::size_t>(d * width));
  std::vector<double> products(static_cast<std::size_t>(d));
  for (Offset j = 0; j < d; ++j) {
    double* const own = lower.data() + j * width;  // beyond column j it is still zero
    vector_ops().real_dots(own, d - j, width, up_to_8(j), own, 1, 0, products.data());
    const double pivot = std::sqrt(
        std::max(static_cast<double>(gram[j * d + j]) + diagonal - products[0], diagonal));
    for (Offset i = j + 1; i < d; ++i)
      lower[i * width + j] = (static_cast<double>(gram[i * d + j]) - products[i - j]) / pivot;
    own[j] = pivot;
  }
  return lower;
}

}  // namespace

RowsLogDet::RowsLogDet(RowsView rows, double ridge)
    : rows_(rows),
      ridge_(ridge),
      diagonal_(ridge * kScale * kScale),
      width_(up_to_8(rows.d)),
      epoch_length_(std::max<Item>(rows.d, 16)),
      notes_(static_cast<std::size_t>(rows.n)) {
}

double RowsLogDet::slack() const {
  return std::max(0.0, -natural_log(ridge_));
}

void RowsLogDet::widen(Item v, double* out) const noexcept {
  vector_ops().widen(rows_.row(v), rows_.d, out);
  std::fill(out + rows_.d, out + width_, 0.0);
}

void RowsLogDet::update(const Item* items, Item count) const noexcept {
  double* const rows = scratch(count * (width_ + std::max<Offset>(epoch_length_, width_)));
  double* const products = rows + count * width_;
  for (Item k = 0; k < count; ++k) widen(items[k], rows + k * width_);
  Item old = 0;
  while (old < count && notes_[items[old]].epoch != epoch_) ++old;
  base_forms(items, old, rows, products);
  // The first `missing` items miss the directions from..until, the others have seen them.
  for (Item missing = 1; missing <= count; ++missing) {
    const Item from = notes_[items[missing - 1]].seen;
    const Item until = missing < count ? notes_[items[missing]].seen : pending();
    if (from == until) continue;
    const Item some = until - from;
    vector_ops().real_dots(directions_.data() + from * width_, some, width_, width_, rows, missing,
                           width_, products);
    for (Item k = 0; k < missing; ++k) {
      Note& note = notes_[items[k]];
      const double* product = products + Offset{k} * some;
      for (Item r = 0; r < some; ++r) note.form -= product[r] * product[r];
      note.seen = until;
    }
  }
}

double RowsLogDet::gain(Item v) const noexcept {
  if (!is_fresh(v)) update(&v, 1);
  return std::max(notes_[v].form, 0.0);
}

void RowsLogDet::gains(const Item* items, Item count, Gain* out) const noexcept {
  Item stale[kTogether];
  Item some = 0;
  for (Item i = 0; i < count; ++i) {
    if (!is_fresh(items[i])) stale[some++] = items[i];
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
  for (Item i = 0; i < count; ++i) out[i] = std::max(notes_[items[i]].form, 0.0);
}

void RowsLogDet::add(Item v) {
  const double form = gain(v);
  double* const row = scratch(2 * width_ + epoch_length_);
  double* const products = row + width_;
  widen(v, row);
  std::vector<double> direction(static_cast<std::size_t>(width_));
  base_solve(row, direction.data());
  vector_ops().real_dots(directions_.data(), pending(), width_, width_, row, 1, 0, products);
  for (Item r = 0; r < pending(); ++r)
    vector_ops().add_scaled(-products[r], directions_.data() + r * width_, width_,
                            direction.data());
  const double length = std::sqrt(1.0 + form);
  for (double& value : direction) value /= length;
  directions_.insert(directions_.end(), direction.begin(), direction.end());
  epoch_rows_.push_back(v);
  ++chosen_;
  if (pending() == epoch_length_ && chosen_ < rows_.n) begin_epoch();
}

void RowsLogDet::base_products(const double* rows, Item count, double* y) const noexcept {
  double block[8 * kGroup];
  for (Offset b = 0; b < width_ / 8; ++b) {
    const Offset width = 8 * (b + 1);
    vector_ops().real_dots(factor_.data() + block_start(b), 8, width, width, rows, count, width_,
                           block);
    for (Item k = 0; k < count; ++k) std::copy_n(block + 8 * k, 8, y + k * width_ + 8 * b);
  }
}

void RowsLogDet::base_forms(const Item* items, Item count, const double* rows,
                            double* y) const noexcept {
  if (epoch_ > 0 && count > 0) base_products(rows, count, y);
  for (Item k = 0; k < count; ++k, y += width_) {
    const double form = epoch_ == 0
                            ? static_cast<double>(norm2(rows_.row(items[k]), rows_.d)) / diagonal_
                            : fixed_order_sum(width_, [&](Offset i) { return y[i] * y[i]; });
    notes_[items[k]] = {form, epoch_, 0};
  }
}

/// A^-1 q at the start of the epoch.
void RowsLogDet::base_solve(const double* row, double* solved) const {
  if (epoch_ == 0) {
    for (Offset c = 0; c < width_; ++c) solved[c] = row[c] / diagonal_;
    return;
  }
  std::vector<double> y(static_cast<std::size_t>(width_));
  base_products(row, 1, y.data());
  for (Offset i = 0; i < rows_.d; ++i) {
    const Offset width = 8 * (i / 8 + 1);
    vector_ops().add_scaled(y[i], factor_.data() + block_start(i / 8) + i % 8 * width, width,
                            solved);
  }
}

/// Adds q q^T of the epoch's rows: as similarities of columns, 64 rows at a time, which fit 32
/// bits.
void RowsLogDet::add_to_gram() {
  constexpr Item kAtOnce = 64;  // 64 * 2^24 = 2^30
  const Item d = rows_.d;
  gram_.resize(static_cast<std::size_t>(d) * d);
  std::vector<std::int16_t> columns;
  for (Item first = 0; first < pending(); first += kAtOnce) {
    const Item count = std::min(kAtOnce, pending() - first);
    columns.resize(static_cast<std::size_t>(d) * count);
    for (Item r = 0; r < count; ++r) {
      const std::int16_t* row = rows_.row(epoch_rows_[first + r]);
      for (Item c = 0; c < d; ++c) columns[static_cast<std::size_t>(c) * count + r] = row[c];
    }
    const PackedRows packed({columns.data(), d, count}, dot_level(), 1, Cancel{});
    const Item panel = packed.level().panel;
    alignas(64) std::int32_t tile[64 * 64];
    for (Item a = 0; a < packed.panels(); ++a) {
      for (Item b = 0; b <= a; ++b) {
        packed.multiply(a, b, tile);
        for (Offset i = Offset{a} * panel; i < std::min(d, (a + 1) * panel); ++i)
          for (Offset j = Offset{b} * panel; j < std::min(d, (b + 1) * panel); ++j)
            gram_[i * d + j] += tile[i % panel * panel + j % panel];
      }
    }
  }
}

/// Moves the epoch's rows into the exact Gram matrix and factors A = L L^T, W = L^-1.
void RowsLogDet::begin_epoch() {
  const Offset d = rows_.d;
  add_to_gram();
  const std::vector<double> lower = lower_factor(gram_, d, width_, diagonal_);
  factor_.assign(static_cast<std::size_t>(block_start(width_ / 8)), 0.0);
  const auto row_of = [&](Offset i) {
    return factor_.data() + block_start(i / 8) + i % 8 * (8 * (i / 8 + 1));
  };
  for (Offset i = 0; i < d; ++i) {  // W(i) = (e_i - sum over c < i of L(i, c) W(c)) / L(i, i)
    double* const row = row_of(i);
    for (Offset c = 0; c < i; ++c)
      vector_ops().add_scaled(-lower[i * width_ + c], row_of(c), 8 * (c / 8 + 1), row);
    row[i] = 1.0;
    for (Offset j = 0; j <= i; ++j) row[j] /= lower[i * width_ + i];
  }
  // Starting anew may raise a form by rounding. Factoring perturbs A by less than 4 d 2^-53 times
  // its largest diagonal entry, relative to at least diagonal_; no form exceeds 1.01 / ridge. What
  // an epoch's squares round away is relative to the form that they are taken from.
  double largest = 0.0;
  for (Offset i = 0; i < d; ++i) largest = std::max(largest, static_cast<double>(gram_[i * d + i]));
  const double steps = 8.0 * static_cast<double>(d + epoch_length_);
  risen_ += steps * 0x1p-53 * (1.0 + largest / diagonal_) * (1.01 / ridge_);
  directions_.clear();
  epoch_rows_.clear();
  ++epoch_;
}

}  // namespace smartx
