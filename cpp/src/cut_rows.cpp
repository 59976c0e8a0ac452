#include "smartx/cut_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "blocks.hpp"
#include "smartx/dot.hpp"
#include "smartx/greedy.hpp"
#include "smartx/vector_ops.hpp"
#include "tiles.hpp"

namespace smartx {

namespace {

constexpr Offset kRowsAtOnce = 512;
constexpr Offset kWorthThreads = 32;  // blocks of so many rows: about half a millisecond
constexpr double kLongest = 4096.0;   // of a row

/// out[i] = rows[items[i]] . sum, exact.
void dots_with(RowsView rows, const std::vector<std::int64_t>& sum, const std::vector<Item>& items,
               std::int64_t* out, int threads, const Cancel& cancel) {
  const Digits digits(sum);
  const auto count = static_cast<Offset>(items.size());
  const Offset blocks = (count + kRowsAtOnce - 1) / kRowsAtOnce;
  parallel_for(blocks, blocks >= kWorthThreads ? threads : 1, cancel, [&](Offset b) noexcept {
    const Offset first = b * kRowsAtOnce;
    digits.dots(rows.data, items.data() + first, std::min(kRowsAtOnce, count - first), out + first);
  });
}

double length(const std::vector<std::int64_t>& sum) {
  double square = 0.0;
  for (const std::int64_t value : sum)
    square += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(square);
}

std::vector<Item> all_items(Item n) {
  std::vector<Item> items(static_cast<std::size_t>(n));
  std::iota(items.begin(), items.end(), 0);
  return items;
}

/// All similarities of a few rows, square and complete.
class SmallGram {
 public:
  void build(RowsView rows, int threads, const Cancel& cancel) {
    if (rows.n <= kFew) {
      stride_ = kFew;
      make_room();
      for (Item i = 0; i < rows.n; ++i)
        dot_level().row_dots(rows.row(i), rows.data, rows.n, rows.d, values_.get() + i * stride_);
      return;
    }
    const PackedRows packed(rows, dot_level(), 1, cancel);
    const Item panel = packed.level().panel;
    stride_ = Offset{packed.panels()} * panel;
    make_room();
    std::int32_t* const values = values_.get();
    const int team = rows.n > 256 ? threads : 1;
    for_each_tile(packed, team, cancel, [&](Item a, Item b, const std::int32_t* tile) noexcept {
      std::int32_t* const upper = values + Offset{a} * panel * stride_ + Offset{b} * panel;
      for (Item r = 0; r < panel; ++r) std::copy_n(tile + r * panel, panel, upper + r * stride_);
      if (a == b) return;
      std::int32_t* const lower = values + Offset{b} * panel * stride_ + Offset{a} * panel;
      for (Item c0 = 0; c0 < panel; c0 += 8)
        for (Item r0 = 0; r0 < panel; r0 += 8)
          for (Item c = c0; c < c0 + 8; ++c)
            for (Item r = r0; r < r0 + 8; ++r) lower[c * stride_ + r] = tile[r * panel + c];
    });
  }
  const std::int32_t* row(Offset i) const { return values_.get() + i * stride_; }

 private:
  static constexpr Item kFew = 16;  // rows whose tile would be mostly padding

  void make_room() {
    if (stride_ * stride_ <= room_) return;
    room_ = stride_ * stride_;
    values_.reset();
    values_.reset(static_cast<std::int32_t*>(new_block(room_ * 4)));
  }

