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

#include "smartx/context.hpp"
#include "smartx/dense_view.hpp"
#include "smartx/dot.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"
#include "smartx/vector_ops.hpp"

namespace smartx {

// A cut source holds the similarities and the chosen set:
//   Sum row_sum(v)  sum over i in V of s(i, v)     Sum self(v)  s(v, v)
//   Sum lowest(v)  the smallest s(i, v), i != v, or 0 where none is negative
//   Sum chosen_sum(v)  sum over i in S of s(i, v)  void add(v)  S becomes S + v
//   Item most()  how many rows S can have          Offset work()  operations of a chosen_sum
// Sum is int64 (exact) or double (one fixed order).

/// Q12 rows, or one of each class of equal rows, without any kernel: a sum of similarities is one
/// product with a sum of rows. For greedy that asks for every gain anew; what skips some is in
/// cut_rows.hpp.
class RowsCut {
 public:
  using Sum = std::int64_t;

  RowsCut(SomeRows rows, const Context& context)
      : rows_(rows),
        ops_(&context.ops()),
        sum_(static_cast<std::size_t>(rows.d)),
        all_(sum_rows(rows.all, context)),
        chosen_(sum_) {}

  Item size() const { return rows_.n; }
  Item most() const { return rows_.all.n; }
  Offset work() const { return rows_.d / 4 + 16; }
  Sum row_sum(Item v) const noexcept { return dot_with(all_, v); }
  Sum self(Item v) const noexcept { return norm2(rows_.row(v), rows_.d); }
  /// Not lower than this; nothing that needs it closer is asked of this source.
  Sum lowest(Item) const noexcept { return -kMaxSimilarity; }
  Sum chosen_sum(Item v) const noexcept {
    constexpr Item kFew = 16;  // values, of which a call takes longer than they do
    return rows_.d < kFew ? dot(rows_.row(v), sum_.data(), rows_.d) : dot_with(chosen_, v);
  }
  void add(Item v) {
    const std::int16_t* row = rows_.row(v);
    for (Item c = 0; c < rows_.d; ++c) sum_[c] += row[c];
    chosen_ = Digits(sum_);
  }

 private:
  Sum dot_with(const Digits& digits, Item v) const noexcept {
    const Item row = rows_.items == nullptr ? v : rows_.items[v];
    Sum sum = 0;
    digits.dots(*ops_, rows_.all.data, &row, 1, &sum);
    return sum;
  }

  SomeRows rows_;
  const VectorOpLevel* ops_;
  std::vector<std::int64_t> sum_;  // (d,) of the rows of S
  Digits all_, chosen_;            // sums of the rows of V and of S
};

/// A symmetric dense kernel.
template <class T>
class DenseCut {
 public:
  using Sum = double;

  explicit DenseCut(DenseView<T> kernel)
      : kernel_(kernel), chosen_(static_cast<std::size_t>(kernel.n)) {}

  Item size() const { return kernel_.n; }
  Item most() const { return kernel_.n; }
  Offset work() const { return 8; }
  Sum row_sum(Item v) const noexcept {
    const T* row = kernel_.row(v);
    return fixed_order_sum(kernel_.n, [&](Offset u) { return static_cast<double>(row[u]); });
  }
  Sum self(Item v) const noexcept { return static_cast<double>(kernel_.row(v)[v]); }
  Sum lowest(Item v) const noexcept {
    const T* row = kernel_.row(v);
    const T least = std::min(lowest_of(row, v), lowest_of(row + v + 1, kernel_.n - v - 1));
    return static_cast<double>(least);
  }
  Sum chosen_sum(Item v) const noexcept { return chosen_[v]; }
  void add(Item v) noexcept {
    const T* row = kernel_.row(v);
    for (Item u = 0; u < kernel_.n; ++u) chosen_[u] += static_cast<double>(row[u]);
  }

 private:
  static T lowest_of(const T* values, Item count) noexcept {
    T least[8] = {};
    Item i = 0;
    for (; i + 8 <= count; i += 8) {
      for (int lane = 0; lane < 8; ++lane)
        least[lane] = values[i + lane] < least[lane] ? values[i + lane] : least[lane];
    }
    for (; i < count; ++i) least[0] = std::min(least[0], values[i]);
    return *std::min_element(least, least + 8);
  }

  DenseView<T> kernel_;
  std::vector<double> chosen_;  // (n,) chosen_[v]: sum over i in S of s(i, v)
};

/// A symmetric sparse graph; a pair without an edge has similarity 0.
template <class W>
class GraphCutEdges {
 public:
  using Sum = std::conditional_t<std::is_integral_v<W>, std::int64_t, double>;

