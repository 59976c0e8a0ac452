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
      notes_(static_cast<std::size_t>(rows.n)),
      bounds_(rows, diagonal_) {
}

double RowsLogDet::slack() const {
  return std::max(0.0, -natural_log(ridge_));
}

void RowsLogDet::widen(Item v, double* out) const noexcept {
  vector_ops().widen(rows_.row(v), rows_.d, out);
  std::fill(out + rows_.d, out + width_, 0.0);
}

double RowsLogDet::gain(Item v) const noexcept {
  Note& note = notes_[v];
  if (!is_fresh(v)) {
    double* const row = scratch(width_ + std::max<Offset>(epoch_length_, width_));
    double* const products = row + width_;
    widen(v, row);
    if (note.epoch != epoch_) {
      base_products(row, products);
      note = {base_form(v, products), epoch_, 0};
    }
    const Item some = pending() - note.seen;
    vector_ops().real_dots(directions_.data() + note.seen * width_, some, width_, width_, row, 1, 0,
                           products);
    for (Item r = 0; r < some; ++r) note.form -= products[r] * products[r];
    note.seen = pending();
  }
  return std::max(note.form, 0.0);
}

double RowsLogDet::weigh(Item v) {
  return std::max(weighed(v).form, 0.0);
}

const RowsLogDet::Weighed& RowsLogDet::weighed(Item v) {
  for (std::size_t i = 0; i < weighed_count_; ++i)
    if (weighed_[i].item == v) return weighed_[i];
  if (weighed_count_ == weighed_.size()) weighed_.emplace_back();
  Weighed& found = weighed_[weighed_count_++];
  found.item = v;
  found.base.resize(static_cast<std::size_t>(width_));
  found.products.resize(static_cast<std::size_t>(pending()));
  double* const row = scratch(width_);
  widen(v, row);
  base_products(row, found.base.data());
  vector_ops().real_dots(directions_.data(), pending(), width_, width_, row, 1, 0,
                         found.products.data());
  found.form = base_form(v, found.base.data());
  for (const double product : found.products) found.form -= product * product;
  return found;
}

void RowsLogDet::add(Item v) {
  const Weighed& row = weighed(v);
  const std::size_t start = directions_.size();
  directions_.resize(start + static_cast<std::size_t>(width_));
  double* const direction = directions_.data() + start;
  base_solve(row, direction);
  for (Item r = 0; r < pending(); ++r)
    vector_ops().add_scaled(-row.products[r], directions_.data() + r * width_, width_, direction);
  const double length = std::sqrt(1.0 + std::max(row.form, 0.0));
  for (Offset c = 0; c < width_; ++c) direction[c] /= length;
  epoch_rows_.push_back(v);
  bounds_.add(direction);
  weighed_count_ = 0;
  ++chosen_;
  if (pending() == epoch_length_ && chosen_ < rows_.n) begin_epoch();
}

/// In the first epoch W is the unit matrix over sqrt(diagonal).
void RowsLogDet::base_products(const double* row, double* y) const noexcept {
  if (epoch_ == 0) {
    std::copy_n(row, width_, y);
    return;
  }
  for (Offset b = 0; b < width_ / 8; ++b) {
    const Offset width = 8 * (b + 1);
    vector_ops().real_dots(factor_.data() + block_start(b), 8, width, width, row, 1, 0, y + 8 * b);
  }
}

double RowsLogDet::base_form(Item v, const double* y) const noexcept {
  if (epoch_ == 0) return static_cast<double>(norm2(rows_.row(v), rows_.d)) / diagonal_;
  return fixed_order_sum(width_, [&](Offset i) { return y[i] * y[i]; });
}

/// A^-1 q at the start of the epoch, into zeros.
void RowsLogDet::base_solve(const Weighed& row, double* solved) const {
  if (epoch_ == 0) {
    for (Offset c = 0; c < width_; ++c) solved[c] = row.base[c] / diagonal_;
    return;
  }
  for (Offset i = 0; i < rows_.d; ++i) {
    const Offset width = 8 * (i / 8 + 1);
    vector_ops().add_scaled(row.base[i], factor_.data() + block_start(i / 8) + i % 8 * width, width,
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
  bounds_.begin_epoch(row_of);
}

}  // namespace smartx
