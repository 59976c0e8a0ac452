// Greedy maximisation of any set function: naive, lazy, stochastic, lazier-than-lazy.
// In every round the row with the largest gain is added; ties go to the lower row. Lazy gives what
// naive gives and lazier-than-lazy what stochastic gives, always and bit for bit: they only skip
// rows whose upper bound cannot win.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "smartx/candidate.hpp"
#include "smartx/context.hpp"
#include "smartx/real.hpp"
#include "smartx/rng.hpp"
#include "smartx/set_function.hpp"
#include "smartx/types.hpp"

namespace smartx {

enum class Optimizer { kNaive, kLazy, kStochastic, kLazierThanLazy };

struct GreedyOptions {
  Optimizer optimizer = Optimizer::kLazy;
  std::uint64_t seed = 0;  // of the samples of stochastic and lazier-than-lazy
  double epsilon = 0.01;   // their sample is ceil(n / budget * log(1 / epsilon)) rows a round
};

/// One run of greedy over a set function; f ends as it is after the last addition.
template <class F>
class Greedy {
  static_assert(is_set_function<F>::value, "F is not a set function: see set_function.hpp");
  using Gain = typename F::Gain;

 public:
  Greedy(F& f, const GreedyOptions& options, const Context& context)
      : f_(f), options_(options), context_(context) {}

  /// 0 <= budget <= n, less what is in S `already`: rows that are added first and not returned.
  Selection<Gain> run(Item budget, const std::vector<Item>& already = {}) {
    in_already_.assign(static_cast<std::size_t>(f_.size()), 0);
    for (const Item item : already) {
      f_.add(item);
      in_already_[item] = 1;
    }
    chosen_.items.reserve(budget);
    chosen_.gains.reserve(budget);
    if (budget > 0) {
      switch (options_.optimizer) {
        case Optimizer::kNaive:
          naive(budget);
          break;
        case Optimizer::kLazy:
          lazy(budget);
          break;
        case Optimizer::kStochastic:
          stochastic(budget, false);
          break;
        case Optimizer::kLazierThanLazy:
          stochastic(budget, true);
          break;
      }
    }
    return std::move(chosen_);
  }

 private:
  /// The gains of many rows at once: gains[i] is that of items[i].
  void evaluate(const std::vector<Item>& items, std::vector<Gain>& gains) {
    const auto count = static_cast<Offset>(items.size());
    gains.resize(items.size());
    chosen_.evaluations += count;
    const Offset each = (count + context_.threads() - 1) / context_.threads();
    const Offset together = std::min(kTogether, std::max(kShared, each));
    const Offset parts = (count + together - 1) / together;
    parallel_for(parts, worth_threads(items) ? context_ : context_.alone(),
                 [&](Offset part) noexcept {
                   const Offset last = std::min(count, (part + 1) * together);
                   for (Offset i = part * together; i < last; ++i) gains[i] = f_.gain(items[i]);
                 });
  }

  bool worth_threads(const std::vector<Item>& items) const {
    Offset operations = 0;
    for (std::size_t i = 0; i < items.size() && operations < kWorthThreads; ++i)
      operations += work(items[i]);
    return operations >= kWorthThreads;
  }

  /// About how many operations a gain takes.
  Offset work(Item item) const {
    if constexpr (has_work<F>::value) {
      return f_.work(item);
    } else {
      return 512;
    }
  }

  std::vector<Item> all_items() const {
    std::vector<Item> items;
    items.reserve(in_already_.size());
    for (Item item = 0; item < f_.size(); ++item) {
      if (!in_already_[item]) items.push_back(item);
    }
    return items;
  }

  void add(const Candidate<Gain>& winner) {
    f_.add(winner.item);
    chosen_.items.push_back(winner.item);
    chosen_.gains.push_back(winner.gain);
    context_.check();
  }

  void naive(Item budget) {
    std::vector<Item> remaining = all_items();  // ascending
    std::vector<Gain> gains;
    for (Item round = 0; round < budget; ++round) {
      evaluate(remaining, gains);
      Candidate<Gain> best{};
      for (std::size_t i = 0; i < remaining.size(); ++i) best.challenge(gains[i], remaining[i]);
      add(best);
      remaining.erase(std::lower_bound(remaining.begin(), remaining.end(), best.item));
    }
  }

