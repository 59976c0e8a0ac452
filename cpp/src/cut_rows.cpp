#include "smartx/cut_rows.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cut_candidates.hpp"
#include "row_products.hpp"
#include "smartx/candidate.hpp"
#include "smartx/cut_limit.hpp"
#include "smartx/graph_cut.hpp"
#include "top_scores.hpp"

namespace smartx {

namespace {

double length(const std::vector<std::int64_t>& sum) {
  double square = 0.0;
  for (const std::int64_t value : sum)
    square += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(square);
}

/// Greedy by epochs. At the start of an epoch one pass gives every row its exact gain; the most
/// promising become candidates, whose gains are then kept exact by their similarities with one
/// another. The epoch goes on while the best candidate is above what any other row, an outsider,
/// can have gained. Greedy's choice is therefore always the best of all remaining rows, whatever
/// the candidates are.
/// Of equal rows one is looked at for all: the lowest stands for its class, whose next row is
/// chosen when it wins, until none is left. Of equal gains the lower next row wins.
/// Where there are templates, each has candidates of its own, and what no outsider is above is said
/// of each: only those whose turn it is are looked at.
class CutEpochs {
 public:
  CutEpochs(RowsView rows, const EqualRows& equal, Turns& turns, double penalty, Item budget,
            Span<const Item> first, Offset candidates, const Context& context)
      : rows_(rows),
        equal_(equal),
        turns_(turns),
        penalty_(penalty),
        budget_(budget),
        wanted_(candidates),
        context_(context),
        chosen_(static_cast<std::size_t>(rows.d)),
        inside_(static_cast<std::size_t>(equal.classes())),
        row_sum_(static_cast<std::size_t>(rows.n)),
        self_(static_cast<std::size_t>(rows.n)),
        next_(all_items(rows.n)),
        candidates_(rows, penalty, context) {
    start_with(first);
    gather_remaining();
    const std::vector<std::int64_t> sum = sum_rows(rows, context);
    const Digits all(sum);
    for_each_block(remaining_.size(), context, [&](Offset, Offset first, Offset last) noexcept {
      all.dots(context.ops(), rows.data, remaining_.data() + first, last - first,
               inside_.data() + first);
      for (Offset i = first; i < last; ++i) {
        row_sum_[remaining_[i]] = inside_[i];
        self_[remaining_[i]] = static_cast<std::int32_t>(norm2(rows.row(remaining_[i]), rows.d));
      }
    });
    const double all_length = length(sum);
    double across2 = 0.0;  // the largest square of a row's part at right angles to the sum of all
    for (const Item v : remaining_) {
      const auto row_sum = static_cast<double>(row_sum_[v]);
      const double along = all_length > 0.0 ? row_sum / all_length : 0.0;
      across2 = std::max(across2, static_cast<double>(self_[v]) - along * along);
      largest_sum_ = std::max({largest_sum_, std::abs(row_sum), static_cast<double>(self_[v])});
    }
    check_cut(penalty, largest_sum_ + 2.0 * kMaxSimilarity * rows.n, rows.n);
    limits_.assign(static_cast<std::size_t>(turns.templates()),
                   {penalty, all_length, std::sqrt(across2 + 0x1p-10)});
  }

  Selection<double> run() {
    out_.items.reserve(static_cast<std::size_t>(budget_));
    out_.gains.reserve(static_cast<std::size_t>(budget_));
    while (left() > 0) {
      cut_into_blocks();
      const Offset count = candidate_count();
      // What an epoch is likely to reach: some 0.4 of its candidates, rows like the mean.
      const auto rest = static_cast<double>(remaining_.size());
      step_ = 0.4 * 2.0 * penalty_ * static_cast<double>(count) / rows_.n * (rows_left() / rest);
      const Offset best = value_all();
      choose_candidates(count, best);
      survey_outsiders();
      choose_among_candidates();
      const auto used_up = [&](Item v) { return next_[v] < 0; };
      remaining_.erase(std::remove_if(remaining_.begin(), remaining_.end(), used_up),
                       remaining_.end());
    }
    return std::move(out_);
  }

 private:
  /// S becomes the rows that come first.
  void start_with(Span<const Item> first) {
    if (first.size > 0) is_first_.assign(static_cast<std::size_t>(rows_.n), 0);
    for (const Item row : first) {
      is_first_[row] = 1;
      for (Item c = 0; c < rows_.d; ++c) chosen_[c] += rows_.row(row)[c];
    }
  }

