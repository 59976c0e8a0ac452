#include "smartx/knn.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "knn_lists.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/rng.hpp"
#include "tiles.hpp"

namespace smartx {

namespace {

/// Calls push(r, c) for every bit c of masks[r], r < rows. Which masks are empty is nothing that a
/// processor can foresee, so they are passed over without a branch.
template <class Push>
void each_hit(const std::uint64_t* masks, Item rows, const Push& push) noexcept {
  Item some[64], count = 0;
  for (Item r = 0; r < rows; ++r) {
    some[count] = r;
    count += masks[r] != 0;
  }
  for (Item i = 0; i < count; ++i) {
    for (std::uint64_t left = masks[some[i]]; left != 0; left &= left - 1)
      push(some[i], __builtin_ctzll(left));
  }
}

/// What one thread has found for some rows whose lists all threads fill: a few candidates of each,
/// and the floor that it knows of.
class Basket {
 public:
  static constexpr Item kRoom = 64;

  explicit Basket(Offset rows)
      : values_(static_cast<std::size_t>(rows * kRoom)),
        items_(values_.size()),
        count_(static_cast<std::size_t>(rows), 0),
        floor_(static_cast<std::size_t>(rows)) {}

  const std::int32_t* floor(Offset row) const { return floor_.data() + row; }
  void set_floor(Offset row, std::int32_t floor) noexcept { floor_[row] = floor; }

  /// Whether the row is full and must be emptied.
  bool add(Offset row, std::int32_t value, Item item) noexcept {
    Item& count = count_[row];
    values_[row * kRoom + count] = value;
    items_[row * kRoom + count] = item;
    return ++count == kRoom;
  }

  /// Moves what it has of a row, whose items ascend, to row `to` of the lists.
  void empty(Offset row, BestLists& lists, Offset to) noexcept {
    Item& count = count_[row];
    if (count == 0) return;
    const Item last = items_[row * kRoom + count - 1];
    for (Item i = 0; i < count; ++i) {
      const std::int32_t value = values_[row * kRoom + i];
      const Item item = items_[row * kRoom + i];
      if (value > lists.floor_after(to, item)) lists.push(to, value, item);
    }
    count = 0;
    floor_[row] = lists.floor_after(to, last);
  }

 private:
  std::vector<std::int32_t> values_;
  std::vector<Item> items_;
  std::vector<Item> count_;
  std::vector<std::int32_t> floor_;
};

/// One search. A sample of the rows goes first and meets all rows. So many of it are above the
/// floor of a row then that, almost surely, at least k of all rows are, and few more: the floor is
/// a guess, and a row that finds fewer than k above it meets all rows again, without. The other
/// rows follow in order: blocks of panels are taken one after the other; for each, every later
/// panel is multiplied with it once, and the tile serves its rows and its columns.
class Search {
 public:
  Search(SomeRows rows, Item k, const Context& context)
      : context_(context),
        panel_(context.dot().panel),
        k_(k),
        sampled_(sampled_panels(rows.n)),
        rows_(rows.all),
        order_(order_of(rows.n)),
        packed_(in_order(rows), context),
        block_(panels_in_cache(packed_)),
        lists_(Offset{packed_.panels()} * panel_, k, rows.n, context.dot()) {
    std::fill(std::begin(never_), std::end(never_), kNever);
    for (Offset row = rows.n; row < Offset{packed_.panels()} * panel_; ++row)
      lists_.reset(row, kNever);
    if (context.threads() > 1) {
      const Offset most = Offset{std::max(sampled_, block_)} * panel_;
      for (int hand = 0; hand < context.threads(); ++hand) baskets_.emplace_back(most);
    }
  }

  Neighbours run() {
    found_.n = packed_.size();
    found_.k = k_;
    found_.items.resize(static_cast<std::size_t>(Offset{found_.n} * k_));
    found_.similarities.resize(found_.items.size());
    if (sampled_ > 0) {
      meet_sample();
      write(0, sampled_);
    }
    for (Item first = sampled_; first < packed_.panels(); first += block_) {
      const Item last = std::min(first + block_, packed_.panels());
      within(first, last);
      beyond(first, last);
      write(first, last);
    }
    meet_again();
    return std::move(found_);
  }

 private:
  static std::size_t at(Offset i) { return static_cast<std::size_t>(i); }

