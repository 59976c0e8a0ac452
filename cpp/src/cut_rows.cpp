#include "smartx/cut_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "row_products.hpp"
#include "small_gram.hpp"
#include "smartx/greedy.hpp"

namespace smartx {

namespace {

constexpr double kLongest = 4096.0;  // of a row
constexpr double kNone = -std::numeric_limits<double>::infinity();

double length(const std::vector<std::int64_t>& sum) {
  double square = 0.0;
  for (const std::int64_t value : sum)
    square += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(square);
}

/// Greedy by epochs. At the start of an epoch one pass over the rows gives every remaining row its
/// exact gain; the most promising become candidates, whose gains are then kept exact by their
/// similarities with one another. The epoch goes on while the best candidate is above a limit on
/// what any other row (an outsider) can have gained. Greedy's choice is therefore always the best
/// of all remaining rows, whatever the candidates are.
///
/// The limit. Let D be the sum of the rows chosen in this epoch, R that of all rows, r_j = q_j . R.
/// An outsider's gain is g_j - 2 penalty q_j . D, g_j its gain at the start. For any t,
///   2 penalty q_j . D = t r_j + q_j . (2 penalty D - t R),
/// and with t = 2 penalty D . R / |R|^2 the vector in brackets is 2 penalty times the part of D at
/// right angles to R, so its product with q_j is at most 2 penalty |q_j'| |D'|, ' meaning that
/// part. Hence no outsider is above F(t) + 2 penalty max |q'| |D'|, F(t) = max over outsiders of
/// g_j - t r_j. F is convex: between two places where it is known it lies below the chord; beyond
/// them its slope is at least -max r and at most -min r. |D|^2 and D . R are exact integers; what
/// doubles round away is far below the `padding` that is added.
class CutEpochs {
 public:
  CutEpochs(RowsView rows, double penalty, Item budget, Offset candidates, const Context& context)
      : rows_(rows),
        penalty_(penalty),
        budget_(budget),
        wanted_(candidates),
        context_(context),
        remaining_(all_items(rows.n)),
        chosen_(static_cast<std::size_t>(rows.d)),
        products_(static_cast<std::size_t>(rows.n)),
        row_sum_(static_cast<std::size_t>(rows.n)),
        self_(static_cast<std::size_t>(rows.n)),
        taken_(static_cast<std::size_t>(rows.n)) {
    const std::vector<std::int64_t> all = sum_all(rows, context);
    dots_with(rows, all, remaining_, row_sum_.data(), context);
    parallel_for(
        rows.n, context,
        [&](Offset v) noexcept {
          self_[v] = static_cast<std::int32_t>(norm2(rows.row(static_cast<Item>(v)), rows.d));
        },
        kRowsAtOnce);
    all_length_ = length(all);
    double across2 = 0.0;  // largest |q'|^2
    for (Item v = 0; v < rows.n; ++v) {
      const auto sum = static_cast<double>(row_sum_[v]);
      const double along = all_length_ > 0.0 ? sum / all_length_ : 0.0;
      across2 = std::max(across2, static_cast<double>(self_[v]) - along * along);
      largest_sum_ = std::max(largest_sum_, std::abs(sum));
    }
    across_ = std::sqrt(across2 + 0x1p-10);
  }

  Selection<double> run() {
    while (left() > 0) {
      start_epoch();
      run_epoch();
      finish_epoch();
    }
    return std::move(out_);
  }

 private:
  Item left() const { return budget_ - static_cast<Item>(out_.items.size()); }

  double gain_of(double row_sum, double inside) const { return row_sum - penalty_ * inside; }

  /// About as much time for the similarities of the candidates as for the pass over all rows.
  Offset candidate_count() const {
    const auto rest = static_cast<Offset>(remaining_.size());
    if (rows_.n > (1 << 27)) return 1;  // beyond it sums of the epoch might leave 2^53
    if (wanted_ > 0) return std::min(wanted_, rest);
    const auto good = static_cast<Offset>(std::sqrt(kBalance * static_cast<double>(rest)));
    return std::min({rest, std::max(kFewest, good), kMost, Offset{4} * left() + 16});
  }

