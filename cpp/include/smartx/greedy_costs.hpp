// Greedy where every row has a cost and their sum is limited (a knapsack).
#pragma once

#include <algorithm>
#include <vector>

#include "smartx/certificate.hpp"
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

/// One run of greedy, over classes of rows that are equal and cost the same (greedy.hpp): the row
/// of best score that still fits, ties to the lower row, until nothing fits. A score is a gain, or
/// (`by_cost`) a gain per cost. Lazy gives what naive gives: for one row a score rises and falls
/// with the gain, so a bound on the gain bounds the score.
template <class F>
class CostGreedy {
  using Gain = typename F::Gain;

 public:
  CostGreedy(F& f, const EqualRows& equal, const Costs& costs, bool by_cost,
             const GreedyOptions& options, const Context& context)
      : f_(f),
        equal_(equal),
        costs_(costs),
        by_cost_(by_cost),
        options_(options),
        context_(context) {}

  Selection<Gain> run() {
    std::vector<Item> items;
    for (Item c = 0; c < equal_.classes(); ++c) {
      if (fits(equal_.first(c))) items.push_back(equal_.first(c));
    }
    refresh(items);
    while (true) {
      if (options_.optimizer == Optimizer::kNaive && !chosen_.items.empty()) refresh(remaining());
      if (f_.risen() != risen_) raise_bounds();
      const Scored best = settle();
      if (best.item < 0) return std::move(chosen_);
      f_.add(equal_.class_of(best.item));
      spent_ += costs_.of[best.item];
      chosen_.items.push_back(best.item);
      chosen_.gains.push_back(best.gain);
      const Item after = equal_.after(best.item);
      if (after >= 0) push({best.score, best.gain, after, -1});  // its gain now is no larger
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
        [&](Offset i) noexcept { gains[i] = f_.gain(equal_.class_of(items[i])); }, 4);
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

  void push(const Scored& bound) {
    heap_.push_back(bound);
    std::push_heap(heap_.begin(), heap_.end(), loses_to);
  }

  Scored settle() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), loses_to);
      Scored top = heap_.back();
      heap_.pop_back();
      if (!fits(top.item)) continue;  // and never will again
      if (top.round == round()) return top;
      if ((++chosen_.evaluations & 15) == 0) context_.check();
      const Gain gain = f_.gain(equal_.class_of(top.item));
      push({score(gain, top.item), gain, top.item, round()});
    }
    return {};
  }

  F& f_;
  const EqualRows& equal_;
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
double cost_gap(F& f, const EqualRows& equal, const std::vector<Item>& chosen, const Costs& costs,
                const Context& context) {
  const Remaining rest = remaining(f, equal, chosen, context);
  std::vector<Item> classes;
  for (Item c = 0; c < equal.classes(); ++c) {
    if (rest.rows[c] > 0 && costs.of[equal.first(c)] <= costs.total) classes.push_back(c);
  }
  const auto cost = [&](Item c) { return costs.of[equal.first(c)]; };
  std::sort(classes.begin(), classes.end(), [&](Item a, Item b) {
    return beats(rest.gains[a] / cost(a), a, rest.gains[b] / cost(b), b);
  });
  double left = costs.total, gap = 0.0;
  for (const Item c : classes) {
    for (Item copy = 0; copy < rest.rows[c]; ++copy) {
      const double part = std::min(1.0, left / cost(c));
      gap += part * rest.gains[c];
      left -= part * cost(c);
      if (part < 1.0) return gap;
    }
  }
  return gap;
}

}  // namespace smartx