  /// How many panels of rows are a sample; 0 where that does not pay.
  Item sampled_panels(Item n) {
    constexpr Item kMost = 4096;
    const Item panels = std::min(n / 16, kMost) / panel_;
    // The sample's share of a row's best k is about Poisson's: where `wanted_` of the sample are
    // above a floor, at least k of all rows are, but for a few rows in a thousand.
    const double mean = 1.0 * k_ * panels * panel_ / std::max(n, 1);
    wanted_ = static_cast<Item>(mean + 2.5 * std::sqrt(mean) + 1.5);
    return 2 * wanted_ <= panels * panel_ ? panels : 0;
  }

  /// order[p]: the row that is packed as row p. The sample first, one row of each of so many equal
  /// parts; then the others. Both ascend.
  std::vector<Item> order_of(Item n) const {
    const Draws draws(0, 0);
    const Offset sample = Offset{sampled_} * panel_;
    std::vector<Item> order;
    for (Offset s = 0; s < sample; ++s) {
      const Offset first = n * s / sample, end = n * (s + 1) / sample;
      order.push_back(static_cast<Item>(first + draws.below(end - first, at(s))));
    }
    Offset s = 0;
    for (Item row = 0; row < n; ++row) {
      if (s < sample && order[at(s)] == row) {
        ++s;
      } else {
        order.push_back(row);
      }
    }
    return order;
  }

  SomeRows in_order(const SomeRows& rows) {
    which_ = order_;
    if (rows.items != nullptr)
      for (Item& row : which_) row = rows.items[row];
    return {rows.all, which_.data(), rows.n};
  }

  /// The rows of a panel that are rows of the ground set.
  Item rows_of(Item panel) const noexcept {
    return static_cast<Item>(
        std::min<Offset>(panel_, Offset{packed_.size()} - Offset{panel} * panel_));
  }

  /// All rows meet the sample.
  void meet_sample() {
    const Offset size = Offset{sampled_} * panel_;
    struct Room {
      std::vector<std::int32_t> values;  // (panel, size)
      std::vector<Item> items;           // (size,)
      std::int32_t guess = 0;
    };
    std::vector<Room> rooms(at(context_.threads()));
    for (Room& room : rooms) {
      room.values.resize(at(panel_ * size));
      room.items.resize(at(size));
    }
    for (Basket& basket : baskets_)
      for (Offset row = 0; row < size; ++row) basket.set_floor(row, kAlways);
    const auto meet = [&](Item b, int hand) noexcept {
      Room& room = rooms[at(hand)];
      Tile tile;
      for (Item a = 0; a < sampled_; ++a) {
        packed_.multiply(b, a, tile.values);
        for (Item r = 0; r < panel_; ++r)
          std::copy_n(tile.values + r * panel_, panel_,
                      room.values.data() + r * size + Offset{a} * panel_);
        if (b >= sampled_) to_sample(a, b, tile, hand);
      }
      for (Item r = 0; r < rows_of(b); ++r) {
        const Offset row = Offset{b} * panel_ + r;
        std::int32_t* const values = room.values.data() + r * size;
        if (row < size) values[row] = kAlways;
        choose(row, values, room.items.data(), room.guess);
      }
    };
    parallel_for(sampled_, context_,
                 [&](Offset b, int hand) noexcept { meet(static_cast<Item>(b), hand); });
    for (Basket& basket : baskets_)
      for (Offset row = 0; row < size; ++row) basket.set_floor(row, *lists_.floor(row));
    parallel_for(packed_.panels() - sampled_, context_,
                 [&](Offset b, int hand) noexcept { meet(sampled_ + static_cast<Item>(b), hand); });
    empty_baskets(0, size);
  }