  void lazy(Item budget) {
    const std::vector<Item> items = all_items();
    std::vector<Gain> gains;
    evaluate(items, gains);
    std::vector<Bound<Gain>> heap, parked;
    for (std::size_t i = 0; i < items.size(); ++i) heap.push_back({gains[i], items[i]});
    std::make_heap(heap.begin(), heap.end(), LosesTo{});
    for (Item round = 0; round < budget; ++round) {
      const Candidate<Gain> best = round == 0 ? pop_fresh(heap) : settle(heap, parked);
      for (const Bound<Gain>& bound : parked) {
        heap.push_back(bound);
        std::push_heap(heap.begin(), heap.end(), LosesTo{});
      }
      add(best);
    }
  }

  Candidate<Gain> pop_fresh(std::vector<Bound<Gain>>& heap) {
    std::pop_heap(heap.begin(), heap.end(), LosesTo{});
    const Candidate<Gain> best{heap.back().key, heap.back().item};
    heap.pop_back();
    return best;
  }

  /// Takes bounds off the heap and asks for their gains until no bound left can beat the best gain.
  /// Those asked for that did not win are left in `parked`, as bounds of this round. The winner is
  /// the best of all rows of the heap, whatever the order of asking, so several are asked at once.
  Candidate<Gain> settle(std::vector<Bound<Gain>>& heap, std::vector<Bound<Gain>>& parked) {
    const Gain risen = f_.risen();
    Candidate<Gain> best{};
    parked.clear();
    Offset asked = 0;
    if constexpr (has_bounds<F>::value) {
      std::vector<Bound<Gain>>& tight = tight_;
      tight.clear();
      do {
        while (take(heap, risen, tight.empty() ? best : strongest(best, tight.front()), asked)) {
          bound(together_, tight);
        }
      } while (weigh_first(tight, risen, best, parked));
      for (const Bound<Gain>& other : tight) parked.push_back({other.key - risen, other.item});
    } else {
      while (take(heap, risen, best, asked)) {
        evaluate(together_, fresh_);
        for (std::size_t i = 0; i < together_.size(); ++i) {
          best.challenge(fresh_[i], together_[i]);
          parked.push_back({fresh_[i] - risen, together_[i]});
        }
      }
    }
    for (std::size_t i = 0; i < parked.size(); ++i) {
      if (parked[i].item == best.item) {
        parked[i] = parked.back();
        parked.pop_back();
        break;
      }
    }
    asked_before_ = asked;
    return best;
  }

  /// Moves the rows on top of the heap that can beat `best` to together_: a share of what the round
  /// before needed, then a quarter at a time, more in a round that needs many. False if there is
  /// none.
  bool take(std::vector<Bound<Gain>>& heap, Gain risen, const Candidate<Gain>& best,
            Offset& asked) {
    const Offset likely = asked == 0 ? asked_before_ * kAtFirst / 4 : asked_before_ / 4;
    const Offset wanted = std::max({kFewest, likely, asked / 8});
    together_.clear();
    while (!heap.empty() && static_cast<Offset>(together_.size()) < wanted) {
      const Bound<Gain> top = heap.front();
      if (best.item >= 0 && !beats(allowed(top.key, risen), top.item, best.gain, best.item)) break;
      std::pop_heap(heap.begin(), heap.end(), LosesTo{});
      heap.pop_back();
      together_.push_back(top.item);
    }
    asked += static_cast<Offset>(together_.size());
    return !together_.empty();
  }

  static Candidate<Gain> strongest(Candidate<Gain> best, const Bound<Gain>& bound) {
    best.challenge(bound.key, bound.item);
    return best;
  }

  /// Adds the upper bounds of f on the gains of `items` to the heap `tight`.
  void bound(const std::vector<Item>& items, std::vector<Bound<Gain>>& tight) {
    fresh_.resize(items.size());
    f_.bounds(items.data(), static_cast<Item>(items.size()), fresh_.data());
    chosen_.evaluations += static_cast<Offset>(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      tight.push_back({fresh_[i], items[i]});
      std::push_heap(tight.begin(), tight.end(), LosesTo{});
    }
  }

  /// Asks for the gain of the row on top of `tight`, if it can beat the best.
  bool weigh_first(std::vector<Bound<Gain>>& tight, Gain risen, Candidate<Gain>& best,
                   std::vector<Bound<Gain>>& parked) {
    if (tight.empty()) return false;
    const Bound<Gain> top = tight.front();
    if (best.item >= 0 && !beats(top.key, top.item, best.gain, best.item)) return false;
    std::pop_heap(tight.begin(), tight.end(), LosesTo{});
    tight.pop_back();
    const Gain gain = f_.weigh(top.item);
    best.challenge(gain, top.item);
    parked.push_back({gain - risen, top.item});
    return true;
  }

