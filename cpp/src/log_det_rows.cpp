#include "smartx/log_det_rows.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/context.hpp"
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

}  // namespace

RowsLogDet::RowsLogDet(SomeRows rows, Item additions, double ridge, const Context& context)
    : rows_(rows),
      additions_(additions),
      ridge_(ridge),
      diagonal_(ridge * kScale * kScale),
      context_(context),
      width_(up_to_8(rows.d)),
      epoch_length_(std::max<Item>(rows.d, 16)),
      notes_(static_cast<std::size_t>(rows.n)),
      bounds_(rows, diagonal_, context) {
}

double RowsLogDet::slack() const {
  return std::max(0.0, -natural_log(ridge_));
}

void RowsLogDet::widen(Item v, double* out) const noexcept {
  context_.ops().widen(rows_.row(v), rows_.d, out);
  std::fill(out + rows_.d, out + width_, 0.0);
}

double RowsLogDet::gain(Item v) const noexcept {
  Note& note = notes_[v];
  if (!is_fresh(v)) {
    double* const row = scratch(width_ + std::max<Offset>(epoch_length_, width_));
    double* const products = row + width_;
    widen(v, row);
    if (note.epoch != epoch_) {
      along_factor(row, 0, width_ / 8, products);
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

double RowsLogDet::weigh(Item v) {
  if (weighed_.item < 0) solve(v);
  const double form = gain(v);
  bounds_.learn(v, form);
  return form;
}

/// One pass over W and the epoch's v gives all that is needed of them; their parts of the sum are
/// added in one order.
void RowsLogDet::solve(Item v) {
  const Offset blocks = width_ / 8, all = pending();
  double* const row = scratch((2 + 2 * kParts) * width_ + all);
  double *const y = row + width_, *const z = y + width_, *const products = z + 2 * kParts * width_;
  widen(v, row);
  const auto multiply = [&](Offset i) noexcept {
    const Offset part = i / 2;
    double* const own = z + i * width_;
    std::fill_n(own, width_, 0.0);
    if (i % 2 == 0) {  // a row of W is the longer the later it comes
      const auto cut = [&](double p) {
        return static_cast<Offset>(static_cast<double>(blocks) * std::sqrt(p / kParts));
      };
      along_factor(row, cut(static_cast<double>(part)), cut(static_cast<double>(part + 1)), y, own);
    } else {
      along_directions(row, all * part / kParts, all * (part + 1) / kParts, products, own);
    }
  };
  parallel_for(2 * kParts, context_, multiply, 1, Helpers::kFromEnd);
  Note& note = notes_[v];
  note = {base_form(v, y), epoch_, pending()};
  for (Offset r = 0; r < all; ++r) note.form -= products[r] * products[r];
  weighed_.item = v;
  weighed_.solved.assign(z, z + width_);
  constexpr double kOnes[2 * kParts - 1] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
  context_.ops().add_rows(kOnes, z + width_, 2 * kParts - 1, width_, width_,
                          weighed_.solved.data());
}

void RowsLogDet::add(Item v) {
  if (weighed_.item != v) solve(v);
  const double length = std::sqrt(1.0 + gain(v));
  for (const double value : weighed_.solved) directions_.push_back(value / length);
  epoch_rows_.push_back(v);
  bounds_.add(directions_.data() + directions_.size() - static_cast<std::size_t>(width_));
  weighed_.item = -1;
  ++chosen_;
  if (pending() == epoch_length_ && chosen_ < additions_) begin_epoch();
}

/// In the first epoch W is the unit matrix over sqrt(diagonal).
void RowsLogDet::along_factor(const double* row, Offset first, Offset last, double* y,
                              double* z) const noexcept {
  if (epoch_ == 0) {
    for (Offset c = 8 * first; c < 8 * last && z != nullptr; ++c) z[c] = row[c] / diagonal_;
    return;
  }
  for (Offset b = first; b < last; ++b) {  // the rows of W are in the first-level cache twice
    const Offset width = 8 * (b + 1);
    const double* const block = factor_.data() + block_start(b);
    context_.ops().real_dots(block, 8, width, width, row, 1, 0, y + 8 * b, 0);
    if (z != nullptr) context_.ops().add_rows(y + 8 * b, block, 8, width, width, z);
  }
}

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

double RowsLogDet::base_form(Item v, const double* y) const noexcept {
  if (epoch_ == 0) return static_cast<double>(norm2(rows_.row(v), rows_.d)) / diagonal_;
  return fixed_order_sum(width_, [&](Offset i) { return y[i] * y[i]; });
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
    const PackedRows packed(RowsView{columns.data(), d, count}, context_.alone());
    const Item panel = packed.level().panel;
    parallel_for(packed.panels(), context_, [&](Offset last) noexcept {
      alignas(64) std::int32_t tile[64 * 64];
      const Item a = packed.panels() - 1 - static_cast<Item>(last);  // the longest first
      for (Item b = 0; b <= a; ++b) {
        packed.multiply(a, b, tile);
        for (Offset i = Offset{a} * panel; i < std::min(d, (a + 1) * panel); ++i)
          for (Offset j = Offset{b} * panel; j < std::min(d, (b + 1) * panel); ++j)
            gram_[i * d + j] += tile[i % panel * panel + j % panel];
      }
    });
  }
}

/// The lower factor L of A = gram + diagonal * I, (d, width) with zeros above. A pivot is at least
/// `diagonal`, as it is without rounding.
std::vector<double> RowsLogDet::lower_factor() const {
  const Offset d = rows_.d, together = 64;
  std::vector<double> lower(static_cast<std::size_t>(d * width_));
  std::vector<double> products(static_cast<std::size_t>(d));
  for (Offset j = 0; j < d; ++j) {
    double* const own = lower.data() + j * width_;  // beyond column j it is still zero
    parallel_for((d - j + together - 1) / together, context_, [&](Offset part) noexcept {
      const Offset first = j + part * together;
      context_.ops().real_dots(lower.data() + first * width_, std::min(together, d - first), width_,
                               up_to_8(j), own, 1, 0, products.data() + first, 0);
    });
    const double pivot = std::sqrt(
        std::max(static_cast<double>(gram_[j * d + j]) + diagonal_ - products[j], diagonal_));
    for (Offset i = j + 1; i < d; ++i)
      lower[i * width_ + j] = (static_cast<double>(gram_[i * d + j]) - products[i]) / pivot;
    own[j] = pivot;
  }
  return lower;
}

/// W = L^-1: W(i) = (e_i - sum over c < i of L(i, c) W(c)) / L(i, i). Columns do not meet.
void RowsLogDet::invert(const std::vector<double>& lower) {
  factor_.assign(static_cast<std::size_t>(block_start(width_ / 8)), 0.0);
  const Offset d = rows_.d, blocks = width_ / 8;
  parallel_for(kParts, context_, [&](Offset part) noexcept {
    const Offset first = blocks * part / kParts * 8, last = blocks * (part + 1) / kParts * 8;
    const auto inside = [&](Offset i) { return std::min(last, 8 * (i / 8 + 1)) - first; };
    double scales[8];
    for (Offset i = first; i < d; ++i) {
      double* const row = factor_row(i) + first;
      for (Offset c = first; c < i; c += 8) {  // rows of W of one length
        const Offset some = std::min<Offset>(8, i - c);
        for (Offset k = 0; k < some; ++k) scales[k] = -lower[i * width_ + c + k];
        context_.ops().add_rows(scales, factor_row(c) + first, some, 8 * (c / 8 + 1), inside(c),
                                row);
      }
      if (i < last) row[i - first] = 1.0;
      for (Offset c = 0; c < inside(i); ++c) row[c] /= lower[i * width_ + i];
    }
  });
}

/// Moves the epoch's rows into the exact Gram matrix and factors A = L L^T, W = L^-1.
void RowsLogDet::begin_epoch() {
  const Offset d = rows_.d;
  add_to_gram();
  invert(lower_factor());
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
  bounds_.begin_epoch([this](Offset i) { return factor_row(i); });
}

}  // namespace smartx