  /// Of a row's similarities with the sample: sets the floor and keeps what is above it. `guess` is
  /// the floor of another row, and becomes that of this one.
  void choose(Offset row, std::int32_t* values, Item* items, std::int32_t& guess) noexcept {
    const Item size = sampled_ * panel_;
    const DotLevel& level = context_.dot();
    // As in BestLists::trim, but from the guess in steps that double.
    std::int32_t low = -kMaxSimilarity - 1, high = kMaxSimilarity, bar = guess;
    Item above = size;
    for (std::int32_t step = 1 << 15; above > wanted_ + wanted_ / 4 && high - low > 1;) {
      const Item some = level.count_above(values, size, bar);
      (some >= wanted_ ? low : high) = bar;
      if (some >= wanted_) above = some;
      const std::int32_t middle = low + (high - low) / 2;
      bar = some >= wanted_ ? std::min(middle, bar + step) : std::max(middle, bar - step);
      step = std::min(2 * step, kMaxSimilarity);
    }
    guess = std::clamp(low, -kMaxSimilarity, kMaxSimilarity - 1);
    std::copy_n(order_.data(), size, items);
    const Item kept = level.keep_above(values, items, size, low);
    lists_.reset(row, low);
    for (Item i = 0; i < kept; ++i) lists_.push(row, values[i], items[i]);
  }

  /// Rows of panel b (down) are candidates of the rows of sampled panel a (across).
  void to_sample(Item a, Item b, const Tile& tile, int hand) noexcept {
    std::uint64_t unused[64], hits[64];
    const Offset first = Offset{a} * panel_;
    const std::int32_t* const floor =
        baskets_.empty() ? lists_.floor(first) : baskets_[at(hand)].floor(first);
    packed_.level().above(tile.values, never_, floor, unused, hits);
    each_hit(hits, rows_of(b), [&](Item r, Item c) {
      to_shared(first + c, first + c, tile.values[r * panel_ + c],
                order_[at(Offset{b} * panel_ + r)], hand);
    });
  }

  /// A candidate for a row whose list all threads fill; `own` is the row's number in the baskets.
  void to_shared(Offset row, Offset own, std::int32_t value, Item item, int hand) noexcept {
    if (baskets_.empty()) return lists_.push_rising(row, value, item);
    if (baskets_[at(hand)].add(own, value, item)) empty(row, own, baskets_[at(hand)]);
  }

  void empty(Offset row, Offset own, Basket& basket) noexcept {
    const std::lock_guard<std::mutex> lock(locks_[at(row) % locks_.size()]);
    basket.empty(own, lists_, row);
  }

  void empty_baskets(Offset first, Offset rows) {
    if (baskets_.empty()) return;
    parallel_for(
        rows, context_,
        [&](Offset r) noexcept {
          for (Basket& basket : baskets_) basket.empty(r, lists_, first + r);
        },
        panel_);
  }

  /// Rows of the block among themselves. Threads share nothing: full tiles, where there are
  /// several.
  void within(Item first, Item last) {
    parallel_for(last - first, context_, [&](Offset i) noexcept {
      const Item a = first + static_cast<Item>(i);
      const auto with = [&](Item b) noexcept {
        meet_alone(packed_.panel(a), b, lists_, Offset{a} * panel_,
                   [&](Item r) { return Offset{a} * panel_ + r; });
      };
      if (!baskets_.empty()) {
        for (Item b = first; b < last; ++b) with(b);
        return;
      }
      for (Item b = first; b < a; ++b) meet(b, a, Offset{first} * panel_, 0);
      with(a);
    });
  }

  /// The rows of a packed panel, whose lists are `row`, row + 1 ..., with those of panel b. Row r
  /// of it is packed as row self(r).
  template <class Self>
  void meet_alone(const void* panel, Item b, BestLists& lists, Offset row,
                  const Self& self) noexcept {
    Tile tile;
    std::uint64_t hits[64], unused[64];
    const Offset column = Offset{b} * panel_;
    packed_.level().multiply(panel, packed_.panel(b), packed_.dimensions(), tile.values);
    packed_.level().above(tile.values, lists.floor(row), never_, hits, unused);
    for (Item r = 0; r < panel_; ++r) {
      hits[r] &= real_columns(b);
      const Offset own = self(r) - column;
      if (own >= 0 && own < panel_) hits[r] &= ~(std::uint64_t{1} << own);
    }
    each_hit(hits, panel_, [&](Item r, Item c) {
      const std::int32_t value = tile.values[r * panel_ + c];
      const Item item = order_[at(column + c)];
      b < sampled_ ? lists.push(row + r, value, item) : lists.push_rising(row + r, value, item);
    });
  }

