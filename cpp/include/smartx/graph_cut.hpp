// Graph cut: f(S) = sum of s(i, j) over i in V, j in S  -  penalty * sum of s(i, j) over i, j in S.
// Ordered pairs, diagonal included, negative similarities kept (as published SMART has it).
// gain(j) = rowsum_j - penalty * (2 * sum over i in S of s(i, j) + s(j, j)).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "smartx/dot.hpp"
#include "smartx/facility_location.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"

namespace smartx {

// A cut source holds the similarities and the chosen set:
//   Sum row_sum(v)  sum over i in V of s(i, v)     Sum self(v)  s(v, v)
//   Sum chosen_sum(v)  sum over i in S of s(i, v)  void add(v)  S becomes S + v
//   Sum lowest()  the smallest s(i, j), i != j, or 0 where none is negative
// Sum is int64 (exact) or double (one fixed order).

/// Q12 rows, without any kernel: a sum of similarities is one product with a sum of rows. For
/// greedy that asks for every gain anew; what skips some is in cut_rows.hpp.
class RowsCut {
 public:
  using Sum = std::int64_t;

  explicit RowsCut(RowsView rows)
      : rows_(rows), all_(sum_rows(rows)), chosen_(static_cast<std::size_t>(rows.d)) {}

  Item size() const { return rows_.n; }
  Sum row_sum(Item v) const noexcept { return dot(rows_.row(v), all_.data(), rows_.d); }
  Sum self(Item v) const noexcept { return norm2(rows_.row(v), rows_.d); }
  Sum chosen_sum(Item v) const noexcept { return dot(rows_.row(v), chosen_.data(), rows_.d); }
  void add(Item v) noexcept {
    const std::int16_t* row = rows_.row(v);
    for (Item c = 0; c < rows_.d; ++c) chosen_[c] += row[c];
  }
  /// Not lower than this; nothing that needs it closer is asked of this source.
  Sum lowest() const { return -kMaxSimilarity; }

 private:
  RowsView rows_;
  std::vector<std::int64_t> all_, chosen_;  // (d,) sums of the rows of V and of S
};

/// A symmetric dense kernel.
template <class T>
class DenseCut {
 public:
  using Sum = double;

  explicit DenseCut(DenseView<T> kernel)
      : kernel_(kernel), chosen_(static_cast<std::size_t>(kernel.n)) {
    for (Item v = 0; v < kernel.n; ++v) {
      const T* row = kernel.row(v);
      for (Item u = 0; u < kernel.n; ++u) {
        if (u != v) lowest_ = std::min(lowest_, static_cast<double>(row[u]));
      }
    }
  }

  Item size() const { return kernel_.n; }
  Sum row_sum(Item v) const noexcept {
    const T* row = kernel_.row(v);
    return fixed_order_sum(kernel_.n, [&](Offset u) { return static_cast<double>(row[u]); });
  }
  Sum self(Item v) const noexcept { return static_cast<double>(kernel_.row(v)[v]); }
  Sum chosen_sum(Item v) const noexcept { return chosen_[v]; }
  void add(Item v) noexcept {
    const T* row = kernel_.row(v);
    for (Item u = 0; u < kernel_.n; ++u) chosen_[u] += static_cast<double>(row[u]);
  }
  Sum lowest() const { return lowest_; }

 private:
  DenseView<T> kernel_;
  std::vector<double> chosen_;  // (n,) chosen_[v]: sum over i in S of s(i, v)
  double lowest_ = 0.0;
};

/// A symmetric sparse graph; a pair without an edge has similarity 0.
template <class W>
class GraphCutEdges {
 public:
  using Sum = std::conditional_t<std::is_integral_v<W>, std::int64_t, double>;

  explicit GraphCutEdges(GraphView<W> graph)
      : graph_(graph),
        self_(static_cast<std::size_t>(graph.n)),
        chosen_(static_cast<std::size_t>(graph.n)) {
    for (Item v = 0; v < graph.n; ++v) {
      graph.each_neighbour(v, [&](Item u, W w) {
        const auto weight = static_cast<Sum>(w);
        if (u == v) {
          self_[v] = weight;
        } else {
          lowest_ = std::min(lowest_, weight);
        }
      });
    }
  }

  Item size() const { return graph_.n; }
  Sum row_sum(Item v) const noexcept {
    Sum total = 0;
    graph_.each_neighbour(v, [&](Item, W w) { total += static_cast<Sum>(w); });
    return total;
  }
  Sum self(Item v) const noexcept { return self_[v]; }
  Sum chosen_sum(Item v) const noexcept { return chosen_[v]; }
  void add(Item v) noexcept {
    graph_.each_neighbour(v, [&](Item u, W w) { chosen_[u] += static_cast<Sum>(w); });
  }
  Sum lowest() const { return lowest_; }

 private:
  GraphView<W> graph_;
  std::vector<Sum> self_, chosen_;  // (n,)
  Sum lowest_ = 0;
};

/// f over any cut source. `unit` is what one unit of a similarity is worth where gains are shown.
///
/// A chosen sum only grows where no similarity is negative, and every step from it to the gain is
/// monotone in floating point, so then gains never rise. With negative similarities the kernel
/// s + m, m = -lowest, has the same greedy order (all gains of a round move by the same amount)
/// and is non-negative; in terms of s this says that a gain can rise by 2 * penalty * m an
/// addition.
template <class Source>
class GraphCut {
 public:
  using Gain = double;

  GraphCut(Source source, double penalty, double unit)
      : source_(std::move(source)),
        penalty_(penalty),
        unit_(unit),
        row_sum_(static_cast<std::size_t>(source_.size())) {
    double largest = 0.0;  // of any number that a gain is made from
    for (Item v = 0; v < size(); ++v) {
      row_sum_[v] = static_cast<double>(source_.row_sum(v));
      largest = std::max({largest, std::abs(row_sum_[v]), std::abs(self(v))});
    }
    const double m = -static_cast<double>(source_.lowest());
    if (m > 0.0) {
      // Rounding: chosen sums stay below |row sum| + 2 n m, and one gain is some ten operations.
      const double reach = (1.0 + 2.0 * penalty) * (largest + 2.0 * m * size());
      rise_ = 2.0 * penalty * m * (1.0 + 0x1p-30) + reach * 0x1p-45;
    }
  }

  Item size() const { return source_.size(); }
  Gain gain(Item v) const noexcept {
    const auto chosen = source_.chosen_sum(v);
    return row_sum_[v] - penalty_ * static_cast<double>(chosen + chosen + source_.self(v));
  }
  void add(Item v) noexcept {
    source_.add(v);
    ++chosen_;
  }
  Gain risen() const { return rise_ * chosen_; }
  double shown(Gain gain) const { return gain * unit_; }

  /// For sets of one size, f over s + m is f over s plus a constant; it is submodular, and monotone
  /// after c per row is added, -c the smallest gain that any row can have on top of all others.
  double slack() const {
    const double m = -static_cast<double>(source_.lowest());
    double last = 0.0;
    for (Item v = 0; v < size(); ++v) {
      const double row = row_sum_[v] + m * size();
      last = std::min(last, (1.0 - 2.0 * penalty_) * row + penalty_ * (self(v) + m));
    }
    return (m * size() - penalty_ * m * (2.0 * chosen_ + 1.0) - last) * unit_;
  }

 private:
  double self(Item v) const { return static_cast<double>(source_.self(v)); }

  Source source_;
  double penalty_, unit_;
  std::vector<double> row_sum_;  // (n,)
  double rise_ = 0.0;            // what an addition can raise any gain by
  Item chosen_ = 0;
};

}  // namespace smartx
