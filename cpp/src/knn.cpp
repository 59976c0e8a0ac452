#include "smartx/knn.hpp"

#include <algorithm>
#include <functional>
#include <limits>

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

/// The best k keys seen so far for each of some rows, unordered, with room for more. Candidates of
/// a row must come with ascending items: then one that only equals the k-th best so far has lost,
/// and `floor` can be compared with values alone.
class BestLists {
 public:
  BestLists(Offset rows, Item k)
      : k_(k),
        room_(2 * Offset{k} + 64),
        keys_(static_cast<std::size_t>(rows * room_)),
        count_(static_cast<std::size_t>(rows), 0),
        floor_(static_cast<std::size_t>(rows), kAlways) {}

  std::int32_t* floor(Offset row) { return floor_.data() + row; }
  Item count(Offset row) const { return count_[static_cast<std::size_t>(row)]; }
  const Key* keys(Offset row) const { return keys_.data() + row * room_; }

  /// At most 64 between two calls of tidy(row).
  void push(Offset row, Key key) noexcept {
    Item& count = count_[static_cast<std::size_t>(row)];
    keys_[static_cast<std::size_t>(row * room_ + count)] = key;
    ++count;
  }

  /// Makes room for 64 more.
  void tidy(Offset row) noexcept {
    if (count(row) > room_ - 64) keep_best(row);
  }

  void keep_best(Offset row) noexcept {
    Item& count = count_[static_cast<std::size_t>(row)];
    if (count < k_) return;
    Key* keys = keys_.data() + row * room_;
    std::nth_element(keys, keys + (k_ - 1), keys + count, std::greater<Key>());
    count = k_;
    *floor(row) = std::max(*floor(row), similarity_of(keys[k_ - 1]));
  }

  /// Best first.
  void sort(Offset row) noexcept {
    keep_best(row);
    Key* keys = keys_.data() + row * room_;
    std::sort(keys, keys + count(row), std::greater<Key>());
  }

  /// Empties a row, and lets in only what is above `floor`.
  void reset(Offset row, std::int32_t floor) noexcept {
    count_[static_cast<std::size_t>(row)] = 0;
    floor_[static_cast<std::size_t>(row)] = floor;
  }

 private:
  Item k_;
  Offset room_;
  std::vector<Key> keys_;
  std::vector<Item> count_;
  std::vector<std::int32_t> floor_;
};

/// One search. Blocks of row panels are taken one after the other; for each, every later panel is
/// multiplied with it once, and the tile serves its rows and its columns. So every row meets its
/// candidates with ascending items: first as a column, then as a row.
class Search {
 public:
  Search(RowsView rows, Item k, int threads, const Cancel& cancel, const DotLevel& level)
      : packed_(rows, level, threads, cancel),
        threads_(threads),
        cancel_(cancel),
        panel_(level.panel),
        block_(panels_in_cache(packed_)),
        k_(k),
        lists_(Offset{packed_.panels()} * panel_, k) {
    for (Offset row = rows.n; row < Offset{packed_.panels()} * panel_; ++row)
      lists_.reset(row, kNever);
    if (threads > 1) {
      for (int t = 0; t < threads; ++t) own_.emplace_back(Offset{block_} * panel_, k);
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
    parallel_for(last - first, threads_, cancel_, [&](Offset i) noexcept {
      const Item a = first + static_cast<Item>(i);
      for (Item b = first; b < last; ++b) meet(a, b, lists_, Offset{a} * panel_, false);
    });
  }

  /// Rows of the block with all later rows. A later panel belongs to one thread, which owns its
  /// lists; the lists of the block's rows are shared, so each thread fills its own and they are
  /// joined at the end.
  void beyond(Item first, Item last) {
    const bool shared = threads_ > 1 && last < packed_.panels();
    const Offset base = Offset{first} * panel_, rows = Offset{last - first} * panel_;
    if (shared) {
      for (BestLists& own : own_)
        for (Offset r = 0; r < rows; ++r) own.reset(r, *lists_.floor(base + r));
    }
    parallel_for(packed_.panels() - last, threads_, cancel_, [&](Offset j) noexcept {
      const Item b = last + static_cast<Item>(j);
      BestLists& of_rows = shared ? own_[static_cast<std::size_t>(thread_index())] : lists_;
      for (Item a = first; a < last; ++a)
        meet(a, b, of_rows, Offset{a - (shared ? first : 0)} * panel_, true);
    });
    if (!shared) return;
    parallel_for(rows, threads_, cancel_, [&](Offset r) noexcept {
      for (const BestLists& own : own_) {
        for (Item i = 0; i < own.count(r); ++i) {
          lists_.push(base + r, own.keys(r)[i]);
          lists_.tidy(base + r);
        }
      }
      lists_.keep_best(base + r);
    });
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
          of_rows.push(place + r, key_of(values[c], column0 + c));
        }
        of_rows.tidy(place + r);
      }
      if (!both || !(row0 + r < packed_.size())) continue;
      changed |= column_hits[r];
      for (hits = column_hits[r]; hits != 0; hits &= hits - 1) {
        const int c = __builtin_ctzll(hits);
        lists_.push(column0 + c, key_of(values[c], row0 + r));
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
        found.n, threads_, cancel_,
        [&](Offset row) noexcept {
          lists_.sort(row);
          const Key* keys = lists_.keys(row);
          for (Item i = 0; i < k_; ++i) {
            found.items[static_cast<std::size_t>(row * k_ + i)] = item_of(keys[i]);
            found.similarities[static_cast<std::size_t>(row * k_ + i)] = similarity_of(keys[i]);
          }
        },
        256);
    return found;
  }

  PackedRows packed_;
  int threads_;
  Cancel cancel_;
  Item panel_;
  Item block_;  // panels in a block of rows
  Item k_;
  BestLists lists_;             // of all rows
  std::vector<BestLists> own_;  // one per thread, of the rows of the running block
};

}  // namespace

Neighbours exact_neighbours(RowsView rows, Item k, int threads, const Cancel& cancel,
                            const DotLevel& level) {
  k = std::min(k, rows.n - 1);
  if (k <= 0) return {rows.n, 0, {}, {}};
  return Search(rows, k, threads, cancel, level).run();
}

}  // namespace smartx