  void start_epoch() {
    const std::size_t rest = remaining_.size();
    const Offset count = candidate_count();
    // What an epoch is likely to reach: some 0.4 of its candidates, rows like the mean.
    step_ = 0.4 * 2.0 * penalty_ * static_cast<double>(count) / rows_.n;
    const Digits digits(chosen_);
    gains_.resize(rest);
    scores_.resize(rest);
    is_candidate_.assign(rest, 0);
    best_of_block_.resize((rest + kRowsAtOnce - 1) / kRowsAtOnce);
    for_each_block(rest, context_, [&](Offset block, Offset first, Offset last) noexcept {
      digits.dots(context_.ops(), rows_.data, remaining_.data() + first, last - first,
                  products_.data() + first);
      best_of_block_[block] = value_places(first, last);
    });
    out_.evaluations += static_cast<Offset>(rest);
    Offset best = 0;
    for (const Offset place : best_of_block_) {
      if (gains_[place] > gains_[best]) best = place;  // ascending: the first of equals stays
    }
    choose_candidates(count, best);
    survey_outsiders();
    reach_ = largest_sum_ + penalty_ * (2.0 * kLongest * length(chosen_) + kMaxSimilarity);
  }

  /// Sets gains_ and scores_ of some places; returns the first of largest gain.
  Offset value_places(Offset first, Offset last) noexcept {
    Offset best = first;
    for (Offset i = first; i < last; ++i) {
      const Item v = remaining_[i];
      const std::int64_t inside = products_[i] + products_[i] + self_[v];
      const auto sum = static_cast<double>(row_sum_[v]);
      gains_[i] = gain_of(sum, static_cast<double>(inside));
      scores_[i] = gains_[i] - 0.5 * step_ * sum;
      if (gains_[i] > gains_[best]) best = i;
    }
    return best;
  }

  /// Sets candidates_ to places in remaining_, ascending: those of largest score, ties to the lower
  /// row, and the best row.
  void choose_candidates(Offset count, Offset best_place) {
    const std::size_t rest = remaining_.size();
    if (static_cast<std::size_t>(count) >= rest) {
      candidates_ = all_items(static_cast<Item>(rest));
      std::fill(is_candidate_.begin(), is_candidate_.end(), char{1});
      return;
    }
    const double bar = score_of_place(count);
    Offset equal = count;  // candidates among those at the bar
    for (const Item i : promising_) equal -= scores_[i] > bar;
    candidates_.clear();
    for (const Item i : promising_) {
      if (scores_[i] > bar || (scores_[i] == bar && equal-- > 0)) candidates_.push_back(i);
    }
    const auto after = std::lower_bound(candidates_.begin(), candidates_.end(), best_place);
    if (after == candidates_.end() || *after != best_place)
      candidates_.insert(after, static_cast<Item>(best_place));
    for (const Item i : candidates_) is_candidate_[i] = 1;
  }

  /// The count-th largest score; promising_ becomes the places, ascending, of all that reach it,
  /// and of some more. A sample of the scores says where to look first.
  double score_of_place(Offset count) {
    constexpr std::size_t kStep = 16;
    const auto rank = static_cast<std::size_t>(count);
    double floor = kNone;
    ordered_.clear();
    for (std::size_t i = 0; i < scores_.size(); i += kStep) ordered_.push_back(scores_[i]);
    const std::size_t likely = rank / kStep + rank / (2 * kStep) + 8;
    if (likely < ordered_.size()) floor = nth_largest(likely);
    if (gather_promising(floor) < rank) gather_promising(kNone);
    ordered_.clear();
    for (const Item i : promising_) ordered_.push_back(scores_[i]);
    return nth_largest(rank);
  }

  double nth_largest(std::size_t rank) {
    const auto place = ordered_.begin() + static_cast<Offset>(rank - 1);
    std::nth_element(ordered_.begin(), place, ordered_.end(), std::greater<double>());
    return *place;
  }

  /// promising_ becomes the places, ascending, of the scores that reach the floor; how many.
  std::size_t gather_promising(double floor) {
    promising_.resize(scores_.size());
    end_of_block_.resize(best_of_block_.size());
    for_each_block(scores_.size(), context_, [&](Offset block, Offset first, Offset last) noexcept {
      Offset end = first;
      for (Offset i = first; i < last; ++i) {
        promising_[end] = static_cast<Item>(i);
        end += scores_[i] >= floor;
      }
      end_of_block_[block] = end;
    });
    auto all = promising_.begin();
    for (std::size_t block = 0; block < end_of_block_.size(); ++block) {
      const auto own = promising_.begin() + static_cast<Offset>(block) * kRowsAtOnce;
      all = std::copy(own, promising_.begin() + end_of_block_[block], all);
    }
    promising_.erase(all, promising_.end());
    return promising_.size();
  }

  static constexpr int kPlaces = 4;
  /// What some outsiders say: the highest g - t r at the places of t, and their range of r.
  struct Survey {
    double high[kPlaces] = {kNone, kNone, kNone, kNone};
    double least_sum = -kNone, most_sum = kNone;

