// Log-determinant: f(S) = log det(K_S + ridge * I), K the similarities of the rows of S.
// Over kernels here, over rows in log_det_rows.hpp. A gain is the logarithm of a conditional
// variance; greedy compares the variances themselves.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/facility_location.hpp"
#include "smartx/graph.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Ridges of log-det over rows. Below, what rounding leaves of a row that repeats others decides,
/// and lazy greedy is not naive greedy; far above or below, squares leave float64.
constexpr double kLeastRidge = 1e-12, kMostRidge = 1e12;

inline double checked_ridge(double ridge) {
  if (ridge >= kLeastRidge && ridge <= kMostRidge) return ridge;
  throw std::invalid_argument("the ridge of log-det over rows is not from 1e-12 to 1e12");
}

/// Row `item` cannot be added: its conditional variance is not above zero.
struct NotPositiveDefinite : std::domain_error {
  NotPositiveDefinite(Item which, double variance)
      : std::domain_error("the kernel plus ridge is not positive definite: row " +
                          std::to_string(which) + " has conditional variance " +
                          std::to_string(variance)),
        item(which) {}
  Item item;
};

// A kernel source answers size() and double at(i, j), the similarity of rows i and j, for i = j and
// for an i that it was told to prepare(). Where it is kSemidefinite, no variance is below the ridge
// but for rounding.

template <class T>
struct DenseEntries {
  static constexpr bool kSemidefinite = false;
  DenseView<T> kernel;
  Item size() const { return kernel.n; }
  void prepare(Item) {}
  double at(Item i, Item j) const noexcept { return static_cast<double>(kernel.row(i)[j]); }
};

/// Entries of a symmetric sparse graph whose columns ascend; a missing edge is 0.
template <class W>
struct GraphEntries {
  static constexpr bool kSemidefinite = false;
  GraphView<W> graph;
  double unit;
  Item size() const { return graph.n; }
  void prepare(Item) {}
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
  static constexpr Offset kSweep = 2;

  /// gains runs on the threads of `context`.
  KernelLogDet(Source source, double ridge, const Context& context)
      : source_(std::move(source)),
        ridge_(Source::kSemidefinite ? checked_ridge(ridge) : ridge),
        context_(context),
        factor_(static_cast<std::size_t>(source_.size())) {
    for (Item v = 0; v < size(); ++v) variance_.push_back(source_.at(v, v) + ridge);
  }

  Item size() const { return source_.size(); }

  Gain gain(Item v) noexcept {
    extend(&v, 1);
    return variance(v);
  }
  /// A bound on a gain is the gain.
  void bounds(const Item* items, Item count, Gain* out) { gains(items, count, out); }
  void gains(const Item* items, Item count, Gain* out) {
    std::vector<Item> asked(items, items + count);
    std::sort(asked.begin(), asked.end(),
              [&](Item a, Item b) { return factor_[a].size() < factor_[b].size(); });
    parallel_for((count + kTogether - 1) / kTogether, context_, [&](Offset part) noexcept {
      const Item first = static_cast<Item>(part) * kTogether;
      extend(asked.data() + first, std::min(kTogether, count - first));
    });
    for (Item i = 0; i < count; ++i) out[i] = variance(items[i]);
  }
  Gain weigh(Item v) { return gain(v); }

  void add(Item v) {
    const double variance = gain(v);
    if (!(variance > 0.0)) throw NotPositiveDefinite(v, variance);
    source_.prepare(v);
    chosen_.push_back({v, std::sqrt(variance), std::vector<Eight>(factor_[v].size() / 8 + 1)});
    std::copy(factor_[v].begin(), factor_[v].end(), chosen_.back().factor.data()->values);
  }

  /// About two products of two values in the time of an operation, of a row at a time.
  Offset work(Item v) const {
    const auto all = static_cast<Offset>(chosen_.size());
    return (all - static_cast<Offset>(factor_[v].size()) + 1) * (all + 16) / 2;
  }
  Gain risen() const { return 0.0; }
  double shown(Gain variance) const { return natural_log(variance); }
  double slack() const { return std::max(0.0, -natural_log(ridge_)); }

 private:
  static constexpr Item kTogether = 8;  // rows of the factor that grow together

  /// A line of the cache: products of vectors that lie across two take a fifth longer.
  struct alignas(64) Eight {
    double values[8];
  };
  struct Chosen {
    Item item;
    double deviation;           // square root of its variance when it was chosen
    std::vector<Eight> factor;  // c of that moment, zeros at the end
  };

  double variance(Item v) const {
    return Source::kSemidefinite ? std::max(variance_[v], ridge_) : variance_[v];
  }

  /// Up to kTogether rows of the factor, the shortest first, get an entry for each addition.
  void extend(const Item* items, Item count) noexcept {
    const auto all = static_cast<Offset>(chosen_.size());
    const Offset width = ((all + 7) / 8 * 8) | 8;  // odd lines: rows share no sets of a cache
    thread_local std::vector<Eight> room;
    if (static_cast<Offset>(room.size()) <= width)
      room.resize(static_cast<std::size_t>(2 * width + 1));
    double* const rows = room.data()->values;
    double* const products = rows + kTogether * width;
    Offset known[kTogether] = {};
    for (Item i = 0; i < count; ++i) {  // what is not known yet meets zeros, and must be finite
      const std::vector<double>& factor = factor_[items[i]];
      known[i] = static_cast<Offset>(factor.size());
      double* const end = std::copy(factor.begin(), factor.end(), rows + i * width);
      for (Offset r = known[i]; r < all; ++r)
        end[r - known[i]] = source_.at(chosen_[r].item, items[i]);
      std::fill(rows + i * width + all, rows + (i + 1) * width, 0.0);
    }
    Item some = 0;
    for (Offset r = known[0]; r < all; ++r) {
      while (some < count && known[some] <= r) ++some;
      const Chosen& earlier = chosen_[r];
      const Item rounded = some > 4 ? 8 : 4;  // the others come for nothing
      context_.ops().real_dots(rows, rounded, width, (r + 7) / 8 * 8, earlier.factor.data()->values,
                               1, 0, products, 0);
      for (Item i = 0; i < some; ++i) {
        double& entry = rows[i * width + r];
        entry = (entry - products[i]) / earlier.deviation;
        variance_[items[i]] -= entry * entry;
      }
    }
    for (Item i = 0; i < count; ++i) {
      std::vector<double>& factor = factor_[items[i]];
      if (factor.capacity() < chosen_.size()) factor.reserve((chosen_.size() + 63) / 64 * 64);
      factor.insert(factor.end(), rows + i * width + known[i], rows + i * width + all);
    }
  }

  Source source_;
  double ridge_;
  Context context_;
  std::vector<std::vector<double>> factor_;  // c_j, as far as j was asked for
  std::vector<double> variance_;             // (n,), as of factor_[j].size() additions
  std::vector<Chosen> chosen_;
};

}  // namespace smartx