  /// Rows a round: ceil(n / budget * log(1 / epsilon)), at least 1.
  Offset sample_size(Item budget) const {
    const double wanted =
        std::ceil(f_.size() / static_cast<double>(budget) * -natural_log(options_.epsilon));
    return std::max<Offset>(1, static_cast<Offset>(std::min(wanted, 2147483647.0)));
  }

  void stochastic(Item budget, bool lazily) {
    const Offset sample = sample_size(budget);
    std::vector<Item> remaining = all_items();
    std::vector<Gain> gains, keys;  // keys[v]: bound of v where asked[v]
    std::vector<char> asked;
    if (lazily) {
      keys.resize(in_already_.size());
      asked.assign(in_already_.size(), 0);
    }
    for (Item round = 0; round < budget; ++round) {
      const std::vector<Item> items = draw(remaining, sample, round);
      const Candidate<Gain> best =
          lazily ? best_by_bounds(items, keys, asked) : best_of(items, gains);
      add(best);
      const auto place = std::find(remaining.begin(), remaining.end(), best.item);
      *place = remaining.back();
      remaining.pop_back();
    }
  }

  static constexpr std::uint64_t kSampleStream = 5;  // GREEDY_SAMPLE of python/smartx/draws.py

  /// Moves a sample without replacement to the front of `remaining` and returns it; all of it once
  /// the sample is as large.
  std::vector<Item> draw(std::vector<Item>& remaining, Offset sample, Item round) const {
    const auto left = static_cast<Offset>(remaining.size());
    if (sample >= left) return remaining;
    const Draws draws(options_.seed, kSampleStream);
    const auto first = static_cast<std::uint64_t>(round) << 32;
    for (Offset i = 0; i < sample; ++i) {
      const Offset other = i + draws.below(left - i, first + static_cast<std::uint64_t>(i));
      std::swap(remaining[i], remaining[other]);
    }
    return std::vector<Item>(remaining.begin(), remaining.begin() + sample);
  }

  Candidate<Gain> best_of(const std::vector<Item>& items, std::vector<Gain>& gains) {
    evaluate(items, gains);
    Candidate<Gain> best{};
    for (std::size_t i = 0; i < items.size(); ++i) best.challenge(gains[i], items[i]);
    return best;
  }

  /// The same row as best_of, asking only where a bound of an earlier round can still win. Rows
  /// never asked for have no bound, so they are asked for first.
  Candidate<Gain> best_by_bounds(const std::vector<Item>& items, std::vector<Gain>& keys,
                                 std::vector<char>& asked) {
    const Gain risen = f_.risen();
    std::vector<Item> unknown;
    std::vector<Bound<Gain>> heap, parked;
    for (const Item item : items) {
      if (asked[item]) {
        heap.push_back({keys[item], item});
      } else {
        unknown.push_back(item);
      }
    }
    std::vector<Gain> gains;
    Candidate<Gain> best = best_of(unknown, gains);
    for (std::size_t i = 0; i < unknown.size(); ++i) {
      keys[unknown[i]] = gains[i] - risen;
      asked[unknown[i]] = 1;
    }
    std::make_heap(heap.begin(), heap.end(), LosesTo{});
    const Bound<Gain>* top = heap.empty() ? nullptr : &heap.front();
    if (top &&
        (best.item < 0 || beats(allowed(top->key, risen), top->item, best.gain, best.item))) {
      const Candidate<Gain> settled = settle(heap, parked);
      for (const Bound<Gain>& bound : parked) keys[bound.item] = bound.key;
      best.challenge(settled.gain, settled.item);
    }
    return best;
  }

  F& f_;
  const GreedyOptions options_;
  const Context context_;
  Selection<Gain> chosen_;

  static constexpr Offset kTogether = 32;  // rows in one part, where there are many
  static constexpr Offset kFewest = has_bounds<F>::value ? 8 : 2;   // rows asked at once
  static constexpr Offset kAtFirst = has_bounds<F>::value ? 3 : 2;  // quarters: bounds are cheap
  static constexpr Offset kShared = 4;              // of them in one part, where there are few
  static constexpr Offset kWorthThreads = 1 << 14;  // operations (0.25 ns each): 4 us
  Offset asked_before_ = 0;                         // rows that the last round asked for
  std::vector<char> in_already_;                    // (n,)
  std::vector<Item> together_;
  std::vector<Gain> fresh_;
  std::vector<Bound<Gain>> tight_;  // heap of the bounds that f gave in this round
};

}  // namespace smartx