  Offset stride_ = 0, room_ = 0;
  std::unique_ptr<std::int32_t[], FreeBlock> values_;
};

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
  CutEpochs(RowsView rows, double penalty, Item budget, Offset candidates, int threads,
            const Cancel& cancel)
      : rows_(rows),
        penalty_(penalty),
        budget_(budget),
        wanted_(candidates),
        threads_(threads),
        cancel_(cancel),
        remaining_(all_items(rows.n)),
        chosen_(static_cast<std::size_t>(rows.d)),
        products_(static_cast<std::size_t>(rows.n)),
        row_sum_(static_cast<std::size_t>(rows.n)),
        self_(static_cast<std::size_t>(rows.n)),
        taken_(static_cast<std::size_t>(rows.n)) {
    const std::vector<std::int64_t> all = sum_rows(rows);
    dots_with(rows, all, remaining_, row_sum_.data(), threads, cancel);
    all_length_ = length(all);
    double across2 = 0.0;  // largest |q'|^2
    for (Item v = 0; v < rows.n; ++v) {
      self_[v] = static_cast<std::int32_t>(norm2(rows.row(v), rows.d));
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
    dots_with(rows_, chosen_, remaining_, products_.data(), threads_, cancel_);
    out_.evaluations += static_cast<Offset>(rest);
    gains_.resize(rest);
    Candidate<double> best{};
    std::size_t best_place = 0;
    for (std::size_t i = 0; i < rest; ++i) {
      const Item v = remaining_[i];
      const std::int64_t inside = products_[i] + products_[i] + self_[v];
      gains_[i] = gain_of(static_cast<double>(row_sum_[v]), static_cast<double>(inside));
      if (best.item < 0 || gains_[i] > best.gain) {  // ascending: the first of equals stays
        best = {gains_[i], v};
        best_place = i;
      }
    }
    const Offset count = candidate_count();
    // What an epoch is likely to reach: some 0.4 of its candidates, rows like the mean.
    step_ = 0.4 * 2.0 * penalty_ * static_cast<double>(count) / rows_.n;
    choose_candidates(count, best_place);
    survey_outsiders();
    reach_ = largest_sum_ + penalty_ * (2.0 * kLongest * length(chosen_) + kMaxSimilarity);
  }

  /// Sets candidates_ to places in remaining_, ascending, the best row among them.
  void choose_candidates(Offset count, std::size_t best_place) {
    const std::size_t rest = remaining_.size();
    candidates_.clear();
    is_candidate_.assign(rest, 0);
    if (static_cast<std::size_t>(count) >= rest) {
      std::fill(is_candidate_.begin(), is_candidate_.end(), char{1});
    } else {
      scores_.resize(rest);
      for (std::size_t i = 0; i < rest; ++i)
        scores_[i] = gains_[i] - 0.5 * step_ * static_cast<double>(row_sum_[remaining_[i]]);
      ordered_ = scores_;
      const auto cut = ordered_.begin() + (count - 1);
      std::nth_element(ordered_.begin(), cut, ordered_.end(), std::greater<double>());
      const double bar = *cut;
      Offset above = 0;
      for (std::size_t i = 0; i < rest; ++i) {
        is_candidate_[i] = scores_[i] > bar;
        above += is_candidate_[i];
      }
      for (std::size_t i = 0; i < rest && above < count; ++i) {
        if (scores_[i] == bar) is_candidate_[i] = 1, ++above;
      }
      is_candidate_[best_place] = 1;
    }
    for (std::size_t i = 0; i < rest; ++i) {
      if (is_candidate_[i]) candidates_.push_back(static_cast<Item>(i));
    }
  }

  void survey_outsiders() {
    constexpr double kNone = -std::numeric_limits<double>::infinity();
    highest_.assign(kPlaces, kNone);
    least_sum_ = std::numeric_limits<double>::infinity();
    most_sum_ = kNone;
    outsiders_ = candidates_.size() < remaining_.size();
    if (!outsiders_) return;
    double high[kPlaces] = {kNone, kNone, kNone, kNone};
    for (std::size_t i = 0; i < remaining_.size(); ++i) {
      if (is_candidate_[i]) continue;
      const auto sum = static_cast<double>(row_sum_[remaining_[i]]);
      for (int k = 0; k < kPlaces; ++k) high[k] = std::max(high[k], gains_[i] - place(k) * sum);
      least_sum_ = std::min(least_sum_, sum);
      most_sum_ = std::max(most_sum_, sum);
    }
    highest_.assign(high, high + kPlaces);
  }

  /// Where F is known: 0, 1/2, 1 and 2 steps.
  double place(int k) const { return k == 0 ? 0.0 : step_ * 0.25 * (1 << k); }

  /// At least F(t), up to rounding.
  double highest(double t) const {
    if (t <= 0.0 || step_ == 0.0)
      return highest_[0] - std::min(t, 0.0) * most_sum_ - std::max(t, 0.0) * least_sum_;
    int k = kPlaces - 1;
    while (k > 0 && place(k) > t) --k;
    if (k == kPlaces - 1) return highest_[k] - (t - place(k)) * least_sum_;
    const double part = (t - place(k)) / (place(k + 1) - place(k));
    return highest_[k] + part * (highest_[k + 1] - highest_[k]);
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
    sums_.assign(padded, -std::numeric_limits<double>::infinity());
    current_.assign(padded, -std::numeric_limits<double>::infinity());
    for (std::size_t c = 0; c < count; ++c) {
      const Item place = candidates_[c], v = remaining_[place];
      inside_[c] = static_cast<double>(products_[place] + products_[place] + self_[v]);
      sums_[c] = static_cast<double>(row_sum_[v]);
      current_[c] = gains_[place];
    }
    moved_.assign(static_cast<std::size_t>(rows_.d), 0);
    moved2_ = moved_with_all_ = 0;
    bool first = true;
    while (left() > 0) {
      const std::size_t best = best_candidate();
      const double gain = current_[best];
      if (gain == -std::numeric_limits<double>::infinity()) break;  // all candidates are chosen
      if (!first && outsiders_ && !(gain > limit())) break;
      take(best, gain);
      if (first && left() > 0 && count > 1) gather();
      if (count == 1) break;
      first = false;
      if (left() > 0) follow(gram_.row(static_cast<Offset>(best)), count);
    }
  }

  /// The first of the candidates of largest gain: candidates ascend, so it is the lowest row.
  std::size_t best_candidate() const {
    double high[8];
    std::copy_n(current_.begin(), 8, high);
    for (std::size_t c = 8; c < current_.size(); c += 8)
      for (std::size_t lane = 0; lane < 8; ++lane)
        high[lane] = current_[c + lane] > high[lane] ? current_[c + lane] : high[lane];
    const double best = *std::max_element(high, high + 8);
    return static_cast<std::size_t>(std::find(current_.begin(), current_.end(), best) -
                                    current_.begin());
  }

  void take(std::size_t candidate, double gain) {
    const Item v = remaining_[candidates_[candidate]];
    const std::int16_t* row = rows_.row(v);
    std::int64_t product = 0;
    for (Item c = 0; c < rows_.d; ++c) {
      product += std::int64_t{moved_[c]} * row[c];
      moved_[c] += row[c];
    }
    moved2_ += 2 * product + self_[v];
    moved_with_all_ += row_sum_[v];
    taken_[v] = 1;
    sums_[candidate] = current_[candidate] = -std::numeric_limits<double>::infinity();
    out_.items.push_back(v);
    out_.gains.push_back(gain);
    cancel_.check();
  }

  void gather() {
    const std::size_t count = candidates_.size();
    const auto d = static_cast<std::size_t>(rows_.d);
    gathered_.resize(count * d);
    for (std::size_t c = 0; c < count; ++c)
      std::copy_n(rows_.row(remaining_[candidates_[c]]), d, gathered_.data() + c * d);
    gram_.build({gathered_.data(), static_cast<Item>(count), rows_.d}, threads_, cancel_);
  }

  /// Brings the candidates' gains up to date. Twice a similarity and every sum stay below 2^53, so
  /// `inside` is the exact integer that the definition converts.
  void follow(const std::int32_t* similarity, std::size_t count) {
    double* const inside = inside_.data();
    double* const current = current_.data();
    const double* const sums = sums_.data();
    const double penalty = penalty_;
    for (std::size_t c = 0; c < count; ++c) {
      inside[c] += 2.0 * static_cast<double>(similarity[c]);
      current[c] = sums[c] - penalty * inside[c];
    }
  }

  void finish_epoch() {
    for (std::size_t c = 0; c < chosen_.size(); ++c) chosen_[c] += moved_[c];
    remaining_.erase(std::remove_if(remaining_.begin(), remaining_.end(),
                                    [&](Item v) { return taken_[v] != 0; }),
                     remaining_.end());
  }

  static constexpr int kPlaces = 4;
  static constexpr double kBalance = 24.0;
  static constexpr Offset kFewest = 192, kMost = 4096;

  RowsView rows_;
  double penalty_;
  Item budget_;
  Offset wanted_;
  int threads_;
  Cancel cancel_;
  Selection<double> out_;
  std::vector<Item> remaining_;             // ascending
  std::vector<std::int64_t> chosen_;        // (d,) sum of the rows of S at the epoch's start
  std::vector<std::int64_t> products_;      // its product with each row of remaining_
  std::vector<std::int64_t> row_sum_;       // (n,)
  std::vector<std::int32_t> self_;          // (n,)
  std::vector<char> taken_;                 // (n,)
  double all_length_ = 0.0, across_ = 0.0;  // |R|, largest |q'|
  double largest_sum_ = 0.0, reach_ = 0.0;  // what rounding is relative to

  std::vector<double> gains_, scores_, ordered_;  // of remaining_
  std::vector<char> is_candidate_;                // of remaining_
  bool outsiders_ = false;
  double step_ = 0.0;
  std::vector<double> highest_;  // F where it is known
  double least_sum_ = 0.0, most_sum_ = 0.0;

  std::vector<Item> candidates_;                 // places in remaining_
  std::vector<double> inside_, sums_, current_;  // of candidates_
  std::vector<std::int16_t> gathered_;
  SmallGram gram_;
  std::vector<std::int32_t> moved_;  // (d,) D
  std::int64_t moved2_ = 0, moved_with_all_ = 0;
};

}  // namespace

Selection<double> greedy_cut(RowsView rows, double penalty, Item budget, Offset candidates,
                             int threads, const Cancel& cancel) {
  return CutEpochs(rows, penalty, budget, candidates, threads, cancel).run();
}

double cut_gap(RowsView rows, double penalty, const std::vector<Item>& chosen, int threads,
               const Cancel& cancel) {
  const std::vector<Item> items = all_items(rows.n);
  std::vector<std::int64_t> inside(static_cast<std::size_t>(rows.d));
  std::vector<char> taken(items.size());
  for (const Item v : chosen) {
    taken[v] = 1;
    for (Item c = 0; c < rows.d; ++c) inside[c] += rows.row(v)[c];
  }
  std::vector<std::int64_t> row_sum(items.size()), with_chosen(items.size());
  dots_with(rows, sum_rows(rows), items, row_sum.data(), threads, cancel);
  dots_with(rows, inside, items, with_chosen.data(), threads, cancel);
  std::vector<double> ours, others;
  for (const Item v : items) {
    const double slope =
        static_cast<double>(row_sum[v]) - 2.0 * penalty * static_cast<double>(with_chosen[v]);
    (taken[v] ? ours : others).push_back(slope);
  }
  // The best set of that size by slopes trades our lowest for the others' highest.
  std::sort(ours.begin(), ours.end());
  std::sort(others.begin(), others.end(), std::greater<double>());
  double gap = 0.0;
  for (std::size_t i = 0; i < std::min(ours.size(), others.size()); ++i)
    gap += std::max(0.0, others[i] - ours[i]);
  return gap;
}

}  // namespace smartx
