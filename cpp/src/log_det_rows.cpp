#include "smartx/log_det_rows.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/dot.hpp"
#include "smartx/parallel.hpp"
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

RowsLogDet::RowsLogDet(RowsView rows, double ridge, int threads)
    : rows_(rows),
      ridge_(ridge),
      diagonal_(ridge * kScale * kScale),
      threads_(threads),
      parts_(threads > 1 ? 2 * Offset{threads} : 1),
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
      base_products(row, 0, width_ / 8, products);
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
  const Offset blocks = width_ / 8, all = pending();
  parallel_for(2 * parts_, threads_, Cancel{}, [&](Offset i) noexcept {
    const Offset part = i / 2;
    if (i % 2 == 0) {  // a row of W is the longer the later it comes
      const auto cut = [&](Offset p) {
        return static_cast<Offset>(static_cast<double>(blocks) *
                                   std::sqrt(static_cast<double>(p) / static_cast<double>(parts_)));
      };
      base_products(row, cut(part), cut(part + 1), found.base.data());
    } else {
      const Offset first = all * part / parts_, last = all * (part + 1) / parts_;
      vector_ops().real_dots(directions_.data() + first * width_, last - first, width_, width_, row,
                             1, 0, found.products.data() + first);
    }
  });
  found.form = base_form(v, found.base.data());
  for (const double product : found.products) found.form -= product * product;
  return found;
}

void RowsLogDet::add(Item v) {
  const Weighed& row = weighed(v);
  const std::size_t start = directions_.size();
  directions_.resize(start + static_cast<std::size_t>(width_));
  double* const direction = directions_.data() + start;
  const Offset blocks = width_ / 8;
  parallel_for(parts_, threads_, Cancel{}, [&](Offset part) noexcept {
    solve(row, blocks * part / parts_ * 8, blocks * (part + 1) / parts_ * 8, direction);
  });
  const double length = std::sqrt(1.0 + std::max(row.form, 0.0));
  for (Offset c = 0; c < width_; ++c) direction[c] /= length;
  epoch_rows_.push_back(v);
  bounds_.add(direction);
  weighed_count_ = 0;
  ++chosen_;
  if (pending() == epoch_length_ && chosen_ < rows_.n) begin_epoch();
}

/// In the first epoch W is the unit matrix over sqrt(diagonal).
void RowsLogDet::base_products(const double* row, Offset first, Offset last,
                               double* y) const noexcept {
  if (epoch_ == 0) std::copy(row + 8 * first, row + 8 * last, y + 8 * first);
  for (Offset b = first; b < last && epoch_ > 0; ++b) {
    const Offset width = 8 * (b + 1);
    vector_ops().real_dots(factor_.data() + block_start(b), 8, width, width, row, 1, 0, y + 8 * b);
  }
}

double RowsLogDet::base_form(Item v, const double* y) const noexcept {
  if (epoch_ == 0) return static_cast<double>(norm2(rows_.row(v), rows_.d)) / diagonal_;
  return fixed_order_sum(width_, [&](Offset i) { return y[i] * y[i]; });
}

/// A^-1 q at the start of the epoch, into zeros, less what the epoch's v take from it.
void RowsLogDet::solve(const Weighed& row, Offset first, Offset last,
                       double* solved) const noexcept {
  if (epoch_ == 0) {
    for (Offset c = first; c < last; ++c) solved[c] = row.base[c] / diagonal_;
  } else {
    for (Offset i = first; i < rows_.d; ++i) {  // W(i) begins with columns 0 .. i
      const Offset width = 8 * (i / 8 + 1);
      vector_ops().add_scaled(row.base[i],
                              factor_.data() + block_start(i / 8) + i % 8 * width + first,
                              std::min(width, last) - first, solved + first);
    }
  }
  for (Item r = 0; r < pending(); ++r)
    vector_ops().add_scaled(-row.products[r], directions_.data() + r * width_ + first, last - first,
                            solved + first);
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
    parallel_for(packed.panels(), threads_, Cancel{}, [&](Offset last) noexcept {
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
    parallel_for((d - j + together - 1) / together, threads_, Cancel{}, [&](Offset part) noexcept {
      const Offset first = j + part * together;
      vector_ops().real_dots(lower.data() + first * width_, std::min(together, d - first), width_,
                             up_to_8(j), own, 1, 0, products.data() + first);
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
  parallel_for(parts_, threads_, Cancel{}, [&](Offset part) noexcept {
    const Offset first = blocks * part / parts_ * 8, last = blocks * (part + 1) / parts_ * 8;
    const auto inside = [&](Offset i) { return std::min(last, 8 * (i / 8 + 1)) - first; };
    for (Offset i = first; i < d; ++i) {
      double* const row = factor_row(i) + first;
      for (Offset c = first; c < i; ++c)
        vector_ops().add_scaled(-lower[i * width_ + c], factor_row(c) + first, inside(c), row);
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
