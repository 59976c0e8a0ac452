// Greedy maximisation of any set function: naive, lazy, stochastic, lazier-than-lazy.
// In every round the row with the largest gain is added; ties go to the lower row. Lazy gives what
// naive gives and lazier-than-lazy what stochastic gives, always and bit for bit: they only skip
// rows whose upper bound cannot win. Equal rows have equal gains, so of each class of them only the
// lowest row that is left competes. Where there are templates (turns.hpp), equal rows are of one
// template, and only rows of those whose turn it is compete.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "smartx/bounds.hpp"
#include "smartx/candidate.hpp"
#include "smartx/context.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/real.hpp"
#include "smartx/rng.hpp"
#include "smartx/set_function.hpp"
#include "smartx/turns.hpp"
#include "smartx/types.hpp"

namespace smartx {

enum class Optimizer { kNaive, kLazy, kStochastic, kLazierThanLazy };

struct GreedyOptions {
  Optimizer optimizer = Optimizer::kLazy;
  std::uint64_t seed = 0;  // of the samples of stochastic and lazier-than-lazy
  double epsilon = 0.01;   // their sample is ceil(n / budget * log(1 / epsilon)) rows a round
};

/// One run of greedy. The items of f are classes of equal rows; what is chosen are rows. f and the
/// turns end as they are after the last addition. Samples are drawn without turns.
template <class F>
class Greedy {
  static_assert(is_set_function<F>::value, "F is not a set function: see set_function.hpp");
  using Gain = typename F::Gain;

 public:
  Greedy(F& f, const EqualRows& equal, Turns& turns, const GreedyOptions& options,
         const Context& context)
      : f_(f), equal_(equal), turns_(turns), options_(options), context_(context) {}

