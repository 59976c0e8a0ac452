// The largest of many scores, found by a sample and one pass.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "row_products.hpp"
#include "smartx/context.hpp"
#include "smartx/types.hpp"

namespace smartx {

class TopScores {
 public:
  /// The places of `count` of the largest scores, ascending; a few less where the sample deceives,
  /// which changes nothing but the time. Ties go to the lower place.
  const std::vector<Item>& find(Span<const double> scores, std::size_t count,
                                const Context& context) {
    gather(scores, likely_bar(scores, count), context);
    if (places_.size() > count) keep_best(scores, count);
    return places_;
  }

 private:
  /// A bar that somewhat more than `count` scores are likely to reach.
  double likely_bar(Span<const double> scores, std::size_t count) {
    constexpr Offset kStep = 16;
    some_.clear();
    for (Offset i = 0; i < scores.size; i += kStep) some_.push_back(scores[i]);
    const std::size_t rank = count / kStep + count / (2 * kStep) + 8;
    return rank < some_.size() ? nth_largest(rank) : -std::numeric_limits<double>::infinity();
  }

  void gather(Span<const double> scores, double bar, const Context& context) {
    const auto size = static_cast<std::size_t>(scores.size);
    places_.resize(size);
    end_of_block_.resize(blocks_of(size));
    for_each_block(size, context, [&](Offset block, Offset first, Offset last) noexcept {
      Offset end = first;
      for (Offset i = first; i < last; ++i) {
        places_[end] = static_cast<Item>(i);
        end += scores[i] >= bar;
      }
      end_of_block_[block] = end;
    });
    auto all = places_.begin();
    for (std::size_t block = 0; block < end_of_block_.size(); ++block) {
      const auto own = places_.begin() + static_cast<Offset>(block) * kRowsAtOnce;
      all = std::copy(own, places_.begin() + end_of_block_[block], all);
    }
    places_.erase(all, places_.end());
  }

  void keep_best(Span<const double> scores, std::size_t count) {
    some_.clear();
    for (const Item i : places_) some_.push_back(scores[i]);
    const double bar = nth_largest(count - 1);
    Offset at_bar = std::count(some_.begin(), some_.begin() + static_cast<Offset>(count), bar);
    const auto too_low = [&](Item i) {
      return scores[i] < bar || (scores[i] == bar && at_bar-- <= 0);
    };
    places_.erase(std::remove_if(places_.begin(), places_.end(), too_low), places_.end());
  }

  /// Of some_, counted from 0.
  double nth_largest(std::size_t rank) {
    const auto place = some_.begin() + static_cast<Offset>(rank);
    std::nth_element(some_.begin(), place, some_.end(), std::greater<double>());
    return *place;
  }

  std::vector<Item> places_;
  std::vector<Offset> end_of_block_;
  std::vector<double> some_;
};

}  // namespace smartx
