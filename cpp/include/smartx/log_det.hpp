// Log-determinant: f(S) = log det(K_S + ridge * I), K the similarities of the rows of S.
// A gain is the logarithm of a conditional variance; greedy compares the variances themselves.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "smartx/facility_location.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Row `item` cannot be added: its conditional variance is not above zero.
struct NotPositiveDefinite : std::domain_error {
  NotPositiveDefinite(Item which, double variance)
      : std::domain_error("the kernel plus ridge is not positive definite: row " +
                          std::to_string(which) + " has conditional variance " +
                          std::to_string(variance)),
        item(which) {}
  Item item;
};

/// Over Q12 rows x = q / kScale, without any kernel: the variance of x given S is
/// ridge * (1 + form(x)), form(x) = q^T A^-1 q, A = ridge * kScale^2 * I + sum of q q^T over S.
/// A new row subtracts one square from every form: form_j -= (q_j . v)^2, v = A^-1 q / sqrt(1 +
/// form). A form is brought up to date only when it is asked for, by the v it has not seen yet.
/// After d additions ("an epoch") A is factored anew from exact integers and forms start again from
/// it, so a form is a function of (S in order, row) alone, errors do not build up, and memory is
/// O(n + d^2).
class RowsLogDet {
 public:
  using Gain = double;  // form

  RowsLogDet(RowsView rows, double ridge)
      : rows_(rows),
        ridge_(ridge),
        diagonal_(ridge * kScale * kScale),
        epoch_length_(std::max<Item>(rows.d, 16)),
        notes_(static_cast<std::size_t>(rows.n)) {}

  Item size() const { return rows_.n; }

  Gain gain(Item v) const noexcept {
    Note& note = notes_[v];
    const std::int16_t* row = rows_.row(v);
    if (note.epoch != epoch_) note = {base_form(row), epoch_, 0};
    for (; note.seen < pending(); ++note.seen) {
      const double* direction = directions_.data() + static_cast<Offset>(note.seen) * rows_.d;
      const double product =
          fixed_order_sum(rows_.d, [&](Offset c) { return row[c] * direction[c]; });
      note.form -= product * product;
    }
    return std::max(note.form, 0.0);
  }

  void add(Item v) {
    const Offset d = rows_.d;
    const double form = gain(v);
    std::vector<double> direction = base_solve(rows_.row(v));
    for (Item r = 0; r < pending(); ++r) {
      const double* earlier = directions_.data() + r * d;
      const std::int16_t* row = rows_.row(v);
      const double product = fixed_order_sum(d, [&](Offset c) { return row[c] * earlier[c]; });
      for (Offset c = 0; c < d; ++c) direction[c] -= product * earlier[c];
    }
    const double length = std::sqrt(1.0 + form);
    for (double& value : direction) value /= length;
    directions_.insert(directions_.end(), direction.begin(), direction.end());
    epoch_rows_.push_back(v);
    ++chosen_;
    if (pending() == epoch_length_ && chosen_ < rows_.n) begin_epoch();
  }

  /// Inside an epoch a form never rises; see begin_epoch.
  Gain risen() const { return risen_; }
  double shown(Gain form) const { return natural_log(ridge_ * (1.0 + form)); }
  /// No gain is ever below log(ridge).
  double slack() const { return std::max(0.0, -natural_log(ridge_)); }

 private:
  struct Note {
    double form = 0.0;
    Item epoch = -1;
    Item seen = 0;  // directions of this epoch that form accounts for
  };

  Item pending() const { return static_cast<Item>(epoch_rows_.size()); }

  /// Row i of the inverse factor W, W A W^T = I at the start of the epoch: i + 1 values.
  const double* factor_row(Offset i) const { return factor_.data() + i * (i + 1) / 2; }

  double base_form(const std::int16_t* row) const noexcept {
    if (epoch_ == 0) return static_cast<double>(norm2(row, rows_.d)) / diagonal_;
    double form = 0.0;
    for (Offset i = 0; i < rows_.d; ++i) {
      const double* factor = factor_row(i);
      const double y = fixed_order_sum(i + 1, [&](Offset c) { return row[c] * factor[c]; });
      form += y * y;
    }
    return form;
  }

  /// A^-1 q at the start of the epoch.
  std::vector<double> base_solve(const std::int16_t* row) const {
    std::vector<double> solved(static_cast<std::size_t>(rows_.d));
    if (epoch_ == 0) {
      for (Offset c = 0; c < rows_.d; ++c) solved[c] = row[c] / diagonal_;
      return solved;
    }
    for (Offset i = 0; i < rows_.d; ++i) {
      const double* factor = factor_row(i);
      const double y = fixed_order_sum(i + 1, [&](Offset c) { return row[c] * factor[c]; });
      for (Offset c = 0; c <= i; ++c) solved[c] += y * factor[c];
    }
    return solved;
  }