  /// Rows of the block with all later rows. A later panel belongs to one thread, which owns its
  /// lists; the lists of the block's rows are shared.
  void beyond(Item first, Item last) {
    const Offset base = Offset{first} * panel_, rows = Offset{last - first} * panel_;
    for (Basket& basket : baskets_)
      for (Offset r = 0; r < rows; ++r) basket.set_floor(r, *lists_.floor(base + r));
    parallel_for(packed_.panels() - last, context_, [&](Offset j, int hand) noexcept {
      const Item b = last + static_cast<Item>(j);
      for (Item c = 0; c < panel_; ++c) lists_.prefetch(Offset{b} * panel_ + c);
      for (Item a = first; a < last; ++a) meet(a, b, base, hand);
    });
    empty_baskets(base, rows);
  }

  /// Panel a (down), of the block that begins with row `base`, with panel b (across).
  void meet(Item a, Item b, Offset base, int hand) noexcept {
    Tile tile;
    std::uint64_t row_hits[64], column_hits[64];
    const Offset row = Offset{a} * panel_, column = Offset{b} * panel_;
    packed_.multiply(a, b, tile.values);
    const std::int32_t* const floor =
        baskets_.empty() ? lists_.floor(row) : baskets_[at(hand)].floor(row - base);
    packed_.level().above(tile.values, floor, lists_.floor(column), row_hits, column_hits);
    if (rows_of(b) < panel_)
      for (Item r = 0; r < panel_; ++r) row_hits[r] &= real_columns(b);
    each_hit(row_hits, panel_, [&](Item r, Item c) {
      to_shared(row + r, row + r - base, tile.values[r * panel_ + c], order_[at(column + c)], hand);
    });
    each_hit(column_hits, panel_, [&](Item r, Item c) {
      lists_.push_rising(column + c, tile.values[r * panel_ + c], order_[at(row + r)]);
    });
  }

  /// The columns of panel b that are rows of the ground set.
  std::uint64_t real_columns(Item b) const noexcept {
    const Item rows = rows_of(b);
    return rows >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << rows) - 1;
  }

  /// The rows of some panels have met all others.
  void write(Item first, Item last) {
    const Offset base = Offset{first} * panel_;
    const Offset end = std::min(Offset{last} * panel_, Offset{packed_.size()});
    parallel_for(end - base, context_, [&](Offset r) noexcept { write_row(base + r); }, 64);
    for (Offset row = base; row < end; ++row)
      if (!lists_.full(row)) again_.push_back(static_cast<Item>(row));
  }

  void write_row(Offset row) noexcept {
    if (lists_.full(row)) write_row(row, lists_, row);
  }

  void write_row(Offset row, BestLists& lists, Offset from) noexcept {
    const Offset to = Offset{order_[at(row)]} * k_;
    lists.write_best(from, found_.items.data() + to, found_.similarities.data() + to);
  }

  /// Rows whose floor was too high meet all rows, with no floor.
  void meet_again() {
    const auto count = static_cast<Item>(again_.size());
    if (count == 0) return;
    std::vector<Item> which;
    for (const Item row : again_) which.push_back(which_[at(row)]);
    const PackedRows some({rows_, which.data(), count}, context_);
    BestLists lists(Offset{some.panels()} * panel_, k_, packed_.size(), context_.dot());
    again_.resize(at(Offset{some.panels()} * panel_), -1);
    for (Offset row = count; row < Offset{some.panels()} * panel_; ++row) lists.reset(row, kNever);
    parallel_for(some.panels(), context_, [&](Offset a) noexcept {
      for (Item b = 0; b < packed_.panels(); ++b)
        meet_alone(some.panel(static_cast<Item>(a)), b, lists, a * panel_,
                   [&](Item r) { return Offset{again_[at(a * panel_ + r)]}; });
    });
    parallel_for(count, context_, [&](Offset i) noexcept { write_row(again_[at(i)], lists, i); });
  }

  Context context_;
  Item panel_, k_;
  Item wanted_ = 0;  // of the sample above a first floor
  Item sampled_;     // panels of the sample, the first ones
  RowsView rows_;
  std::vector<Item> order_, which_;  // (n,): of packed row p, its item and its row of rows_
  PackedRows packed_;
  Item block_;                        // panels in a block of rows
  BestLists lists_;                   // by packed row
  std::vector<Basket> baskets_;       // of each thread, where there are several
  std::array<std::mutex, 64> locks_;  // of the lists that are filled from baskets
  std::int32_t never_[64];
  std::vector<Item> again_;  // packed rows that found fewer than k
  Neighbours found_;
};

/// What rows of a class are near: those of its own class and of the classes near it.
class NearClass {
 public:
  NearClass(RowsView rows, const EqualRows& equal, const NeighboursView& near, Item k)
      : rows_(rows), equal_(equal), near_(near), most_(k + 1) {}