  /// One row of each class of which some are to be chosen, template after template.
  void gather_remaining() {
    std::vector<std::vector<Item>> own(static_cast<std::size_t>(turns_.templates()));
    for (Item c = 0; c < equal_.classes(); ++c) {
      const Item v = equal_.first(c);
      next_[v] = not_first(v);
      if (next_[v] >= 0) own[turns_.of(v)].push_back(v);
    }
    remaining_ = std::move(own.front());
    remaining_.reserve(static_cast<std::size_t>(equal_.classes()));
    for (std::size_t t = 1; t < own.size(); ++t)
      remaining_.insert(remaining_.end(), own[t].begin(), own[t].end());
  }

  /// The row, or the next one of its class that does not come first; -1 where there is none.
  Item not_first(Item row) const {
    while (!is_first_.empty() && row >= 0 && is_first_[row]) row = equal_.after(row);
    return row;
  }

  Item left() const { return budget_ - static_cast<Item>(out_.items.size()); }
  Offset rows_left() const { return rows_.n - static_cast<Offset>(out_.items.size()); }

  /// About as much time for the similarities of the candidates as for the pass over all rows.
  Offset candidate_count() const {
    constexpr double kBalance = 40.0;
    constexpr Offset kFewest = 192, kMost = 4096;
    const auto rest = static_cast<Offset>(remaining_.size());
    if (wanted_ > 0) return std::min(wanted_, rest);
    const auto good = static_cast<Offset>(std::sqrt(kBalance * static_cast<double>(rest)));
    return std::min({rest, std::max(kFewest, good), kMost, Offset{4} * left() + 16});
  }

  /// Additions of an epoch so that its sums fit: components of moved_ and D . R integers, `inside`
  /// of candidates a double.
  Item longest() const {
    if (rows_.n > 1 << 27) return 1;
    return static_cast<Item>(std::min(Offset{1} << 19, (Offset{1} << 38) / rows_.n));
  }

  struct Block {
    Item of;  // template
    Offset first, last;
  };

  /// Rows of a block are of one template.
  void cut_into_blocks() {
    blocks_.clear();
    const auto rest = static_cast<Offset>(remaining_.size());
    for (Offset first = 0, last = 0; first < rest; first = last) {
      const Item of = turns_.of(remaining_[first]);
      last = std::min(first + kRowsAtOnce, rest);
      if (turns_.of(remaining_[last - 1]) != of)
        last = std::partition_point(remaining_.begin() + first, remaining_.begin() + last,
                                    [&](Item v) { return turns_.of(v) == of; }) -
               remaining_.begin();
      blocks_.push_back({of, first, last});
    }
  }

  template <class Body>
  void for_each_own_block(const Body& body) {
    parallel_for(static_cast<Offset>(blocks_.size()), context_,
                 [&](Offset b) noexcept { body(b, blocks_[b].first, blocks_[b].last); });
  }

  /// Sets the gain and score of every remaining row; returns the place of the best of those that
  /// may be chosen.
  Offset value_all() {
    const std::size_t rest = remaining_.size();
    const Digits digits(chosen_);
    gains_.resize(rest);
    scores_.resize(rest);
    best_of_block_.resize(blocks_.size());
    for_each_own_block([&](Offset block, Offset first, Offset last) noexcept {
      digits.dots(context_.ops(), rows_.data, remaining_.data() + first, last - first,
                  inside_.data() + first);
      best_of_block_[block] = value_block(first, last);
    });
    out_.evaluations += static_cast<Offset>(rest);
    Offset best = -1;
    for (std::size_t block = 0; block < blocks_.size(); ++block) {
      if (!turns_.may(blocks_[block].of)) continue;
      if (best < 0 || better(best_of_block_[block], best)) best = best_of_block_[block];
    }
    return best;
  }