  /// Moves the epoch's rows into the exact Gram matrix and factors A = L L^T, W = L^-1.
  void begin_epoch() {
    const Offset d = rows_.d;
    const auto at = [](Offset i, Offset j) { return i * (i + 1) / 2 + j; };  // j <= i
    gram_.resize(static_cast<std::size_t>(d * (d + 1) / 2));
    for (const Item chosen : epoch_rows_) {
      const std::int16_t* row = rows_.row(chosen);
      for (Offset i = 0; i < d; ++i) {
        for (Offset j = 0; j <= i; ++j) gram_[at(i, j)] += std::int32_t{row[i]} * row[j];
      }
    }
    std::vector<double> lower(gram_.size());
    for (Offset i = 0; i < d; ++i) {
      for (Offset j = 0; j <= i; ++j) {
        const double* a = lower.data() + at(i, 0);
        const double* b = lower.data() + at(j, 0);
        const double value = static_cast<double>(gram_[at(i, j)]) + (i == j ? diagonal_ : 0.0) -
                             fixed_order_sum(j, [&](Offset c) { return a[c] * b[c]; });
        lower[at(i, j)] = i == j ? std::sqrt(std::max(value, diagonal_)) : value / lower[at(j, j)];
      }
    }
    factor_.assign(gram_.size(), 0.0);
    for (Offset i = 0; i < d;
         ++i) {  // row i of W: (e_i - sum over c < i of L(i, c) W(c)) / L(i, i)
      double* row = factor_.data() + at(i, 0);
      for (Offset c = 0; c < i; ++c) {
        const double scale = lower[at(i, c)];
        const double* earlier = factor_.data() + at(c, 0);
        for (Offset j = 0; j <= c; ++j) row[j] -= scale * earlier[j];
      }
      row[i] = 1.0;
      for (Offset j = 0; j <= i; ++j) row[j] /= lower[at(i, i)];
    }
    // Starting anew may raise a form by rounding. Factoring perturbs A by less than 4 d 2^-53 times
    // its largest diagonal entry, relative to at least diagonal_; no form exceeds 1.01 / ridge.
    double largest = 0.0;
    for (Offset i = 0; i < d; ++i)
      largest = std::max(largest, static_cast<double>(gram_[at(i, i)]));
    risen_ += 8.0 * d * 0x1p-53 * (1.0 + largest / diagonal_) * (1.01 / ridge_);
    directions_.clear();
    epoch_rows_.clear();
    ++epoch_;
  }

  RowsView rows_;
  double ridge_, diagonal_;
  Item epoch_length_;
  mutable std::vector<Note> notes_;  // (n,)
  Item epoch_ = 0, chosen_ = 0;
  double risen_ = 0.0;
  std::vector<Item> epoch_rows_;    // rows added in this epoch
  std::vector<double> directions_;  // their v, d values each
  std::vector<std::int64_t> gram_;  // lower triangle of the sum of q q^T before this epoch
  std::vector<double> factor_;      // lower triangle of W
};

// A kernel source answers: T at(i, j), similarity of rows i and j in the units of f.

template <class T>
struct DenseEntries {
  DenseView<T> kernel;
  Item size() const { return kernel.n; }
  double at(Item i, Item j) const noexcept { return static_cast<double>(kernel.row(i)[j]); }
};

/// Entries of a symmetric sparse graph whose columns ascend; a missing edge is 0.
template <class W>
struct GraphEntries {
  GraphView<W> graph;
  double unit;
  Item size() const { return graph.n; }
  double at(Item i, Item j) const noexcept {
    const Item* first = graph.indices + graph.indptr[i];
    const Item* last = graph.indices + graph.indptr[i + 1];
    const Item* found = std::lower_bound(first, last, j);
    if (found == last || *found != j) return 0.0;
    return static_cast<double>(graph.weights[found - graph.indices]) * unit;
  }
};

/// Over a symmetric kernel: incremental Cholesky (Chen, Zhang, Zhou 2018). Row j of the factor,
/// c_j, grows by one entry per addition, but only when the gain of j is asked for:
/// c_j[r] = (K(s_r, j) - c_{s_r} . c_j) / deviation_r,  variance_j = K(j, j) + ridge - |c_j|^2.
/// Squares are subtracted in the order of S, so a variance never rises. Memory: up to O(n |S|).
template <class Source>
class KernelLogDet {
 public:
  using Gain = double;  // variance

  KernelLogDet(Source source, double ridge)
      : source_(source), ridge_(ridge), factor_(static_cast<std::size_t>(source.size())) {
    for (Item v = 0; v < size(); ++v) variance_.push_back(source.at(v, v) + ridge);
  }

  Item size() const { return source_.size(); }

  Gain gain(Item v) const noexcept {
    std::vector<double>& factor = factor_[v];
    for (auto r = static_cast<Offset>(factor.size()); r < static_cast<Offset>(chosen_.size());
         ++r) {
      const double* earlier = factor_[chosen_[r]].data();
      const double product = fixed_order_sum(r, [&](Offset c) { return earlier[c] * factor[c]; });
      const double entry = (source_.at(chosen_[r], v) - product) / deviation_[r];
      factor.push_back(entry);
      variance_[v] -= entry * entry;
    }
    return variance_[v];
  }

  void add(Item v) {
    const double variance = gain(v);
    if (!(variance > 0.0)) throw NotPositiveDefinite(v, variance);
    chosen_.push_back(v);
    deviation_.push_back(std::sqrt(variance));
  }

  Gain risen() const { return 0.0; }
  double shown(Gain variance) const { return natural_log(variance); }
  double slack() const { return std::max(0.0, -natural_log(ridge_)); }

 private:
  Source source_;
  double ridge_;
  mutable std::vector<std::vector<double>> factor_;  // c_j, as far as j was asked for
  mutable std::vector<double> variance_;             // (n,), as of factor_[j].size() additions
  std::vector<Item> chosen_;
  std::vector<double> deviation_;  // square roots of the variances that were chosen
};

}  // namespace smartx
