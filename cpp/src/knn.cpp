#include "smartx/knn.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>

#include "blocks.hpp"
#include "tiles.hpp"

namespace smartx {

namespace {

/// A neighbour as one number: the larger, the better; of equal similarities the lower row wins.
using Key = std::int64_t;

constexpr Item kLastItem = std::numeric_limits<Item>::max();
constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();  // no value is above it
constexpr std::int32_t kAlways = std::numeric_limits<std::int32_t>::min();

Key key_of(std::int32_t similarity, Item item) noexcept {
  return Key{similarity} * (Key{1} << 32) + (kLastItem - item);
}

std::int32_t similarity_of(Key key) noexcept {
  return static_cast<std::int32_t>(key >> 32);
}

Item item_of(Key key) noexcept {
  return kLastItem - static_cast<Item>(key & 0xFFFFFFFF);
}

/// The best candidates seen so far for each of some rows: all of the best k, and some more. The
/// candidates of a row must come with ascending items: then one that only equals the k-th best so
/// far has lost already, `floor` can be compared with values alone, and a list stays in item order.
class BestLists {
 public:
  BestLists(Offset rows, Item k, const DotLevel& level)
      : level_(&level),
        k_(k),
        spare_(std::max(k / 4, 8)),
        room_(3 * Offset{k} + spare_ + 64),
        values_(static_cast<std::int32_t*>(new_block(rows * room_ * 4))),
        items_(static_cast<Item*>(new_block(rows * room_ * 4))),
        count_(static_cast<std::size_t>(rows), 0),
        floor_(static_cast<std::size_t>(rows), kAlways) {}

  std::int32_t* floor(Offset row) { return floor_.data() + row; }
  std::size_t room() const { return static_cast<std::size_t>(room_); }
  Item count(Offset row) const { return count_[static_cast<std::size_t>(row)]; }
  const std::int32_t* values(Offset row) const { return values_.get() + row * room_; }
  const Item* items(Offset row) const { return items_.get() + row * room_; }

  /// At most 64 between two calls of tidy(row).
  void push(Offset row, std::int32_t value, Item item) noexcept {
    Item& count = count_[static_cast<std::size_t>(row)];
    values_[static_cast<std::size_t>(row * room_ + count)] = value;
    items_[static_cast<std::size_t>(row * room_ + count)] = item;
    ++count;
  }

  /// Makes room for 64 more.
  void tidy(Offset row) noexcept {
    if (count(row) > room_ - 64) trim(row);
  }

  /// Empties a row, and lets in only what is above `floor`.
  void reset(Offset row, std::int32_t floor) noexcept {
    count_[static_cast<std::size_t>(row)] = 0;
    floor_[static_cast<std::size_t>(row)] = floor;
  }

  /// Replaces a row by these keys, at most k, items ascending.
  void assign(Offset row, const std::vector<Key>& keys, std::int32_t floor) noexcept {
    reset(row, floor);
    for (const Key key : keys) push(row, similarity_of(key), item_of(key));
  }

  /// Writes the best k of a row, best first. Items ascend in the list, so its order breaks ties.
  void write_best(Offset row, Item* items, std::int32_t* values) noexcept {
    if (count(row) > k_ + spare_) trim(row);
    constexpr Item kSmall = 320;  // up to here counting, which has no branches, beats sorting
    const Item some = count(row);
    const std::int32_t* const from = this->values(row);
    if (some > kSmall) return write_sorted(row, items, values);
    std::int32_t rank[kSmall];
    level_->ranks(from, some, rank);
    for (Item i = 0; i < some; ++i) {
      if (rank[i] >= k_) continue;
      items[rank[i]] = this->items(row)[i];
      values[rank[i]] = from[i];
    }
  }

 private:
  /// Keeps the best k, at most spare_ more, and raises the floor. Halves the range of values until
  /// a bar leaves about k above it; counting is much faster than sorting.
  void trim(Offset row) noexcept {
    Item& count = count_[static_cast<std::size_t>(row)];
    std::int32_t* const values = values_.get() + row * room_;
    std::int32_t& floor = floor_[static_cast<std::size_t>(row)];
    // Invariant: above `low` are `kept` >= k values; above `high` are fewer than k. The list may
    // hold values equal to the floor (never below it), so `low` starts one under it.
    std::int32_t low = std::max(floor, -kMaxSimilarity) - 1, high = kMaxSimilarity;
    Item kept = count;
    while (kept > k_ + spare_ && high - low > 1) {
      const std::int32_t middle = low + (high - low) / 2;
      const Item above = level_->count_above(values, count, middle);
      (above >= k_ ? low : high) = middle;
      if (above >= k_) kept = above;
    }
    // What equals `high` fills up to k where the bar cannot be finer; the earlier item wins.
    Item ties = count;
    if (kept > k_ + spare_) {
      const Item better = level_->count_above(values, count, high);
      ties = k_ - better;
    }
    count = kept_above(row, low, high, ties);
    floor = low + 1;
  }