    void join(const Survey& other) noexcept {
      for (int k = 0; k < kPlaces; ++k) high[k] = std::max(high[k], other.high[k]);
      least_sum = std::min(least_sum, other.least_sum);
      most_sum = std::max(most_sum, other.most_sum);
    }
  };

  void survey_outsiders() {
    outsiders_ = candidates_.size() < remaining_.size();
    survey_ = {};
    if (!outsiders_) return;
    surveys_.assign(best_of_block_.size(), {});
    for_each_block(remaining_.size(), context_,
                   [&](Offset block, Offset first, Offset last) noexcept {
                     Survey own;
                     for (Offset i = first; i < last; ++i) {
                       if (is_candidate_[i]) continue;
                       const auto sum = static_cast<double>(row_sum_[remaining_[i]]);
                       for (int k = 0; k < kPlaces; ++k)
                         own.high[k] = std::max(own.high[k], gains_[i] - place(k) * sum);
                       own.least_sum = std::min(own.least_sum, sum);
                       own.most_sum = std::max(own.most_sum, sum);
                     }
                     surveys_[block] = own;
                   });
    for (const Survey& one : surveys_) survey_.join(one);
  }

  /// Where F is known: 0, 1/2, 1 and 2 steps.
  double place(int k) const { return k == 0 ? 0.0 : step_ * 0.25 * (1 << k); }

  /// At least F(t), up to rounding.
  double highest(double t) const {
    const double* const high = survey_.high;
    if (t <= 0.0 || step_ == 0.0)
      return high[0] - std::min(t, 0.0) * survey_.most_sum - std::max(t, 0.0) * survey_.least_sum;
    int k = kPlaces - 1;
    while (k > 0 && place(k) > t) --k;
    if (k == kPlaces - 1) return high[k] - (t - place(k)) * survey_.least_sum;
    const double part = (t - place(k)) / (place(k + 1) - place(k));
    return high[k] + part * (high[k + 1] - high[k]);
  }

  /// No outsider's gain is above this.
  double limit() const {
    const auto square = static_cast<double>(moved2_);
    const auto with_all = static_cast<double>(moved_with_all_);
    const double along = all_length_ > 0.0 ? with_all / all_length_ : 0.0;
    const double across = std::sqrt(std::max(0.0, square - along * along) + square * 0x1p-40);
    const double t = all_length_ > 0.0 ? 2.0 * penalty_ * along / all_length_ : 0.0;
    const double padding =
        reach_ * 0x1p-44 + 2.0 * penalty_ * kLongest * std::sqrt(square) * 0x1p-16;
    return highest(t) + 2.0 * penalty_ * across_ * across + padding;
  }

  void run_epoch() {
    const std::size_t count = candidates_.size();
    const std::size_t padded = (count + 7) / 8 * 8;
    inside_.assign(padded, 0.0);
    sums_.assign(padded, kNone);
    current_.assign(padded, kNone);
    for (std::size_t c = 0; c < count; ++c) {
      const Item place = candidates_[c], v = remaining_[place];
      inside_[c] = static_cast<double>(products_[place] + products_[place] + self_[v]);
      sums_[c] = static_cast<double>(row_sum_[v]);
      current_[c] = gains_[place];
    }
    moved_.assign(static_cast<std::size_t>(rows_.d), 0);
    moved2_ = moved_with_all_ = 0;
    bool first = true;
    std::size_t best = best_candidate(nullptr);
    while (left() > 0) {
      const double gain = current_[best];
      if (gain == kNone) break;  // all candidates are chosen
      if (!first && outsiders_ && !(gain > limit())) break;
      take(best, gain);
      if (first && left() > 0 && count > 1) gather();
      if (count == 1) break;
      first = false;
      if (left() > 0) best = best_candidate(gram_.row(static_cast<Item>(best), context_));
    }
  }

  /// The first of the candidates of largest gain: candidates ascend, so it is the lowest row. Their
  /// gains are brought up to date before, if they have `similarity` to a row that was taken.
  std::size_t best_candidate(const std::int32_t* similarity) {
    const auto count = static_cast<Offset>(current_.size());
    const Offset parts = std::max<Offset>(1, count / kPart);
    high_of_part_.resize(static_cast<std::size_t>(parts));
    parallel_for(parts, context_, [&](Offset part) noexcept {
      const Offset last = part + 1 < parts ? (part + 1) * kPart : count;
      high_of_part_[part] = follow(similarity, part * kPart, last);
    });
    const auto part = std::max_element(high_of_part_.begin(), high_of_part_.end());
    const auto from = current_.begin() + (part - high_of_part_.begin()) * kPart;
    return static_cast<std::size_t>(std::find(from, current_.end(), *part) - current_.begin());
  }

