// The upper bounds that lazy greedy keeps, by template: the best of those whose turn it is.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "smartx/candidate.hpp"
#include "smartx/turns.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// A heap for each template, and above them a tournament of those that may give the next row.
template <class Gain>
class Bounds {
 public:
  explicit Bounds(const Turns& turns)
      : turns_(turns),
        heaps_(static_cast<std::size_t>(turns.templates())),
        winner_(2 * heaps_.size(), kNobody) {}

  /// Whether no template that may give has any left.
  bool empty() const { return winner_[1] == kNobody; }
  const Bound<Gain>& top() const { return heap(winner_[1]).front(); }
  void put(const Bound<Gain>& bound) {
    const Item t = turns_.of(bound.item);
    heap(t).push_back(bound);
    std::push_heap(heap(t).begin(), heap(t).end(), LosesTo{});
    play(t);
  }
  Bound<Gain> take() {
    const Item t = winner_[1];
    std::pop_heap(heap(t).begin(), heap(t).end(), LosesTo{});
    const Bound<Gain> top = heap(t).back();
    heap(t).pop_back();
    play(t);
    return top;
  }
  /// After a template has given a row.
  void turn() {
    for (const Item t : turns_.changed()) play(t);
  }

  /// As put, but nothing is to be taken until order() was called.
  void put_unordered(const Bound<Gain>& bound) { heap(turns_.of(bound.item)).push_back(bound); }
  void order() {
    for (auto& heap : heaps_) std::make_heap(heap.begin(), heap.end(), LosesTo{});
    for (Item t = 0; t < turns_.templates(); ++t) play(t);
  }
  /// Those of one template, in no promised order.
  std::vector<Bound<Gain>>& of(Item t) { return heap(t); }
  /// How many there are of templates that may give.
  Offset count() const {
    Offset count = 0;
    for (Item t = 0; t < turns_.templates(); ++t)
      if (turns_.may(t)) count += static_cast<Offset>(heap(t).size());
    return count;
  }

 private:
  static constexpr Item kNobody = -1;

  std::vector<Bound<Gain>>& heap(Item t) { return heaps_[static_cast<std::size_t>(t)]; }
  const std::vector<Bound<Gain>>& heap(Item t) const { return heaps_[static_cast<std::size_t>(t)]; }

  /// Every match that template t takes part in.
  void play(Item t) {
    std::size_t place = heaps_.size() + static_cast<std::size_t>(t);
    winner_[place] = turns_.may(t) && !heap(t).empty() ? t : kNobody;
    for (place /= 2; place > 0; place /= 2)
      winner_[place] = better(winner_[2 * place], winner_[2 * place + 1]);
  }
  Item better(Item t, Item other) const {
    if (t == kNobody || other == kNobody) return t == kNobody ? other : t;
    return LosesTo{}(heap(t).front(), heap(other).front()) ? other : t;
  }

  const Turns& turns_;
  std::vector<std::vector<Bound<Gain>>> heaps_;  // (templates,)
  std::vector<Item> winner_;  // (2 templates,) of the matches below place i; of all: 1
};

}  // namespace smartx
