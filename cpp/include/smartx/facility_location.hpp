// Facility location: f(S) = sum over u of max(0, the largest s(v, u) with v in S).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/dense_view.hpp"
#include "smartx/graph.hpp"
#include "smartx/kernel16_cover.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"

namespace smartx {

// A cover is a source of similarities: Weight (how they are stored), Gain (how they are summed),
//   Gain gain(Item v, const Weight* best)  sum over u of max(0, s(v, u) - best[u])
//   void cover(Item v, Weight* best)       best[u] becomes max(best[u], s(v, u))
//   kPadding                               weights behind the last of `best` that it may read
// Each gain is a sum, in one fixed order, of terms that can only shrink while `best` rises, so it
// never rises, not even by rounding.

/// A kernel of the caller, in float or double.
template <class T>
struct DenseCover {
  using Weight = T;
  using Gain = double;
  static constexpr Item kPadding = 0;

  Item size() const { return kernel.size(); }
  Item covered() const { return kernel.size(); }
  Gain gain(Item v, const T* best) const noexcept {
    const T* row = kernel.row(v);
    return fixed_order_sum(kernel.size(), [&](Offset u) {
      return std::max(0.0, static_cast<double>(row[u]) - static_cast<double>(best[u]));
    });
  }
  void cover(Item v, T* best) const noexcept {
    const T* row = kernel.row(v);
    for (Item u = 0; u < kernel.size(); ++u) best[u] = std::max(best[u], row[u]);
  }

  Offset work(Item) const { return kernel.size(); }

  DenseView<T> kernel;
};

/// A sparse graph; a pair without an edge has similarity 0.
template <class W>
struct GraphCover {
  using Weight = W;
  using Gain = std::conditional_t<std::is_integral_v<W>, std::int64_t, double>;
  static constexpr Item kPadding = 0;

  Item size() const { return graph.size(); }
  Item covered() const { return graph.size(); }
  Gain gain(Item v, const W* best) const noexcept {
    Gain total = 0;
    graph.each_neighbour(v, [&](Item u, W w) {
      total += std::max(Gain{0}, static_cast<Gain>(w) - static_cast<Gain>(best[u]));
    });
    return total;
  }
  void cover(Item v, W* best) const noexcept {
    graph.each_neighbour(v, [&](Item u, W w) { best[u] = std::max(best[u], w); });
  }

  Offset work(Item) const { return graph.entries() / std::max<Item>(graph.n, 1); }

  GraphView<W> graph;
};

/// f over any cover. `unit` is what one unit of a gain is worth where gains are shown.
template <class Cover>
class FacilityLocation {
 public:
  using Gain = typename Cover::Gain;

  /// Throws std::invalid_argument where a sum of gains may leave float64.
  FacilityLocation(Cover cover, double unit, const Context& context)
      : cover_(std::move(cover)),
        unit_(unit),
        best_(static_cast<std::size_t>(cover_.covered()) + Cover::kPadding) {
    if constexpr (kReal) find_first_gains(context);
  }

  /// S becomes one that covers u as well as best[u] says, (covered,).
  void start(const typename Cover::Weight* best) {
    std::copy_n(best, cover_.covered(), best_.begin());
    first_.clear();
  }

  Item size() const { return cover_.size(); }
  Gain gain(Item v) noexcept {
    if (!first_.empty()) return first_[v];
    return cover_.gain(v, best_.data());
  }
  void add(Item v) noexcept {
    cover_.cover(v, best_.data());
    first_.clear();
  }
  Gain risen() const { return 0; }
  Offset work(Item v) const { return cover_.work(v); }
  double shown(Gain gain) const { return static_cast<double>(gain) * unit_; }
  double slack() const { return 0.0; }

 private:
  static constexpr bool kReal = std::is_floating_point_v<Gain>;

  void find_first_gains(const Context& context) {
    first_.resize(static_cast<std::size_t>(size()));
    parallel_for(
        size(), context,
        [&](Offset v) noexcept { first_[v] = cover_.gain(static_cast<Item>(v), best_.data()); }, 8);
    for (const Gain gain : first_) {
      if (!(gain * size() <= std::numeric_limits<double>::max()))
        throw std::invalid_argument(
            "facility location: similarities sum to more than float64 holds; scale them down");
    }
  }

  Cover cover_;
  double unit_;
  std::vector<typename Cover::Weight> best_;  // best_[u]: how well S covers u so far; starts at 0
  std::vector<Gain> first_;                   // (n,) gains while S is empty, where they are reals
};

}  // namespace smartx
