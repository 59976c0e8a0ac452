// Lazy greedy by log-determinant, where bounds on gains cost much less than gains.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "smartx/bounds.hpp"
#include "smartx/candidate.hpp"
#include "smartx/context.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/turns.hpp"
#include "smartx/types.hpp"

namespace smartx {

template <class F, class = void>
struct has_weigh : std::false_type {};
template <class F>
struct has_weigh<F, std::void_t<decltype(std::declval<F&>().weigh(Item{}))>> : std::true_type {};

/// What greedy chooses (greedy.hpp), bit for bit. F is a set function over classes of equal rows
/// and has, for one caller at a time,
///   void bounds(const Item* items, Item count, double* out);  upper bounds on the gains of items
///   void gains(const Item* items, Item count, double* out);   their gains
///   double weigh(Item v);  gain(v) of an item that may well be added next
///   static constexpr Offset kSweep;  gains of all in the time of a bound that the heap gave
/// A round takes old bounds off their heaps and asks f for new ones while they can win, then asks
/// for gains in the order of the new bounds until no bound can beat the best gain. The winner is
/// the best of all rows that may be chosen, whatever the order of asking: after a round that had to
/// ask for many, as with few values, the next one asks for all of them, without a heap.
template <class F>
class LazyLogDet {
 public:
  LazyLogDet(F& f, const EqualRows& equal, Turns& turns, const Context& context)
      : f_(f), equal_(equal), turns_(turns), context_(context), old_(turns) {}

  /// As Greedy::run.
  Selection<double> run(Item budget, Span<const Item> already) {
    Selection<double> chosen;
    chosen.items.reserve(budget);
    chosen.gains.reserve(budget);
    if (already.size > 0) in_already_.assign(static_cast<std::size_t>(equal_.rows()), 0);
    for (const Item row : already) {
      f_.add(equal_.class_of(row));
      in_already_[row] = 1;
      context_.check();
    }
    std::vector<double> gains(static_cast<std::size_t>(f_.size()));
    parallel_for(
        f_.size(), context_, [&](Offset c) noexcept { gains[c] = f_.gain(static_cast<Item>(c)); },
        256);
    const double before = f_.risen();
    for (Item c = 0; c < f_.size(); ++c) {
      const Item row = not_already(equal_.first(c));
      if (row >= 0) old_.put_unordered({gains[c] - before, row});
    }
    old_.order();
    chosen.evaluations = f_.size();
    while (static_cast<Item>(chosen.items.size()) < budget) {
      risen_ = f_.risen();
      const Candidate<double> best = sweeping_ ? sweep() : settle();
      f_.add(equal_.class_of(best.item));
      turns_.give(turns_.of(best.item));
      // Competes now, with no more to gain than this.
      const Item after = not_already(equal_.after(best.item));
      if (sweeping_) {
        if (after >= 0) old_.put_unordered({best.gain - risen_, after});
      } else {
        old_.turn();
        if (after >= 0) old_.put({best.gain - risen_, after});
      }
      chosen.items.push_back(best.item);
      chosen.gains.push_back(best.gain);
      context_.check();
    }
    chosen.evaluations += evaluations_;
    return chosen;
  }

 private:
  /// The row, or the next one of its class that is not in S already; -1 where there is none.
  Item not_already(Item row) const {
    while (!in_already_.empty() && row >= 0 && in_already_[row]) row = equal_.after(row);
    return row;
  }

  Candidate<double> settle() {
    Candidate<double> best{};
    weighed_.clear();
    asked_ = 0;
    do {
      while (take(best)) {
        ask([this](auto... arguments) { f_.bounds(arguments...); });
        for (std::size_t i = 0; i < together_.size(); ++i) put_new({fresh_[i], together_[i]});
      }
    } while (weigh(best));
    for (const Bound<double>& bound : new_) old_.put({bound.key - risen_, bound.item});
    for (const Bound<double>& gain : weighed_)
      if (gain.item != best.item) old_.put({gain.key - risen_, gain.item});
    new_.clear();
    asked_before_ = asked_;
    sweeping_ = worth_sweep(asked_);
    return best;
  }