  void write_sorted(Offset row, Item* items, std::int32_t* values) const noexcept {
    std::vector<Key> keys;
    for (Item i = 0; i < count(row); ++i)
      keys.push_back(key_of(this->values(row)[i], this->items(row)[i]));
    std::sort(keys.begin(), keys.end(), std::greater<Key>());
    for (Item i = 0; i < k_; ++i) {
      items[i] = item_of(keys[static_cast<std::size_t>(i)]);
      values[i] = similarity_of(keys[static_cast<std::size_t>(i)]);
    }
  }

  /// Moves what is above `low` to the front, of those equal to `high` the first `ties` only.
  Item kept_above(Offset row, std::int32_t low, std::int32_t high, Item ties) noexcept {
    const Item count = count_[static_cast<std::size_t>(row)];
    std::int32_t* const values = values_.get() + row * room_;
    Item* const items = items_.get() + row * room_;
    if (ties == count) return level_->keep_above(values, items, count, low);
    Item end = 0;
    for (Item i = 0; i < count; ++i) {
      if (values[i] <= low || (values[i] == high && ties-- <= 0)) continue;
      values[end] = values[i];
      items[end++] = items[i];
    }
    return end;
  }

  const DotLevel* level_;
  Item k_;
  Item spare_;  // how many more than k a trimmed list may hold
  Offset room_;
  std::unique_ptr<std::int32_t[], FreeBlock> values_;
  std::unique_ptr<Item[], FreeBlock> items_;
  std::vector<Item> count_;
  std::vector<std::int32_t> floor_;
};

/// One search. Blocks of row panels are taken one after the other; for each, every later panel is
/// multiplied with it once, and the tile serves its rows and its columns. So every row meets its
/// candidates with ascending items: first as a column, then as a row.
class Search {
 public:
  Search(RowsView rows, Item k, const Context& context)
      : packed_(rows, context),
        context_(context),
        panel_(context.dot().panel),
        block_(panels_in_cache(packed_)),
        k_(k),
        lists_(Offset{packed_.panels()} * panel_, k, context.dot()) {
    for (Offset row = rows.n; row < Offset{packed_.panels()} * panel_; ++row)
      lists_.reset(row, kNever);
    scratch_.resize(static_cast<std::size_t>(context.threads()));
    for (std::vector<Key>& keys : scratch_)
      keys.reserve((static_cast<std::size_t>(context.threads()) + 1) * lists_.room());
    if (context.threads() > 1) {
      for (int t = 0; t < context.threads(); ++t)
        own_.emplace_back(Offset{block_} * panel_, k, context.dot());
    }
  }

  Neighbours run() {
    for (Item first = 0; first < packed_.panels(); first += block_) {
      const Item last = std::min(first + block_, packed_.panels());
      within(first, last);
      beyond(first, last);
    }
    return result();
  }

 private:
  /// Rows of the block among themselves: full tiles, so that threads share nothing.
  void within(Item first, Item last) {
    parallel_for(last - first, context_, [&](Offset i) noexcept {
      const Item a = first + static_cast<Item>(i);
      for (Item b = first; b < last; ++b) meet(a, b, lists_, Offset{a} * panel_, false);
    });
  }

  /// Rows of the block with all later rows. A later panel belongs to one thread, which owns its
  /// lists; the lists of the block's rows are shared, so each thread fills its own and they are
  /// joined at the end.
  void beyond(Item first, Item last) {
    const bool shared = context_.threads() > 1 && last < packed_.panels();
    const Offset base = Offset{first} * panel_, rows = Offset{last - first} * panel_;
    if (shared) {
      for (BestLists& own : own_)
        for (Offset r = 0; r < rows; ++r) own.reset(r, *lists_.floor(base + r));
    }
    parallel_for(packed_.panels() - last, context_, [&](Offset j, int hand) noexcept {
      const Item b = last + static_cast<Item>(j);
      BestLists& of_rows = shared ? own_[static_cast<std::size_t>(hand)] : lists_;
      for (Item a = first; a < last; ++a)
        meet(a, b, of_rows, Offset{a - (shared ? first : 0)} * panel_, true);
    });
    if (!shared) return;
    parallel_for(
        rows, context_,
        [&](Offset r, int hand) noexcept {
          join(base + r, r, scratch_[static_cast<std::size_t>(hand)]);
        },
        16);
  }

