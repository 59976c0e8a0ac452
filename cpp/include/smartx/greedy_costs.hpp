// Greedy where every row has a cost and their sum is limited (a knapsack).
#pragma once

#include <algorithm>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/greedy.hpp"
#include "smartx/set_function.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// What each row costs (> 0), and what all chosen rows may cost together.
struct Costs {
  const double* of = nullptr;  // (n,); null: every row costs the same and a budget counts rows
  double total = 0.0;
};

/// One run of greedy: the row of best score that still fits, ties to the lower row, until nothing
/// fits. A score is a gain, or (`by_cost`) a gain per cost. Lazy gives what naive gives: for one
/// row a score rises and falls with the gain, so a bound on the gain bounds the score.
template <class F>
class CostGreedy {
  using Gain = typename F::Gain;

 public:
  CostGreedy(F& f, const Costs& costs, bool by_cost, const GreedyOptions& options,
             const Context& context)
      : f_(f), costs_(costs), by_cost_(by_cost), options_(options), context_(context) {}

  Selection<Gain> run() {
    std::vector<Item> items;
    for (Item item = 0; item < f_.size(); ++item) {
      if (fits(item)) items.push_back(item);
    }
    refresh(items);
    while (true) {
      if (options_.optimizer == Optimizer::kNaive && !chosen_.items.empty()) refresh(remaining());
      if (f_.risen() != risen_) raise_bounds();
      const Scored best = settle();
      if (best.item < 0) return std::move(chosen_);
      f_.add(best.item);
      spent_ += costs_.of[best.item];
      chosen_.items.push_back(best.item);
      chosen_.gains.push_back(best.gain);
      context_.check();
    }
  }

 private:
  struct Scored {
    double score;
    Gain gain;  // of round `round`
    Item item = -1;
    Item round = -1;
  };
  static bool loses_to(const Scored& a, const Scored& b) {
    return beats(b.score, b.item, a.score, a.item);
  }

  bool fits(Item item) const { return spent_ + costs_.of[item] <= costs_.total; }
  Item round() const { return static_cast<Item>(chosen_.items.size()); }
  double score(Gain gain, Item item) const {
    return by_cost_ ? f_.shown(gain) / costs_.of[item] : f_.shown(gain);
  }

  std::vector<Item> remaining() const {
    std::vector<Item> items;
    for (const Scored& bound : heap_) {
      if (fits(bound.item)) items.push_back(bound.item);
    }
    return items;
  }

  /// The heap becomes the gains of `items`, all asked for.
  void refresh(const std::vector<Item>& items) {
    std::vector<Gain> gains(items.size());
    parallel_for(
        static_cast<Offset>(items.size()), context_,
        [&](Offset i) noexcept { gains[i] = f_.gain(items[i]); }, 16);
    chosen_.evaluations += static_cast<Offset>(items.size());
    heap_.clear();
    for (std::size_t i = 0; i < items.size(); ++i)
      heap_.push_back({score(gains[i], items[i]), gains[i], items[i], round()});
    std::make_heap(heap_.begin(), heap_.end(), loses_to);
    risen_ = f_.risen();
  }

  /// Every bound allows for what gains have risen since the heap was made.
  void raise_bounds() {
    const Gain now = f_.risen();
    for (Scored& bound : heap_) {
      bound.gain = allowed(static_cast<Gain>(bound.gain - risen_), now);
      bound.round = -1;
      bound.score = score(bound.gain, bound.item);
    }
    std::make_heap(heap_.begin(), heap_.end(), loses_to);
    risen_ = now;
  }

  Scored settle() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), loses_to);
      Scored top = heap_.back();
      heap_.pop_back();
      if (!fits(top.item)) continue;  // and never will again
      if (top.round == round()) return top;
      if ((++chosen_.evaluations & 15) == 0) context_.check();
      const Gain gain = f_.gain(top.item);
      heap_.push_back({score(gain, top.item), gain, top.item, round()});
      std::push_heap(heap_.begin(), heap_.end(), loses_to);
    }
    return {};
  }

  F& f_;
  const Costs costs_;
  const bool by_cost_;
  const GreedyOptions options_;
  const Context context_;
  Selection<Gain> chosen_;
  std::vector<Scored> heap_;
  Gain risen_ = 0;
  double spent_ = 0.0;
};

/// No set that costs at most `total` is worth more than S plus this: f is monotone and submodular,
/// so it is at most the fractional knapsack of the remaining gains.
template <class F>
double cost_gap(F& f, const std::vector<Item>& chosen, const Costs& costs, const Context& context) {
  std::vector<char> taken(static_cast<std::size_t>(f.size()), 0);
  for (const Item item : chosen) taken[item] = 1;
  std::vector<Item> rest;
  for (Item v = 0; v < f.size(); ++v) {
    if (!taken[v] && costs.of[v] <= costs.total) rest.push_back(v);
  }
  std::vector<double> gains(static_cast<std::size_t>(f.size()));
  parallel_for(
      static_cast<Offset>(rest.size()), context,
      [&](Offset i) noexcept { gains[rest[i]] = std::max(0.0, f.shown(f.gain(rest[i]))); }, 16);
  std::sort(rest.begin(), rest.end(), [&](Item a, Item b) {
    return beats(gains[a] / costs.of[a], a, gains[b] / costs.of[b], b);
  });
  double left = costs.total, gap = 0.0;
  for (const Item v : rest) {
    const double part = std::min(1.0, left / costs.of[v]);
    gap += part * gains[v];
    left -= part * costs.of[v];
    if (part < 1.0) break;
  }
  return gap;
}

}  // namespace smartx