  /// 0 <= budget <= rows, less what is in S `already`: rows that are added first and not returned.
  /// Ends early where no row is left of a template whose turn it is.
  Selection<Gain> run(Item budget, Span<const Item> already = {}) {
    in_already_.assign(static_cast<std::size_t>(equal_.rows()), 0);
    for (const Item row : already) {
      f_.add(equal_.class_of(row));
      in_already_[row] = 1;
      context_.check();
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
  /// gains[i] becomes the gain of rows[i]; no two rows are of one class.
  void evaluate(const std::vector<Item>& rows, std::vector<Gain>& gains) {
    const auto count = static_cast<Offset>(rows.size());
    gains.resize(rows.size());
    chosen_.evaluations += count;
    const Offset each = (count + context_.threads() - 1) / context_.threads();
    const Offset most = rows.empty() ? 0 : std::max(work(rows.front()), work(rows.back()));
    const Offset together =
        std::max<Offset>(1, std::min({kTogether, std::max(kShared, each), kPrompt / (most + 1)}));
    const Offset parts = (count + together - 1) / together;
    parallel_for(parts, worth_threads(rows) ? context_ : context_.alone(),
                 [&](Offset part) noexcept {
                   const Offset last = std::min(count, (part + 1) * together);
                   for (Offset i = part * together; i < last; ++i)
                     gains[i] = f_.gain(equal_.class_of(rows[i]));
                 });
  }

  bool worth_threads(const std::vector<Item>& rows) const {
    Offset operations = 0;
    for (std::size_t i = 0; i < rows.size() && operations < kWorthThreads; ++i)
      operations += work(rows[i]);
    return operations >= kWorthThreads;
  }

  Offset work(Item row) const { return f_.work(equal_.class_of(row)); }

  /// The lowest row of each class that is not in S already.
  std::vector<Item> fronts() const {
    std::vector<Item> rows;
    rows.reserve(static_cast<std::size_t>(equal_.classes()));
    for (Item c = 0; c < equal_.classes(); ++c) {
      const Item row = not_already(equal_.first(c));
      if (row >= 0) rows.push_back(row);
    }
    return rows;
  }

  /// The row, or the next one of its class that is not in S already; -1 where there is none.
  Item not_already(Item row) const {
    while (row >= 0 && in_already_[row]) row = equal_.after(row);
    return row;
  }

  void add(const Candidate<Gain>& winner) {
    f_.add(equal_.class_of(winner.item));
    turns_.give(turns_.of(winner.item));
    chosen_.items.push_back(winner.item);
    chosen_.gains.push_back(winner.gain);
    context_.check();
  }

  Candidate<Gain> best_of(const std::vector<Item>& rows, std::vector<Gain>& gains) {
    evaluate(rows, gains);
    Candidate<Gain> best{};
    for (std::size_t i = 0; i < rows.size(); ++i) best.challenge(gains[i], rows[i]);
    return best;
  }

  void naive(Item budget) {
    std::vector<Item> rows = fronts();
    std::vector<Gain> gains;
    for (Item round = 0; round < budget; ++round) {
      const Candidate<Gain> best =
          turns_.any() ? best_of(in_turn(rows), gains) : best_of(rows, gains);
      if (best.item < 0) break;
      add(best);
      const auto place = std::find(rows.begin(), rows.end(), best.item);
      const Item after = not_already(equal_.after(best.item));
      if (after >= 0) {
        *place = after;
      } else {
        rows.erase(place);
      }
    }
  }

  std::vector<Item> in_turn(const std::vector<Item>& rows) const {
    std::vector<Item> own;
    for (const Item row : rows)
      if (turns_.may_give(row)) own.push_back(row);
    return own;
  }

  void lazy(Item budget) {
    const std::vector<Item> rows = fronts();
    std::vector<Gain> gains;
    evaluate(rows, gains);
    Bounds<Gain> bounds(turns_);
    const Gain before = f_.risen();  // with the rows that are in S already
    for (std::size_t i = 0; i < rows.size(); ++i)
      bounds.put_unordered({gains[i] - before, rows[i]});
    bounds.order();
    for (Item round = 0; round < budget && !bounds.empty(); ++round) {
      const Gain risen = f_.risen();
      const bool fresh = round == 0 && risen == 0;
      const Candidate<Gain> best = fresh ? take_fresh(bounds) : settle(bounds, risen);
      for (const Bound<Gain>& bound : parked_) bounds.put(bound);
      add(best);
      bounds.turn();
      const Item after = not_already(equal_.after(best.item));
      if (after >= 0) bounds.put({best.gain - risen, after});
    }
  }

  static Candidate<Gain> take_fresh(Bounds<Gain>& bounds) {
    const Bound<Gain> top = bounds.take();
    return {top.key, top.item};
  }

  /// Takes bounds away and asks for their gains until no bound left can beat the best gain.
  /// Those asked for that did not win are left in parked_, as bounds of this round. The winner is
  /// the best of all rows that may be chosen, whatever the order of asking, so several are asked at
  /// once: a share of what the round before needed, then a quarter at a time.
  Candidate<Gain> settle(Bounds<Gain>& bounds, Gain risen) {
    Candidate<Gain> best{};
    parked_.clear();
    Offset asked = 0;
    while (true) {
      const Offset likely = asked == 0 ? asked_before_ / 2 : asked_before_ / 4;
      const Offset wanted = std::max({kFewest, likely, asked / 8});
      together_.clear();
      while (!bounds.empty() && static_cast<Offset>(together_.size()) < wanted &&
             can_beat(bounds.top(), risen, best))
        together_.push_back(bounds.take().item);
      if (together_.empty()) break;
      asked += static_cast<Offset>(together_.size());
      evaluate(together_, fresh_);
      for (std::size_t i = 0; i < together_.size(); ++i) {
        best.challenge(fresh_[i], together_[i]);
        parked_.push_back({fresh_[i] - risen, together_[i]});
      }
    }
    const auto won = std::find_if(parked_.begin(), parked_.end(), [&](const Bound<Gain>& bound) {
      return bound.item == best.item;
    });
    if (won != parked_.end()) parked_.erase(won);
    asked_before_ = asked;
    return best;
  }

  static bool can_beat(const Bound<Gain>& bound, Gain risen, const Candidate<Gain>& best) {
    return best.item < 0 || beats(allowed(bound.key, risen), bound.item, best.gain, best.item);
  }

  /// Rows a round: ceil(n / budget * log(1 / epsilon)), at least 1.
  Offset sample_size(Item budget) const {
    const double wanted =
        std::ceil(equal_.rows() / static_cast<double>(budget) * -natural_log(options_.epsilon));
    return std::max<Offset>(1, static_cast<Offset>(std::min(wanted, 2147483647.0)));
  }

  void stochastic(Item budget, bool lazily) {
    const Offset sample = sample_size(budget);
    std::vector<Item> remaining;
    for (Item row = 0; row < equal_.rows(); ++row) {
      if (!in_already_[row]) remaining.push_back(row);
    }
    std::vector<Gain> gains;
    if (lazily) {
      keys_.resize(static_cast<std::size_t>(equal_.classes()));
      asked_.assign(keys_.size(), 0);
    }
    for (Item round = 0; round < budget; ++round) {
      const std::vector<Item> rows = lowest_of_classes(draw(remaining, sample, round));
      add(lazily ? best_by_bounds(rows) : best_of(rows, gains));
      const auto place = std::find(remaining.begin(), remaining.end(), chosen_.items.back());
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

  /// Of the rows of one class the lowest, which wins over the others.
  std::vector<Item> lowest_of_classes(std::vector<Item> rows) const {
    if (!equal_.any()) return rows;
    std::sort(rows.begin(), rows.end(), [&](Item a, Item b) {
      const Item x = equal_.class_of(a), y = equal_.class_of(b);
      return x < y || (x == y && a < b);
    });
    const auto same = [&](Item a, Item b) { return equal_.class_of(a) == equal_.class_of(b); };
    rows.erase(std::unique(rows.begin(), rows.end(), same), rows.end());
    return rows;
  }

  /// The same row as best_of, asking only where a bound of an earlier round can still win. Classes
  /// never asked for have no bound, so they are asked for first.
  Candidate<Gain> best_by_bounds(const std::vector<Item>& rows) {
    const Gain risen = f_.risen();
    std::vector<Item> unknown;
    Bounds<Gain> bounds(turns_);
    for (const Item row : rows) {
      const Item c = equal_.class_of(row);
      if (asked_[c]) {
        bounds.put_unordered({keys_[c], row});
      } else {
        unknown.push_back(row);
      }
    }
    std::vector<Gain> gains;
    Candidate<Gain> best = best_of(unknown, gains);
    for (std::size_t i = 0; i < unknown.size(); ++i) note(unknown[i], gains[i] - risen);
    bounds.order();
    if (!bounds.empty() && can_beat(bounds.top(), risen, best)) {
      const Candidate<Gain> settled = settle(bounds, risen);
      for (const Bound<Gain>& bound : parked_) note(bound.item, bound.key);
      note(settled.item, settled.gain - risen);
      best.challenge(settled.gain, settled.item);
    }
    return best;
  }

  void note(Item row, Gain key) {
    keys_[equal_.class_of(row)] = key;
    asked_[equal_.class_of(row)] = 1;
  }

  F& f_;
  const EqualRows& equal_;
  Turns& turns_;
  const GreedyOptions options_;
  const Context context_;
  Selection<Gain> chosen_;

  static constexpr Offset kTogether = 32;           // rows in one part, where there are many
  static constexpr Offset kShared = 4;              // rows in one part, where there are few
  static constexpr Offset kPrompt = 1 << 24;        // operations between two looks at Ctrl-C
  static constexpr Offset kFewest = 2;              // rows asked at once
  static constexpr Offset kWorthThreads = 1 << 14;  // operations (0.25 ns each): 4 us
  Offset asked_before_ = 0;                         // rows that the last round asked for
  std::vector<char> in_already_;                    // (rows,)
  std::vector<Item> together_;
  std::vector<Gain> fresh_;
  std::vector<Bound<Gain>> parked_;
  std::vector<Gain> keys_;   // (classes,) bounds of lazier-than-lazy
  std::vector<char> asked_;  // (classes,) whether there is one
};

}  // namespace smartx
