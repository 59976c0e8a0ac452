#include "smartx/near_duplicates.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>

#include "smartx/blocks.hpp"
#include "smartx/context.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/first_where.hpp"
#include "tiles.hpp"

namespace smartx {

namespace {

constexpr Offset kSmallGroup = 4096;  // groups of up to this many rows run one on each thread,
constexpr Item kFewRows = 16;         // and up to this many rows are compared one by one
constexpr Item kFreshPanels = 64;
constexpr Offset kFreshBytes = Offset{16} << 20;
constexpr Item kStays = std::numeric_limits<Item>::max();

/// Whether the cosine of two rows is at least a threshold.
struct Near {
  std::int64_t millionths;

  bool operator()(std::int32_t dot, std::int64_t norm_a, std::int64_t norm_b) const noexcept {
    using Wide = unsigned __int128;  // both sides are below 2^88
    if (dot <= 0) return false;
    const Wide dot2 = Wide(std::int64_t{dot} * dot), norms = Wide(norm_a) * Wide(norm_b);
    return dot2 * Wide(kCosineUnit * kCosineUnit) >= norms * Wide(millionths * millionths);
  }

  /// Rows of at least this norm (sum of squares) are not near unless their dot product is above.
  std::int32_t floor(std::int64_t least_norm) const noexcept {
    const std::int64_t bar = (millionths * least_norm + kCosineUnit - 1) / kCosineUnit;
    return static_cast<std::int32_t>(std::max(bar, std::int64_t{1}) - 1);
  }
};

/// The rows of one group, in its order.
struct Ordered {
  RowsView rows;
  const Item* order;

  const std::int16_t* row(Item place) const { return rows.row(order[place]); }
};

/// Goes through one group after another. A row that equals an earlier one goes where that one goes,
/// or to that one where it stays. The others, called items here and numbered in order, come in
/// batches; each is compared with the items that stayed so far, which lie packed, and then within
/// itself.
class Sweep {
 public:
  /// For groups of up to `most` rows of d values.
  Sweep(Item most, Item d, Near near, const Context& context)
      : level_(context.dot()),
        d_(d),
        near_(near),
        panel_(level_.panel),
        bytes_(level_.panel_bytes(d)),
        fresh_panels_(static_cast<Item>(std::clamp(
            kFreshBytes / bytes_, Offset{1}, Offset{std::min(kFreshPanels, panels_of(most))}))),
        kept_(static_cast<unsigned char*>(new_block(bytes_ * panels_of(most)))),
        fresh_(static_cast<unsigned char*>(new_block(bytes_ * fresh_panels_))),
        gathered_(static_cast<std::size_t>(Offset{context.threads()} * panel_ * d)),
        norms_(static_cast<std::size_t>(most)),
        stayed_(static_cast<std::size_t>(most)),
        origins_(static_cast<std::size_t>(fresh_panels_ * panel_)),
        hits_(static_cast<std::size_t>(fresh_panels_ * panel_ * fresh_panels_)) {}

  /// origin[i]: as NearDuplicates has it. Throws nothing but Cancelled.
  void run(const Ordered& group, Item* origin, const Context& context) {
    group_ = group;
    tell_apart(context);
    const auto n = static_cast<Item>(places_.size());
    parallel_for(
        n, context,
        [&](Offset i) noexcept { norms_[at(i)] = norm2(row(static_cast<Item>(i)), d_); }, 256);
    const std::int64_t least = *std::min_element(norms_.begin(), norms_.begin() + n);
    std::fill(std::begin(floors_), std::end(floors_), near_.floor(least));
    stayed_count_ = 0;
    for (first_ = 0; first_ < n; first_ += count_) {
      count_ = std::min(fresh_panels_ * panel_, n - first_);
      for (Item r = 0; r < count_; ++r) origins_[at(r)].store(kStays, std::memory_order_relaxed);
      pack(fresh_.get(), 0, count_, context, [&](Item r) { return first_ + r; });
      meet_stayed(context);
      meet_each_other(context);
      const Item before = stayed_count_;
      decide(origin);
      pack(kept_.get(), before / panel_, stayed_count_, context,
           [&](Item k) { return stayed_[at(k)]; });
    }
    for (Item place = 0; place < group.rows.n; ++place) {
      const Item earlier = equal_[at(place)];
      if (earlier >= 0) origin[place] = origin[earlier] < 0 ? earlier : origin[earlier];
    }
  }

 private:
  static std::size_t at(Offset i) { return static_cast<std::size_t>(i); }
  Item panels_of(Item rows) const { return (rows + panel_ - 1) / panel_; }
  Item origin_of(Item r) const { return origins_[at(r)].load(std::memory_order_relaxed); }

  const std::int16_t* row(Item item) const { return group_.row(places_[at(item)]); }