  Offset value_block(Offset first, Offset last) noexcept {
    Offset best = first;
    double high = CutCandidates::kLeftOut;
    for (Offset i = first; i < last; ++i) {
      const Item v = remaining_[i];
      const auto row_sum = static_cast<double>(row_sum_[v]);
      const std::int64_t inside = inside_[i] + inside_[i] + self_[v];
      const double gain = row_sum - penalty_ * static_cast<double>(inside);
      inside_[i] = inside;
      gains_[i] = gain;
      scores_[i] = gain - 0.5 * step_ * row_sum;
      if (gain >= high && (gain > high || better(i, best))) {
        best = i;
        high = gain;
      }
    }
    return best;
  }

  bool better(Offset place, Offset other) const noexcept {
    return beats(gains_[place], next_[remaining_[place]], gains_[other], next_[remaining_[other]]);
  }

  /// The candidates are some `count` rows of the largest scores, of each template its share, and
  /// the best row, which is first_.
  void choose_candidates(Offset count, Offset best) {
    const auto rest = static_cast<Offset>(remaining_.size());
    places_.clear();
    slices_.clear();
    for (std::size_t b = 0; b < blocks_.size();) {
      const Item of = blocks_[b].of;
      const Offset first = blocks_[b].first;
      while (b < blocks_.size() && blocks_[b].of == of) ++b;
      const Offset last = blocks_[b - 1].last;
      const std::size_t begin = places_.size();
      add_places(first, last, share(count, last - first, rest));
      if (first <= best && best < last) {
        auto own =
            std::lower_bound(places_.begin() + static_cast<Offset>(begin), places_.end(), best);
        if (own == places_.end() || *own != best)
          own = places_.insert(own, static_cast<Item>(best));
        first_ = static_cast<std::size_t>(own - places_.begin());
      }
      slices_.push_back({of, begin, places_.size()});
    }
    is_candidate_.assign(remaining_.size(), 0);
    candidates_.start(places_.size());
    for (std::size_t c = 0; c < places_.size(); ++c) {
      const Item place = places_[c], v = remaining_[place];
      is_candidate_[place] = 1;
      candidates_.put(c, v, inside_[place], row_sum_[v]);
    }
  }

  /// Of `count` candidates those of a template with `own` of the `rest` rows; of a few templates
  /// some more, since not all take turns alike.
  Offset share(Offset count, Offset own, Offset rest) const {
    constexpr Offset kMore = 8;
    if (own == rest) return count;
    return std::min(own, (count * own + rest - 1) / rest + kMore);
  }

  /// The places of `count` of the largest scores from first to last.
  void add_places(Offset first, Offset last, Offset count) {
    if (count >= last - first) {
      for (Offset i = first; i < last; ++i) places_.push_back(static_cast<Item>(i));
      return;
    }
    const Span<const double> own{scores_.data() + first, last - first};
    for (const Item i : top_.find(own, static_cast<std::size_t>(count), context_))
      places_.push_back(i + static_cast<Item>(first));
  }

  void survey_outsiders() {
    const double reach =
        largest_sum_ + penalty_ * (2.0 * 4096.0 * length(chosen_) + kMaxSimilarity);
    seen_.assign(blocks_.size(), {});
    if (places_.size() < remaining_.size()) {
      for_each_own_block([&](Offset block, Offset first, Offset last) noexcept {
        Outsiders own;
        for (Offset i = first; i < last; ++i) {
          if (is_candidate_[i]) continue;
          own.see(gains_[i], static_cast<double>(row_sum_[remaining_[i]]), step_);
        }
        seen_[block] = own;
      });
    }
    for (std::size_t b = 0; b < blocks_.size();) {
      const Item of = blocks_[b].of;
      Outsiders outsiders;
      for (; b < blocks_.size() && blocks_[b].of == of; ++b) outsiders.join(seen_[b]);
      limits_[of].start(outsiders, step_, reach);
    }
  }

  /// No outsider whose turn it is gains more than this.
  double limit(std::int64_t square, std::int64_t with_all) const {
    double limit = Outsiders::kNone;
    for (const Slice& slice : slices_)
      if (turns_.may(slice.of)) limit = std::max(limit, limits_[slice.of].above(square, with_all));
    return limit;
  }