  /// The best k of a row's list and of what each thread found for it (row r of its block). `keys`
  /// has room for all of them.
  void join(Offset row, Offset r, std::vector<Key>& keys) noexcept {
    keys.clear();
    collect(lists_, row, keys);
    const std::size_t before = keys.size();
    for (const BestLists& own : own_) collect(own, r, keys);
    if (keys.size() == before) return;
    std::int32_t floor = *lists_.floor(row);
    if (keys.size() > static_cast<std::size_t>(k_)) {
      std::nth_element(keys.begin(), keys.begin() + (k_ - 1), keys.end(), std::greater<Key>());
      keys.resize(static_cast<std::size_t>(k_));
      floor = similarity_of(keys.back());
    }
    std::sort(keys.begin(), keys.end(), [](Key x, Key y) { return item_of(x) < item_of(y); });
    lists_.assign(row, keys, floor);
  }

  static void collect(const BestLists& lists, Offset row, std::vector<Key>& keys) noexcept {
    for (Item i = 0; i < lists.count(row); ++i)
      keys.push_back(key_of(lists.values(row)[i], lists.items(row)[i]));
  }

  /// Panel a (down) meets panel b (across): candidates go to the rows, whose lists start at
  /// `place` of `of_rows`, and if `both` to the columns.
  void meet(Item a, Item b, BestLists& of_rows, Offset place, bool both) noexcept {
    Tile tile;
    std::uint64_t row_hits[64], column_hits[64];
    packed_.multiply(a, b, tile.values);
    const Item row0 = a * panel_, column0 = b * panel_;
    packed_.level().above(tile.values, of_rows.floor(place), lists_.floor(column0), row_hits,
                          column_hits);
    std::uint64_t changed = 0;
    for (Item r = 0; r < panel_; ++r) {
      const std::int32_t* values = tile.values + r * panel_;
      std::uint64_t hits = row_hits[r];
      if (a == b) hits &= ~(std::uint64_t{1} << r);
      if (hits != 0) {
        hits &= real_columns(b);
        for (; hits != 0; hits &= hits - 1) {
          const int c = __builtin_ctzll(hits);
          of_rows.push(place + r, values[c], column0 + c);
        }
        of_rows.tidy(place + r);
      }
      if (!both || !(row0 + r < packed_.size())) continue;
      changed |= column_hits[r];
      for (hits = column_hits[r]; hits != 0; hits &= hits - 1) {
        const int c = __builtin_ctzll(hits);
        lists_.push(column0 + c, values[c], row0 + r);
      }
    }
    if (!both) return;
    for (; changed != 0; changed &= changed - 1) lists_.tidy(column0 + __builtin_ctzll(changed));
  }

  /// The columns of panel b that are rows of the ground set.
  std::uint64_t real_columns(Item b) const noexcept {
    const Offset left = Offset{packed_.size()} - Offset{b} * panel_;
    return left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
  }

  Neighbours result() {
    Neighbours found;
    found.n = packed_.size();
    found.k = k_;
    const auto total = static_cast<std::size_t>(Offset{found.n} * k_);
    found.items.resize(total);
    found.similarities.resize(total);
    parallel_for(
        found.n, context_,
        [&](Offset row) noexcept {
          lists_.write_best(row, found.items.data() + row * k_,
                            found.similarities.data() + row * k_);
        },
        256);
    return found;
  }

  PackedRows packed_;
  Context context_;
  Item panel_;
  Item block_;  // panels in a block of rows
  Item k_;
  BestLists lists_;                        // of all rows
  std::vector<BestLists> own_;             // one per thread, of the rows of the running block
  std::vector<std::vector<Key>> scratch_;  // one per thread
};

}  // namespace

Neighbours exact_neighbours(RowsView rows, Item k, const Context& context) {
  k = std::min(k, rows.n - 1);
  if (k <= 0) return {rows.n, 0, {}, {}};
  return Search(rows, k, context).run();
}

std::vector<std::int32_t> own_similarities(RowsView rows, const Context& context) {
  std::vector<std::int32_t> own(static_cast<std::size_t>(rows.n));
  parallel_for(
      rows.n, context,
      [&](Offset i) noexcept {
        own[i] = static_cast<std::int32_t>(norm2(rows.row(static_cast<Item>(i)), rows.d));
      },
      64);
  return own;
}

}  // namespace smartx