  /// Which rows are items. No row is near one of zeros: each of these is an item.
  void tell_apart(const Context& context) {
    const EqualRows equal(group_.rows, context);
    std::vector<Item> first(at(equal.classes()), -1);  // place of a class's first row in the order
    places_.clear();
    equal_.assign(at(group_.rows.n), -1);
    for (Item place = 0; place < group_.rows.n; ++place) {
      Item& earlier = first[at(equal.class_of(group_.order[place]))];
      if (earlier >= 0 && norm2(group_.row(place), d_) > 0) {
        equal_[at(place)] = earlier;
      } else {
        earlier = place;
        places_.push_back(place);
      }
    }
  }

  /// Packs panels `first`, first + 1, ... of `count` items, of which the i-th is item_at(i).
  template <class ItemAt>
  void pack(unsigned char* out, Item first, Item count, const Context& context,
            const ItemAt& item_at) {
    parallel_for(panels_of(count) - first, context, [&](Offset p, int hand) noexcept {
      const Item panel = first + static_cast<Item>(p), begin = panel * panel_;
      const Item some = std::min(panel_, count - begin);
      std::int16_t* const rows = gathered_.data() + Offset{hand} * panel_ * d_;
      for (Item i = 0; i < some; ++i)
        std::copy_n(row(item_at(begin + i)), d_, rows + Offset{i} * d_);
      level_.pack(rows, some, d_, out + panel * bytes_);
    });
  }

  /// Every fresh item with all that stayed before the batch.
  void meet_stayed(const Context& context) {
    const Item block = panels_in_cache(bytes_);
    const Item fresh = panels_of(count_), kept = panels_of(stayed_count_);
    const Item down = (fresh + block - 1) / block, across = (kept + block - 1) / block;
    parallel_for(Offset{down} * across, context, [&](Offset p) noexcept {
      const Item i = static_cast<Item>(p % down) * block, j = static_cast<Item>(p / down) * block;
      for (Item b = j; b < std::min(j + block, kept); ++b)
        for (Item a = i; a < std::min(i + block, fresh); ++a) meet_stayed_panel(a, b);
    });
  }

  void meet_stayed_panel(Item a, Item b) noexcept {
    std::uint64_t hits[64];
    Tile tile;
    multiply(fresh_.get() + a * bytes_, kept_.get() + b * bytes_, tile, hits);
    for (Item r = 0; r < panel_; ++r) {
      for (std::uint64_t left = hits[r]; left != 0; left &= left - 1) {
        const int c = __builtin_ctzll(left);
        const Item item = a * panel_ + r, other = stayed_[at(b * panel_ + c)];
        if (!near_(tile.values[r * panel_ + c], norms_[at(first_ + item)], norms_[at(other)]))
          continue;
        lower_to(origins_[at(item)], other);
        break;  // later columns are later items
      }
    }
  }

  /// hits_[r * fresh_panels_ + a], bit c: fresh item r is near the fresh item c of panel a.
  void meet_each_other(const Context& context) {
    const Offset fresh = panels_of(count_);
    parallel_for(fresh * fresh, context, [&](Offset p) noexcept {
      if (p % fresh <= p / fresh)
        meet_fresh_panel(static_cast<Item>(p / fresh), static_cast<Item>(p % fresh));
    });
  }

  /// Panel a is not after panel b.
  void meet_fresh_panel(Item b, Item a) noexcept {
    std::uint64_t hits[64];
    Tile tile;
    multiply(fresh_.get() + b * bytes_, fresh_.get() + a * bytes_, tile, hits);
    for (Item r = 0; r < std::min(panel_, count_ - b * panel_); ++r) {
      const Item item = b * panel_ + r;
      std::uint64_t found = 0, left = origin_of(item) == kStays ? hits[r] : 0;
      for (; left != 0; left &= left - 1) {
        const int c = __builtin_ctzll(left);
        const Item other = a * panel_ + c;
        if (origin_of(other) == kStays &&
            near_(tile.values[r * panel_ + c], norms_[at(first_ + item)],
                  norms_[at(first_ + other)]))
          found |= std::uint64_t{1} << c;
      }
      hits_[at(Offset{item} * fresh_panels_ + a)] = found;
    }
  }

  /// hits[r], bit c: row r of panel a may be near row c of panel b. Rows that a panel lacks never
  /// are.
  void multiply(const unsigned char* a, const unsigned char* b, Tile& tile,
                std::uint64_t* hits) const noexcept {
    std::uint64_t unused[64];
    level_.multiply(a, b, d_, tile.values);
    level_.above(tile.values, floors_, floors_, hits, unused);
  }