  /// The best k + 1 rows for class c, itself not excluded, best first.
  const std::vector<std::pair<std::int32_t, Item>>& best(Item c) {
    best_.clear();
    const Offset first = Offset{c} * near_.k, last = first + near_.k;
    const auto own = static_cast<std::int32_t>(norm2(rows_.row(equal_.first(c)), rows_.d));
    bool own_left = true;
    for (Offset e = first; best_.size() < static_cast<std::size_t>(most_);) {
      // All classes of the next similarity together: their rows are ordered by item.
      const std::int32_t next =
          e == last || (own_left && own > near_.similarities[e]) ? own : near_.similarities[e];
      const auto begun = static_cast<std::ptrdiff_t>(best_.size());
      if (own_left && own == next) {
        own_left = false;
        add(next, c);
      }
      for (; e < last && near_.similarities[e] == next; ++e) add(next, near_.items[e]);
      std::sort(best_.begin() + begun, best_.end());
    }
    best_.resize(static_cast<std::size_t>(most_));
    return best_;
  }

 private:
  void add(std::int32_t similarity, Item c) {
    Item row = equal_.first(c);
    for (Item i = 0; i < most_ && row >= 0; ++i, row = equal_.after(row))
      best_.emplace_back(similarity, row);
  }

  RowsView rows_;
  const EqualRows& equal_;
  NeighboursView near_;
  Item most_;
  std::vector<std::pair<std::int32_t, Item>> best_;
};

/// The neighbours of all rows, from those of the classes of equal ones. A row among the best k of
/// another belongs to its class or to one of the best k classes: every better class has a better
/// row.
Neighbours of_all_rows(RowsView rows, const EqualRows& equal, const NeighboursView& near, Item k,
                       const Context& context) {
  constexpr Item kBetweenChecks = 256;
  Neighbours found;
  found.n = rows.n;
  found.k = k;
  found.items.resize(static_cast<std::size_t>(Offset{rows.n} * k));
  found.similarities.resize(found.items.size());
  std::vector<NearClass> of_hand(static_cast<std::size_t>(context.threads()),
                                 NearClass(rows, equal, near, k));
  parallel_tasks(equal.classes(), context, [&](Offset c, int hand, const Context& alone) {
    const auto& best = of_hand[static_cast<std::size_t>(hand)].best(static_cast<Item>(c));
    Item done = 0;
    for (Item row = equal.first(static_cast<Item>(c)); row >= 0; row = equal.after(row)) {
      if (++done % kBetweenChecks == 0) alone.check();
      Offset to = Offset{row} * k;
      const Offset end = to + k;
      for (auto other = best.begin(); to < end; ++other) {
        if (other->second == row) continue;
        found.items[static_cast<std::size_t>(to)] = other->second;
        found.similarities[static_cast<std::size_t>(to++)] = other->first;
      }
    }
  });
  return found;
}

}  // namespace

Neighbours exact_neighbours(RowsView rows, Item k, const Context& context) {
  k = std::min(k, rows.n - 1);
  if (k <= 0) return {rows.n, 0, {}, {}};
  const EqualRows equal(rows, context);
  const Item near = std::min(k, equal.classes() - 1);
  Neighbours found =
      near > 0 ? Search(equal.distinct(rows), near, context).run() : Neighbours{1, 0, {}, {}};
  if (!equal.any()) return found;
  return of_all_rows(rows, equal, found.view(), k, context);
}

std::vector<std::int32_t> own_similarities(RowsView rows, const Context& context) {
  std::vector<std::int32_t> own(static_cast<std::size_t>(rows.n));
  parallel_for(
      rows.n, context,
      [&](Offset i) noexcept {
        own[static_cast<std::size_t>(i)] =
            static_cast<std::int32_t>(norm2(rows.row(static_cast<Item>(i)), rows.d));
      },
      64);
  return own;
}

}  // namespace smartx
