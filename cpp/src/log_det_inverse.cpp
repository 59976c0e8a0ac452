#include "smartx/log_det_inverse.hpp"

#include <algorithm>
#include <cmath>

#include "smartx/dot.hpp"
#include "tiles.hpp"

namespace smartx {

namespace {

Offset up_to_8(Offset value) {
  return (value + 7) / 8 * 8;
}

}  // namespace

InverseOfRows::InverseOfRows(Item d, double diagonal, const Context& context)
    : d_(d), width_(up_to_8(d)), diagonal_(diagonal), context_(context) {
}

void InverseOfRows::add(const SomeRows& rows, const std::vector<Item>& items) {
  constexpr Item kAtOnce = 64;  // products of columns fit 32 bits: 64 * 2^24 = 2^30
  const auto all = static_cast<Item>(items.size());
  gram_.resize(static_cast<std::size_t>(d_ * d_));
  for (Item first = 0; first < all; first += kAtOnce)
    add_to_gram(rows, items.data() + first, std::min(kAtOnce, all - first));
  invert(cholesky());
}

double InverseOfRows::largest() const {
  double largest = 0.0;
  for (Offset i = 0; i < d_; ++i)
    largest = std::max(largest, static_cast<double>(gram_[i * d_ + i]));
  return largest;
}

void InverseOfRows::multiply(const double* q, Offset first, Offset last, double* y,
                             double* z) const noexcept {
  if (factor_.empty()) {
    for (Offset c = first; c < last && z != nullptr; ++c) z[c] += q[c] / diagonal_;
    return;
  }
  for (Offset i = first; i < last; i += 8) {  // these rows of W are in the first-level cache twice
    context_.ops().real_dots(row(i), 8, i + 8, i + 8, q, 1, 0, y + i, 0);
    if (z != nullptr) context_.ops().add_rows(y + i, row(i), 8, i + 8, i + 8, z);
  }
}

/// Sums of q q^T are similarities of columns.
void InverseOfRows::add_to_gram(const SomeRows& rows, const Item* items, Item count) {
  std::vector<std::int16_t> columns(static_cast<std::size_t>(d_ * count));
  for (Item r = 0; r < count; ++r)
    for (Offset c = 0; c < d_; ++c) columns[c * count + r] = rows.row(items[r])[c];
  const PackedRows packed(RowsView{columns.data(), static_cast<Item>(d_), count}, context_);
  const Offset panel = packed.level().panel;
  for_each_tile(packed, context_, [&](Item b, Item a, const std::int32_t* tile) noexcept {
    const Offset rows_end = std::min(d_, (a + 1) * panel), end = std::min(d_, (b + 1) * panel);
    for (Offset i = a * panel; i < rows_end; ++i)
      for (Offset j = b * panel; j < end; ++j)
        gram_[i * d_ + j] += tile[(j - b * panel) * panel + i - a * panel];
  });
}

/// The lower factor L of A, (d, width) with zeros above, kTogether rows at a time: L[i][j] =
/// (A[i][j] - L[i] . L[j]) / L[j][j], where L[i] is known up to column j. A pivot is at least
/// `diagonal`, as it is without rounding.
std::vector<double> InverseOfRows::cholesky() const {
  std::vector<double> lower(static_cast<std::size_t>(d_ * width_));
  const auto column = [&](Offset j, Offset first, Offset last) noexcept {
    double products[kTogether];
    context_.ops().real_dots(&lower[first * width_], last - first, width_, up_to_8(j),
                             &lower[j * width_], 1, 0, products, 0);
    const double pivot = lower[j * width_ + j];
    for (Offset i = first; i < last; ++i) {
      const double entry = static_cast<double>(gram_[i * d_ + j]);
      lower[i * width_ + j] = (entry - products[i - first]) / pivot;
    }
  };
  for (Offset top = 0; top < d_; top += kTogether) {
    const Offset end = std::min(d_, top + kTogether);
    parallel_for(up_to_8(end - top) / 8, context_, [&](Offset part) noexcept {
      const Offset first = top + 8 * part;
      for (Offset j = 0; j < top; ++j) column(j, first, std::min(end, first + 8));
    });
    for (Offset j = top; j < end; ++j) {
      double* const own = &lower[j * width_];
      double square = 0.0;
      context_.ops().real_dots(own, 1, width_, up_to_8(j), own, 1, 0, &square, 0);
      const double variance = static_cast<double>(gram_[j * d_ + j]) + diagonal_ - square;
      own[j] = std::sqrt(std::max(variance, diagonal_));
      column(j, j + 1, end);
    }
  }
  return lower;
}

/// W = L^-1: W[i] = (e_i - sum over c < i of L[i][c] W[c]) / L[i][i], kTogether columns at a time.
void InverseOfRows::invert(const std::vector<double>& lower) {
  factor_.assign(static_cast<std::size_t>(place(width_)), 0.0);
  parallel_for((width_ + kTogether - 1) / kTogether, context_, [&](Offset part) noexcept {
    const Offset first = part * kTogether, last = std::min(width_, first + kTogether);
    const auto inside = [&](Offset i) { return std::min(last, up_to_8(i + 1)) - first; };
    for (Offset i = first; i < d_; ++i) {
      double* const own = factor_.data() + place(i) + first;
      for (Offset c = first; c < i; c += 8) {  // rows of W of one length
        const Offset some = std::min<Offset>(8, i - c);
        double scales[8];
        for (Offset k = 0; k < some; ++k) scales[k] = -lower[i * width_ + c + k];
        context_.ops().add_rows(scales, row(c) + first, some, up_to_8(c + 1), inside(c), own);
      }
      if (i < last) own[i - first] = 1.0;
      for (Offset c = 0; c < inside(i); ++c) own[c] /= lower[i * width_ + i];
    }
  });
}

}  // namespace smartx
