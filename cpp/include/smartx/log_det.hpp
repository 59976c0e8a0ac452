// Log-determinant: f(S) = log det(K_S + ridge * I), K the similarities of the rows of S.
// Over kernels here, over rows in log_det_rows.hpp. A gain is the logarithm of a conditional
// variance; greedy compares the variances themselves.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "smartx/facility_location.hpp"
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
    factor.reserve(chosen_.size());  // no more than it needs: |S| values a row is the most there is
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