  /// In order: a fresh item that is near none that stays, stays.
  void decide(Item* origin) {
    std::uint64_t stay[kFreshPanels] = {};
    for (Item r = 0; r < count_; ++r) {
      const Item own = r / panel_;
      Item found = origin_of(r);
      for (Item a = 0; a <= own && found == kStays; ++a) {
        const std::uint64_t near = hits_[at(Offset{r} * fresh_panels_ + a)] & stay[a];
        if (near != 0) found = first_ + a * panel_ + __builtin_ctzll(near);
      }
      origin[places_[at(first_ + r)]] = found == kStays ? -1 : places_[at(found)];
      if (found != kStays) continue;
      stay[own] |= std::uint64_t{1} << (r % panel_);
      stayed_[at(stayed_count_++)] = first_ + r;
    }
  }

  const DotLevel& level_;
  Item d_;
  Near near_;
  Item panel_;
  Offset bytes_;       // of one panel
  Item fresh_panels_;  // of a batch
  std::unique_ptr<unsigned char[], FreeBlock> kept_, fresh_;
  std::vector<std::int16_t> gathered_;  // a panel for each thread
  std::vector<Item> places_;            // of the items in the order, rising
  std::vector<Item> equal_;             // by place: that of the first equal row; -1 for an item
  std::vector<std::int64_t> norms_;     // by item
  std::vector<Item> stayed_;            // items, rising
  std::vector<std::atomic<Item>> origins_;
  std::vector<std::uint64_t> hits_;
  std::int32_t floors_[64];
  Ordered group_{};
  Item stayed_count_ = 0, first_ = 0, count_ = 0;
};

void compare_few(const Ordered& group, Near near, Item* origin) noexcept {
  std::int64_t norms[kFewRows];
  for (Item i = 0; i < group.rows.n; ++i) {
    norms[i] = norm2(group.row(i), group.rows.d);
    origin[i] = -1;
    for (Item j = 0; j < i && origin[i] < 0; ++j) {
      if (origin[j] >= 0) continue;
      const std::int32_t dot = similarity(group.row(i), group.row(j), group.rows.d);
      if (near(dot, norms[i], norms[j])) origin[i] = j;
    }
  }
}

void set_cosines(const Ordered& group, const Item* origin, double* cosine, const Context& context) {
  const Item d = group.rows.d;
  const auto set = [&](Offset i) noexcept {
    if (origin[i] < 0) return;
    const std::int16_t *a = group.row(static_cast<Item>(i)), *b = group.row(origin[i]);
    const auto norms = static_cast<double>(norm2(a, d) * norm2(b, d));  // at most 2^48
    cosine[i] = static_cast<double>(similarity(a, b, d)) / std::sqrt(norms);
  };
  parallel_for(group.rows.n, context, set, 64);
}

}  // namespace

NearDuplicates near_duplicates(RowsView rows, Span<const Offset> sizes, Span<const Item> order,
                               std::int64_t millionths, const Context& context) {
  const Near near{millionths};
  NearDuplicates out;
  out.origin.resize(static_cast<std::size_t>(rows.n));
  out.cosine.resize(static_cast<std::size_t>(rows.n));
  std::vector<Offset> starts;
  Offset start = 0, largest = 0, small = 0;
  for (const Offset size : sizes) {
    starts.push_back(start);
    start += size;
    largest = std::max(largest, size);
    if (size <= kSmallGroup) small = std::max(small, size);
  }
  const auto group_at = [&](Offset g) -> Ordered {
    const Offset first = starts[static_cast<std::size_t>(g)];
    return {{rows.data + first * rows.d, static_cast<Item>(sizes[g]), rows.d}, order.data + first};
  };
  if (largest > kSmallGroup) {
    Sweep sweep(static_cast<Item>(largest), rows.d, near, context);
    for (Offset g = 0; g < sizes.size; ++g) {
      if (sizes[g] <= kSmallGroup) continue;
      const Offset first = starts[static_cast<std::size_t>(g)];
      sweep.run(group_at(g), out.origin.data() + first, context);
      set_cosines(group_at(g), out.origin.data() + first, out.cosine.data() + first, context);
    }
  }
  std::vector<std::unique_ptr<Sweep>> own;
  for (int t = 0; t < context.threads() && small > kFewRows; ++t)
    own.push_back(std::make_unique<Sweep>(static_cast<Item>(small), rows.d, near, context.alone()));
  parallel_tasks(sizes.size, context, [&](Offset g, int hand, const Context& alone) {
    if (sizes[g] > kSmallGroup) return;
    const Offset first = starts[static_cast<std::size_t>(g)];
    const Ordered group = group_at(g);
    Item* const origin = out.origin.data() + first;
    if (group.rows.n <= kFewRows) {
      compare_few(group, near, origin);
    } else {
      own[static_cast<std::size_t>(hand)]->run(group, origin, alone);
    }
    set_cosines(group, origin, out.cosine.data() + first, alone);
  });
  return out;
}

}  // namespace smartx
