// The best candidates of each of many rows, in whatever order they come.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "smartx/blocks.hpp"
#include "smartx/dot.hpp"
#include "smartx/fixed_point.hpp"

namespace smartx {

inline constexpr Item kLastItem = std::numeric_limits<Item>::max();
inline constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();  // none is above
inline constexpr std::int32_t kAlways = std::numeric_limits<std::int32_t>::min();

/// For each row all of its best k candidates, and some more. A candidate beats another by its value
/// or, where they are equal, by its lower item. A row's floor is never above the value of its k-th
/// best, so only values above the floor need to be pushed. Where many candidates equal the k-th
/// best, `tie` is the item of the k-th: those of higher items have lost.
class BestLists {
 public:
  /// At most `candidates` are pushed for a row.
  BestLists(Offset rows, Item k, Item candidates, const DotLevel& level)
      : level_(&level),
        k_(k),
        spare_(std::max(k / 4, 8)),
        room_(std::min(2 * Offset{k} + 32, Offset{candidates} + 1)),
        data_(static_cast<std::int32_t*>(new_block(rows * room_ * 8))),
        count_(static_cast<std::size_t>(rows), 0),
        floor_(static_cast<std::size_t>(rows), kAlways),
        tie_(static_cast<std::size_t>(rows), kLastItem) {}

  /// Only values above it need to be pushed; of rows row, row + 1, ... in line.
  const std::int32_t* floor(Offset row) const { return floor_.data() + row; }
  /// The floor for candidates of higher items than `item` alone.
  std::int32_t floor_after(Offset row, Item item) const {
    return floor_[at(row)] + (item >= tie_[at(row)]);
  }
  /// Whether a row has its best k.
  bool full(Offset row) const { return count_[at(row)] >= k_; }

  /// Empties a row, and lets in only what is above `floor`.
  void reset(Offset row, std::int32_t floor) noexcept {
    count_[at(row)] = 0;
    floor_[at(row)] = floor;
    tie_[at(row)] = kLastItem;
  }

  void push(Offset row, std::int32_t value, Item item) noexcept {
    Item& count = count_[at(row)];
    values(row)[count] = value;
    items(row)[count] = item;
    if (++count == room_) trim(row);
  }
  /// The same, where all that is pushed later has a higher item.
  void push_rising(Offset row, std::int32_t value, Item item) noexcept {
    Item& count = count_[at(row)];
    values(row)[count] = value;
    items(row)[count] = item;
    if (++count < room_) return;
    trim(row);
    floor_[at(row)] = floor_after(row, item);
    tie_[at(row)] = kLastItem;
  }

  /// Where the next candidate of a row will be written.
  void prefetch(Offset row) const noexcept {
    __builtin_prefetch(values(row) + count_[at(row)], 1);
    __builtin_prefetch(items(row) + count_[at(row)], 1);
  }

  /// Writes the best k of a full row, best first.
  void write_best(Offset row, Item* to_items, std::int32_t* to_values) noexcept {
    if (count_[at(row)] > k_ + spare_) trim(row);
    constexpr Item kSmall = 320;  // up to here counting, which has no branches, beats sorting
    const Item some = count_[at(row)];
    if (some > kSmall) return write_sorted(row, to_items, to_values);
    std::int32_t rank[kSmall], best[kSmall];
    Item owner[kSmall];
    level_->ranks(values(row), some, rank);
    for (Item i = 0; i < some; ++i) {
      best[rank[i]] = values(row)[i];
      owner[rank[i]] = items(row)[i];
    }
    for (Item i = 1; i < some; ++i) {  // of equal values the lower item first
      for (Item j = i; j > 0 && best[j] == best[j - 1] && owner[j] < owner[j - 1]; --j)
        std::swap(owner[j], owner[j - 1]);
    }
    std::copy_n(owner, k_, to_items);
    std::copy_n(best, k_, to_values);
  }

 private:
  static std::size_t at(Offset row) { return static_cast<std::size_t>(row); }
  std::int32_t* values(Offset row) const { return data_.get() + row * 2 * room_; }
  Item* items(Offset row) const { return values(row) + room_; }

  /// Keeps the best k, at most spare_ more, and raises the floor. Halves the range of values until
  /// a bar leaves about k above it; counting is much faster than sorting.
  void trim(Offset row) noexcept {
    Item& count = count_[at(row)];
    std::int32_t* const values = this->values(row);
    // Invariant: above `low` are `kept` >= k values; above `high` are fewer than k. The list may
    // hold values equal to the floor, so `low` starts one under it.
    std::int32_t low = std::max(floor_[at(row)], -kMaxSimilarity) - 1, high = low;
    for (Item i = 0; i < count; ++i) high = std::max(high, values[i]);
    Item kept = count;
    while (kept > k_ + spare_ && high - low > 1) {
      const std::int32_t middle = low + (high - low) / 2;
      const Item above = level_->count_above(values, count, middle);
      (above >= k_ ? low : high) = middle;
      if (above >= k_) kept = above;
    }
    floor_[at(row)] = low;
    if (kept > k_ + spare_) return keep_lowest_ties(row, high);
    count = level_->keep_above(values, items(row), count, low);
  }

  /// Keeps what is above `value`, fewer than k, and fills up to k with the lowest items of those
  /// that equal it.
  void keep_lowest_ties(Offset row, std::int32_t value) noexcept {
    std::int32_t* const values = this->values(row);
    Item* const items = this->items(row);
    Item& count = count_[at(row)];
    const auto to_front = [&](Item end, std::int32_t bar) {
      for (Item i = end; i < count; ++i) {
        if (values[i] <= bar) continue;
        std::swap(values[i], values[end]);
        std::swap(items[i], items[end++]);
      }
      return end;
    };
    const Item better = to_front(0, value), ties = to_front(better, value - 1);
    std::nth_element(items + better, items + k_ - 1, items + ties);
    count = k_;
    tie_[at(row)] = items[k_ - 1];
  }

  void write_sorted(Offset row, Item* to_items, std::int32_t* to_values) const noexcept {
    std::vector<std::int64_t> keys;  // the lower, the better: -value, then the item
    for (Item i = 0; i < count_[at(row)]; ++i)
      keys.push_back(-std::int64_t{values(row)[i]} * (std::int64_t{1} << 32) + items(row)[i]);
    std::sort(keys.begin(), keys.end());
    for (Item i = 0; i < k_; ++i) {
      to_items[i] = static_cast<Item>(keys[at(i)] & 0xFFFFFFFF);
      to_values[i] = -static_cast<std::int32_t>(keys[at(i)] >> 32);
    }
  }

  const DotLevel* level_;
  Item k_;
  Item spare_;   // how many more than k a trimmed list may hold
  Offset room_;  // of a row: its values, then their items
  std::unique_ptr<std::int32_t[], FreeBlock> data_;
  std::vector<Item> count_;
  std::vector<std::int32_t> floor_;
  std::vector<Item> tie_;
};

}  // namespace smartx