  explicit GraphCutEdges(GraphView<W> graph)
      : graph_(graph), chosen_(static_cast<std::size_t>(graph.n)) {}

  Item size() const { return graph_.n; }
  Item most() const { return graph_.n; }
  Offset work() const { return 8; }
  Sum row_sum(Item v) const noexcept {
    Sum total = 0;
    graph_.each_neighbour(v, [&](Item, W w) { total += static_cast<Sum>(w); });
    return total;
  }
  Sum self(Item v) const noexcept {
    Sum own = 0;
    graph_.each_neighbour(v, [&](Item u, W w) { own = u == v ? static_cast<Sum>(w) : own; });
    return own;
  }
  Sum lowest(Item v) const noexcept {
    Sum least = 0;
    graph_.each_neighbour(
        v, [&](Item u, W w) { least = u == v ? least : std::min(least, static_cast<Sum>(w)); });
    return least;
  }
  Sum chosen_sum(Item v) const noexcept { return chosen_[v]; }
  void add(Item v) noexcept {
    graph_.each_neighbour(v, [&](Item u, W w) { chosen_[u] += static_cast<Sum>(w); });
  }

 private:
  GraphView<W> graph_;
  std::vector<Sum> chosen_;  // (n,)
};

/// Throws std::invalid_argument unless gains, and sums of n of them, are numbers far from the end
/// of float64. `sum`: no sum of similarities that a gain is made from is larger.
void check_cut(double penalty, double sum, Item n);

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

  /// Throws std::invalid_argument where a gain may leave float64.
  GraphCut(Source source, double penalty, double unit, const Context& context)
      : source_(std::move(source)),
        penalty_(penalty),
        unit_(unit),
        row_sum_(static_cast<std::size_t>(source_.size())),
        self_(static_cast<std::size_t>(source_.size())) {
    struct alignas(64) Range {
      Sum lowest = 0;
      double largest = 0.0;  // of any number that a gain is made from
    };
    std::vector<Range> ranges(static_cast<std::size_t>(context.threads()));
    parallel_for(
        size(), context,
        [&](Offset i, int hand) noexcept {
          const auto v = static_cast<Item>(i);
          Range& range = ranges[static_cast<std::size_t>(hand)];
          row_sum_[i] = static_cast<double>(source_.row_sum(v));
          self_[i] = source_.self(v);
          range.lowest = std::min(range.lowest, source_.lowest(v));
          const double largest = std::max(std::abs(row_sum_[i]), std::abs(self(i)));
          range.largest = std::max(range.largest, std::isfinite(largest) ? largest : HUGE_VAL);
        },
        64);
    double largest = 0.0;
    for (const Range& range : ranges) {
      lowered_ = std::max(lowered_, -static_cast<double>(range.lowest));
      largest = std::max(largest, range.largest);
    }
    const double m = lowered_;
    const double sum = largest + 2.0 * m * source_.most();  // |row sum| + 2 n m: no sum is larger
    check_cut(penalty, sum, source_.most());
    // Rounding: one gain is some ten operations.
    if (m > 0.0) {
      const double reach = (1.0 + 2.0 * penalty) * sum;
      rise_ = 2.0 * penalty * m * (1.0 + 0x1p-30) + reach * 0x1p-45;
    }
  }

  Item size() const { return source_.size(); }
  Gain gain(Item v) const noexcept {
    const auto chosen = source_.chosen_sum(v);
    return row_sum_[v] - penalty_ * static_cast<double>(chosen + chosen + self_[v]);
  }
  void add(Item v) {
    source_.add(v);
    ++chosen_;
  }
  Gain risen() const { return rise_ * chosen_; }
  Offset work(Item) const { return source_.work(); }
  double shown(Gain gain) const { return gain * unit_; }

  /// For sets of one size, f over s + m is f over s plus a constant; it is submodular, and monotone
  /// after c per row is added, -c the smallest gain that any row can have on top of all others.
  double slack() const {
    const double m = lowered_, all = m * source_.most();
    double last = 0.0;
    for (Item v = 0; v < size(); ++v)
      last =
          std::min(last, (1.0 - 2.0 * penalty_) * (row_sum_[v] + all) + penalty_ * (self(v) + m));
    return (all - penalty_ * m * (2.0 * chosen_ + 1.0) - last) * unit_;
  }

 private:
  using Sum = typename Source::Sum;
  double self(Offset v) const { return static_cast<double>(self_[v]); }

  Source source_;
  double penalty_, unit_;
  std::vector<double> row_sum_;  // (n,)
  std::vector<Sum> self_;        // (n,)
  double lowered_ = 0.0;         // m
  double rise_ = 0.0;            // what an addition can raise any gain by
  Item chosen_ = 0;
};

}  // namespace smartx
