// Facility location: f(S) = sum over u of max(0, the largest s(v, u) with v in S).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "smartx/graph.hpp"
#include "smartx/kernel16_cover.hpp"
#include "smartx/real.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// A dense n x n matrix that somebody else owns. Row v lists what v covers.
template <class T>
struct DenseView {
  const T* data = nullptr;
  Item n = 0;

  Item size() const { return n; }
  const T* row(Item v) const { return data + static_cast<Offset>(v) * n; }
};

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

  FacilityLocation(Cover cover, double unit)
      : cover_(cover),
        unit_(unit),
        best_(static_cast<std::size_t>(cover.covered()) + Cover::kPadding) {}

  Item size() const { return cover_.size(); }
  Gain gain(Item v) const noexcept { return cover_.gain(v, best_.data()); }
  void add(Item v) noexcept { cover_.cover(v, best_.data()); }
  Gain risen() const { return 0; }
  Offset work(Item v) const { return cover_.work(v); }
  double shown(Gain gain) const { return static_cast<double>(gain) * unit_; }
  double slack() const { return 0.0; }

 private:
  Cover cover_;
  double unit_;
  std::vector<typename Cover::Weight> best_;  // best_[u]: how well S covers u so far; starts at 0
};

}  // namespace smartx