  /// A round that asks for the gains of all that may be chosen, and counts the rows that settle
  /// would have asked for.
  Candidate<double> sweep() {
    together_.clear();
    for (Item t = 0; t < turns_.templates(); ++t) {
      if (!turns_.may(t)) continue;
      for (const Bound<double>& bound : old_.of(t)) together_.push_back(bound.item);
    }
    ask([this](auto... arguments) { f_.gains(arguments...); });
    Candidate<double> best{};
    for (std::size_t i = 0; i < together_.size(); ++i) best.challenge(fresh_[i], together_[i]);
    asked_before_ = 0;
    const double* fresh = fresh_.data();
    for (Item t = 0; t < turns_.templates(); ++t) {
      if (!turns_.may(t)) continue;
      std::vector<Bound<double>>& own = old_.of(t);
      std::size_t won = own.size();
      for (std::size_t i = 0; i < own.size(); ++i) {
        asked_before_ += can_beat(allowed(own[i].key, risen_), own[i].item, best);
        if (own[i].item == best.item) won = i;
        own[i].key = *fresh++ - risen_;
      }
      if (won == own.size()) continue;
      own[won] = own.back();
      own.pop_back();
    }
    sweeping_ = worth_sweep(4 * asked_before_);  // the heap would have asked for more soon
    if (!sweeping_) old_.order();
    return best;
  }

  bool worth_sweep(Offset asked) const {
    return asked > std::max<Offset>(kMany, old_.count() / F::kSweep);
  }

  /// fresh_ becomes what f answers about the classes of together_.
  template <class Answer>
  void ask(const Answer& answer) {
    classes_.clear();
    for (const Item row : together_) classes_.push_back(equal_.class_of(row));
    fresh_.resize(classes_.size());
    answer(classes_.data(), static_cast<Item>(classes_.size()), fresh_.data());
    evaluations_ += static_cast<Offset>(classes_.size());
    context_.check();
  }

  static bool can_beat(double gain, Item row, const Candidate<double>& best) {
    return best.item < 0 || beats(gain, row, best.gain, best.item);
  }

  /// Moves rows that can beat `best` and every new bound to together_: most of what the round
  /// before needed, then a quarter at a time, more in a round that needs many.
  bool take(Candidate<double> best) {
    if (!new_.empty()) best.challenge(new_.front().key, new_.front().item);
    const Offset likely = asked_ == 0 ? asked_before_ * 3 / 4 : asked_before_ / 4;
    const Offset wanted = std::max({kFewest, likely, asked_ / 8});
    together_.clear();
    while (!old_.empty() && static_cast<Offset>(together_.size()) < wanted &&
           can_beat(allowed(old_.top().key, risen_), old_.top().item, best))
      together_.push_back(old_.take().item);
    asked_ += static_cast<Offset>(together_.size());
    return !together_.empty();
  }

  /// Asks for the gain of the row of the largest new bound, if it can beat the best.
  bool weigh(Candidate<double>& best) {
    if (new_.empty() || !can_beat(new_.front().key, new_.front().item, best)) return false;
    const Item row = take_new().item;
    const double gain = f_.weigh(equal_.class_of(row));
    best.challenge(gain, row);
    weighed_.push_back({gain, row});
    context_.check();
    return true;
  }

  void put_new(const Bound<double>& bound) {
    new_.push_back(bound);
    std::push_heap(new_.begin(), new_.end(), LosesTo{});
  }
  Bound<double> take_new() {
    std::pop_heap(new_.begin(), new_.end(), LosesTo{});
    const Bound<double> top = new_.back();
    new_.pop_back();
    return top;
  }

  static constexpr Offset kFewest = 8;  // rows asked for at once
  static constexpr Offset kMany = 64;   // rows to sweep

  F& f_;
  const EqualRows& equal_;
  Turns& turns_;
  const Context context_;
  std::vector<char> in_already_;  // (rows,), or empty
  double risen_ = 0.0;
  bool sweeping_ = false;           // old_ is in no order then, and all its rows are asked for
  Bounds<double> old_;              // of rounds before
  std::vector<Bound<double>> new_;  // a heap: of this round, gains not known
  std::vector<Bound<double>> weighed_;
  std::vector<Item> together_, classes_;
  std::vector<double> fresh_;
  Offset asked_ = 0, asked_before_ = 0, evaluations_ = 0;  // asked: in this round, the one before
};

/// f and the turns are as they are after the last addition; 0 <= budget <= rows less those in S
/// `already`.
template <class F>
Selection<double> greedy_log_det(F& f, const EqualRows& equal, Turns& turns, Item budget,
                                 Span<const Item> already, const Context& context) {
  return LazyLogDet<F>(f, equal, turns, context).run(budget, already);
}

}  // namespace smartx