  void choose_among_candidates() {
    moved_.assign(static_cast<std::size_t>(rows_.d), 0);
    std::int64_t square = 0, with_all = 0;  // D . D and D . R
    std::size_t best = first_;
    const Item most = longest();
    for (Item taken = 1;; ++taken) {
      const Item v = candidates_.item(best);
      // 2 D . q_v is what this epoch added to the products that its gain counts.
      square += candidates_.inside(best) - inside_[places_[best]] + self_[v];
      with_all += row_sum_[v];
      take(best, v);
      if (left() == 0 || taken == most) break;
      best = best_after(best);
      if (best == kNobody) break;
      if (!(candidates_.gain(best) > limit(square, with_all))) break;
    }
    for (std::size_t c = 0; c < chosen_.size(); ++c) chosen_[c] += moved_[c];
  }

  void take(std::size_t candidate, Item v) {
    const std::int16_t* const row = rows_.row(v);
    std::int32_t* const moved = moved_.data();
    for (Item c = 0; c < rows_.d; ++c) moved[c] += row[c];
    out_.items.push_back(next_[v]);
    out_.gains.push_back(candidates_.gain(candidate));
    next_[v] = not_first(equal_.after(next_[v]));
    if (next_[v] < 0) candidates_.leave_out(candidate);
    turns_.give(turns_.of(v));
    context_.check();
  }

  static constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

  /// The best candidate that may be chosen after that one was taken, or kNobody.
  std::size_t best_after(std::size_t taken) {
    std::size_t best = candidates_.follow(taken);
    if (!turns_.any()) return lowest_of_equals(best, places_.size());
    bool found = false;
    for (const Slice& slice : slices_) {
      if (!turns_.may(slice.of) || slice.first == slice.last) continue;
      const std::size_t own =
          lowest_of_equals(candidates_.best_in(slice.first, slice.last), slice.last);
      if (!found || beats(candidates_.gain(own), next_[candidates_.item(own)],
                          candidates_.gain(best), next_[candidates_.item(best)]))
        best = own;
      found = true;
    }
    return found ? best : kNobody;
  }

  /// Of a template's candidates before `last` that gain as much as `best`, the first of them, that
  /// with the lowest next row.
  std::size_t lowest_of_equals(std::size_t best, std::size_t last) const {
    if (!equal_.any()) return best;  // candidates of a template ascend
    const double gain = candidates_.gain(best);
    for (std::size_t c = best; c < last; c = candidates_.first_with(gain, c + 1)) {
      if (next_[candidates_.item(c)] < next_[candidates_.item(best)]) best = c;
    }
    return best;
  }

  RowsView rows_;
  const EqualRows& equal_;
  Turns& turns_;
  double penalty_;
  Item budget_;
  Offset wanted_;
  Context context_;
  Selection<double> out_;
  // Of the whole ground set, by row: the lowest of each class.
  std::vector<Item> remaining_;        // template after template, ascending in each
  std::vector<std::int64_t> chosen_;   // (d,) sum of the rows of S at the epoch's start
  std::vector<std::int64_t> inside_;   // of remaining_: what the gain counts, see CutCandidates
  std::vector<std::int64_t> row_sum_;  // (n,)
  std::vector<std::int32_t> self_;     // (n,)
  std::vector<Item> next_;             // (n,) the next row of its class; -1: all are chosen
  std::vector<char> is_first_;         // (n,), or empty: in S from the start
  double largest_sum_ = 0.0;
  std::vector<CutLimit> limits_;  // (templates,)

  // Of an epoch.
  struct Slice {
    Item of;  // template
    std::size_t first, last;
  };
  std::vector<Block> blocks_;
  double step_ = 0.0;
  std::vector<double> gains_, scores_;  // of remaining_
  std::vector<char> is_candidate_;      // of remaining_
  std::vector<Item> places_;            // of the candidates in remaining_, ascending
  std::vector<Slice> slices_;           // of places_, one of each template
  std::size_t first_ = 0;               // the candidate that is chosen first
  CutCandidates candidates_;
  std::vector<std::int32_t> moved_;  // (d,) sum of the rows chosen
  std::vector<Offset> best_of_block_;
  TopScores top_;
  std::vector<Outsiders> seen_;
};

}  // namespace

Selection<double> greedy_cut(RowsView rows, const EqualRows& equal, Turns& turns, double penalty,
                             Item budget, Span<const Item> first, Offset candidates,
                             const Context& context) {
  Selection<double> chosen;
  with_team(context, [&](const Context& led) {
    chosen = CutEpochs(rows, equal, turns, penalty, budget, first, candidates, led).run();
  });
  return chosen;
}

}  // namespace smartx