  /// Of the candidates from first (a multiple of 8) to last: brings gains up to date and returns
  /// the largest. Twice a similarity and every sum stay below 2^53, so `inside` is the exact
  /// integer that the definition converts.
  double follow(const std::int32_t* similarity, Offset first, Offset last) noexcept {
    double* const inside = inside_.data();
    double* const current = current_.data();
    const double* const sums = sums_.data();
    const double penalty = penalty_;
    double high[8] = {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
    for (Offset c = first; c < last; c += 8) {
      for (Offset k = 0; similarity != nullptr && k < 8; ++k) {
        inside[c + k] += 2.0 * static_cast<double>(similarity[c + k]);
        current[c + k] = sums[c + k] - penalty * inside[c + k];
      }
      for (Offset k = 0; k < 8; ++k) high[k] = current[c + k] > high[k] ? current[c + k] : high[k];
    }
    return *std::max_element(high, high + 8);
  }

  void take(std::size_t candidate, double gain) {
    const Item v = remaining_[candidates_[candidate]];
    const std::int16_t* const row = rows_.row(v);
    std::int32_t* const moved = moved_.data();
    for (Item c = 0; c < rows_.d; ++c) moved[c] += row[c];
    // 2 D . q_v is what this epoch added to the products that its gain counts.
    const std::int64_t before = 2 * products_[candidates_[candidate]] + self_[v];
    moved2_ += static_cast<std::int64_t>(inside_[candidate]) - before + self_[v];
    moved_with_all_ += row_sum_[v];
    taken_[v] = 1;
    sums_[candidate] = current_[candidate] = kNone;
    out_.items.push_back(v);
    out_.gains.push_back(gain);
    context_.check();
  }

  void gather() {
    const std::size_t count = candidates_.size();
    const auto d = static_cast<std::size_t>(rows_.d);
    gathered_.resize(count * d);
    parallel_for(
        static_cast<Offset>(count), context_,
        [&](Offset c) noexcept {
          std::copy_n(rows_.row(remaining_[candidates_[c]]), d, gathered_.data() + c * d);
        },
        64, Helpers::kFromEnd);
    gram_.start({gathered_.data(), static_cast<Item>(count), rows_.d});
  }

  void finish_epoch() {
    for (std::size_t c = 0; c < chosen_.size(); ++c) chosen_[c] += moved_[c];
    remaining_.erase(std::remove_if(remaining_.begin(), remaining_.end(),
                                    [&](Item v) { return taken_[v] != 0; }),
                     remaining_.end());
  }

  static constexpr double kBalance = 40.0;
  static constexpr Offset kPart = 1024;  // candidates that a thread brings up to date together
  static constexpr Offset kFewest = 192, kMost = 4096;

  RowsView rows_;
  double penalty_;
  Item budget_;
  Offset wanted_;
  Context context_;
  Selection<double> out_;
  std::vector<Item> remaining_;             // ascending
  std::vector<std::int64_t> chosen_;        // (d,) sum of the rows of S at the epoch's start
  std::vector<std::int64_t> products_;      // its product with each row of remaining_
  std::vector<std::int64_t> row_sum_;       // (n,)
  std::vector<std::int32_t> self_;          // (n,)
  std::vector<char> taken_;                 // (n,)
  double all_length_ = 0.0, across_ = 0.0;  // |R|, largest |q'|
  double largest_sum_ = 0.0, reach_ = 0.0;  // what rounding is relative to

  std::vector<double> gains_, scores_;  // of remaining_
  std::vector<char> is_candidate_;      // of remaining_
  std::vector<Offset> best_of_block_, end_of_block_;
  std::vector<double> ordered_;
  std::vector<Item> promising_;  // places in remaining_
  bool outsiders_ = false;
  double step_ = 0.0;
  Survey survey_;  // F where it is known
  std::vector<Survey> surveys_;

  std::vector<Item> candidates_;                 // places in remaining_
  std::vector<double> inside_, sums_, current_;  // of candidates_, padded to a multiple of 8
  std::vector<double> high_of_part_;
  std::vector<std::int16_t> gathered_;
  SmallGram gram_;
  std::vector<std::int32_t> moved_;  // (d,) D
  std::int64_t moved2_ = 0, moved_with_all_ = 0;
};

}  // namespace

Selection<double> greedy_cut(RowsView rows, double penalty, Item budget, Offset candidates,
                             const Context& context) {
  Selection<double> chosen;
  with_team(context, [&](const Context& led) {
    chosen = CutEpochs(rows, penalty, budget, candidates, led).run();
  });
  return chosen;
}

}  // namespace smartx
