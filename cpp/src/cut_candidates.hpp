// The rows that an epoch of graph cut follows, and their gains.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "small_gram.hpp"
#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"

namespace smartx {

/// Keeps the gains row_sum - penalty * inside of some rows exact while rows are chosen among them:
/// inside = 2 * sum over i in S of s(i, j) + s(j, j). Twice a similarity and every sum stay below
/// 2^53, so `inside` is the exact integer that the definition converts.
class CutCandidates {
 public:
  /// Below any gain: of a row that is left out.
  static constexpr double kLeftOut = -std::numeric_limits<double>::infinity();

  CutCandidates(RowsView rows, double penalty, const Context& context)
      : rows_(rows), penalty_(penalty), context_(context) {}

  void start(std::size_t count) {
    const std::size_t padded = (count + 7) / 8 * 8;
    items_.resize(count);
    inside_.assign(padded, 0.0);
    sums_.assign(padded, kLeftOut);
    gains_.assign(padded, kLeftOut);
    gathered_.clear();
  }
  /// Candidate c is that row; those of a template ascend.
  void put(std::size_t c, Item row, std::int64_t inside, std::int64_t row_sum) {
    items_[c] = row;
    inside_[c] = static_cast<double>(inside);
    sums_[c] = static_cast<double>(row_sum);
    gains_[c] = sums_[c] - penalty_ * inside_[c];
  }
  void leave_out(std::size_t c) { sums_[c] = gains_[c] = kLeftOut; }

  Item item(std::size_t c) const { return items_[c]; }
  double gain(std::size_t c) const { return gains_[c]; }
  std::int64_t inside(std::size_t c) const { return static_cast<std::int64_t>(inside_[c]); }

  /// S has become S + the row of candidate c: brings the gains up to date and returns the first of
  /// the largest.
  std::size_t follow(std::size_t c) {
    if (gathered_.empty()) gather();
    const std::int32_t* const similarity = gram_.row(static_cast<Item>(c), context_);
    const auto count = static_cast<Offset>(gains_.size());
    const Offset parts = std::max<Offset>(1, count / kPart);
    high_of_part_.resize(static_cast<std::size_t>(parts));
    parallel_for(parts, context_, [&](Offset part) noexcept {
      const Offset last = part + 1 < parts ? (part + 1) * kPart : count;
      high_of_part_[part] = follow(similarity, part * kPart, last);
    });
    const auto part = std::max_element(high_of_part_.begin(), high_of_part_.end());
    return first_with(*part, (part - high_of_part_.begin()) * kPart);
  }
  /// The first of the largest gains from `first` to `last`, which are not the same.
  std::size_t best_in(std::size_t first, std::size_t last) const {
    double high[8];
    std::fill_n(high, 8, kLeftOut);
    std::size_t c = first;
    for (; c + 8 <= last; c += 8)
      for (std::size_t k = 0; k < 8; ++k) high[k] = std::max(high[k], gains_[c + k]);
    for (; c < last; ++c) high[0] = std::max(high[0], gains_[c]);
    return first_with(*std::max_element(high, high + 8), first);
  }
  /// The first candidate from `from` on with that gain; where there is none, their padded number.
  std::size_t first_with(double gain, std::size_t from) const {
    const auto place = std::find(gains_.begin() + static_cast<Offset>(from), gains_.end(), gain);
    return static_cast<std::size_t>(place - gains_.begin());
  }

 private:
  static constexpr Offset kPart = 1024;  // candidates that a thread brings up to date together

  /// Those from first (a multiple of 8) to last; returns the largest gain.
  double follow(const std::int32_t* similarity, Offset first, Offset last) noexcept {
    double* const inside = inside_.data();
    double* const gains = gains_.data();
    const double* const sums = sums_.data();
    const double penalty = penalty_;
    double high[8];
    std::fill_n(high, 8, kLeftOut);
    for (Offset c = first; c < last; c += 8) {
      for (Offset k = 0; k < 8; ++k) {
        inside[c + k] += 2.0 * static_cast<double>(similarity[c + k]);
        gains[c + k] = sums[c + k] - penalty * inside[c + k];
      }
      for (Offset k = 0; k < 8; ++k) high[k] = gains[c + k] > high[k] ? gains[c + k] : high[k];
    }
    return *std::max_element(high, high + 8);
  }

  void gather() {
    const auto d = static_cast<std::size_t>(rows_.d);
    gathered_.resize(items_.size() * d);
    parallel_for(
        static_cast<Offset>(items_.size()), context_,
        [&](Offset c) noexcept { std::copy_n(rows_.row(items_[c]), d, gathered_.data() + c * d); },
        64, Helpers::kFromEnd);
    gram_.start({gathered_.data(), static_cast<Item>(items_.size()), rows_.d});
  }

  RowsView rows_;
  double penalty_;
  Context context_;
  std::vector<Item> items_;
  std::vector<double> inside_, sums_, gains_;  // padded to a multiple of 8
  std::vector<double> high_of_part_;
  std::vector<std::int16_t> gathered_;
  SmallGram gram_;
};

}  // namespace smartx
