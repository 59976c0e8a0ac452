// Every function of every level against its formula or the generic level, on sizes around each
// vector's width and on the largest values that can occur.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.hpp"
#include "plane_loops.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/level.hpp"
#include "smartx/real.hpp"

using namespace smartx;

namespace {

const std::vector<Item> kWidths = {1,   2,   3,   7,   8,   9,   15,   16,   17,  31,
                                   32,  33,  47,  48,  63,  64,  65,   100,  127, 128,
                                   129, 383, 384, 385, 390, 769, 1023, 1024, 1025};

/// Draws that are the same everywhere.
struct Draws {
  explicit Draws(Offset seed) : engine(static_cast<std::uint32_t>(seed)) {}
  std::int32_t between(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine() % (static_cast<std::uint32_t>(high - low) + 1));
  }
  template <class Value>
  std::vector<Value> many(Offset count, std::int32_t low, std::int32_t high) {
    std::vector<Value> values(static_cast<std::size_t>(count));
    for (Value& value : values) value = static_cast<Value>(between(low, high));
    return values;
  }
  std::mt19937 engine;
};

/// n rows of d values as long as a Q12 row may be, of four kinds in turn: even, one spike, steps
/// of both signs, drawn ones. Exactly so much memory, so that a sanitizer sees a read beyond it.
std::vector<std::int16_t> long_rows(Item n, Item d) {
  Draws draws(n * 1000 + d);
  std::vector<std::int16_t> rows(static_cast<std::size_t>(n) * static_cast<std::size_t>(d), 0);
  for (Item i = 0; i < n; ++i) {
    std::int16_t* row = rows.data() + Offset{i} * d;
    const auto even = static_cast<std::int16_t>(4096.0 / std::sqrt(d));
    for (Item c = 0; c < d; ++c) {
      if (i % 4 == 0) row[c] = static_cast<std::int16_t>(i % 8 == 0 ? even : -even);
      if (i % 4 == 2) row[c] = static_cast<std::int16_t>(draws.between(0, 1) == 0 ? even : -even);
      if (i % 4 == 3) row[c] = static_cast<std::int16_t>(draws.between(-even, even));
    }
    if (i % 4 == 1) row[draws.between(0, d - 1)] = i % 8 == 1 ? 4096 : -4096;
    CHECK(norm2(row, d) <= kMaxNorm2);
  }
  return rows;
}

std::int64_t product(const std::int16_t* a, const std::int16_t* b, Item d) {
  std::int64_t total = 0;
  for (Item c = 0; c < d; ++c) total += std::int64_t{a[c]} * b[c];
  return total;
}

template <class Value>
bool same_bits(const std::vector<Value>& a, const std::vector<Value>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Value)) == 0;
}

const Level& generic() {
  return levels().front();
}

struct alignas(64) Tile {
  std::int32_t values[64 * 64];
};

/// A tile of values of the whole range of similarities, among them the bounds.
Tile drawn_tile(Offset seed) {
  Draws draws(seed);
  Tile tile;
  for (std::int32_t& value : tile.values) {
    value = draws.between(-kMaxSimilarity, kMaxSimilarity);
    if (draws.between(0, 9) == 0) value = draws.between(0, 1) == 0 ? kMaxSimilarity : 0;
    if (draws.between(0, 9) == 0) value = kMaxSimilarity - draws.between(0, 300);
  }
  return tile;
}

void check_products(const DotLevel& dot) {
  for (const Item d : kWidths) {
    const Offset bytes = dot.panel_bytes(d);
    CHECK(bytes % 64 == 0);
    for (const Item count : {dot.panel, dot.panel - 1, 1}) {
      const auto rows = long_rows(dot.panel, d);
      const std::vector<std::int16_t> some(rows.begin(), rows.begin() + Offset{count} * d);
      std::vector<Tile> down(static_cast<std::size_t>(bytes) / sizeof(Tile) + 2),
          across(down.size());
      std::memset(down.data(), 0x5A, down.size() * sizeof(Tile));
      dot.pack(some.data(), count, d, down.data());
      dot.pack(rows.data(), dot.panel, d, across.data());
      const auto* beyond = reinterpret_cast<const unsigned char*>(down.data()) + bytes;
      CHECK(std::all_of(beyond, beyond + 64, [](unsigned char b) { return b == 0x5A; }));
      Tile tile;
      dot.multiply(down.data(), across.data(), d, tile.values);
      bool exact = true;
      for (Item r = 0; r < dot.panel; ++r)
        for (Item c = 0; c < dot.panel; ++c)
          exact &= tile.values[r * dot.panel + c] ==
                   (r < count ? product(&rows[static_cast<std::size_t>(r) * d],
                                        &rows[static_cast<std::size_t>(c) * d], d)
                              : 0);
      CHECK(exact);
    }
  }
}

/// What the tile registers of AMX do (level_amx.cpp), as the manual says it: sums[r][c] += the
/// products of the 4 values k of row r of the left with those of column c of the right, for all k.
struct PlainTiles {
  static inline std::int32_t sums[48 * 16];
  static inline bool ready = false;

  static void begin() { ready = true; }
  static void end() { ready = false; }
  static void zero() {
    CHECK(ready);
    std::fill(std::begin(sums), std::end(sums), 0);
  }
  static void add_product(const std::int8_t* left, const std::int8_t* right) {
    for (int r = 0; r < 48; ++r)
      for (int k = 0; k < 16; ++k)
        for (int c = 0; c < 16; ++c)
          for (int i = 0; i < 4; ++i)
            sums[r * 16 + c] += left[r * 64 + 4 * k + i] * right[k * 64 + 4 * c + i];
  }
  static void store(std::int32_t* out) {
    for (int r = 0; r < 48; ++r) std::copy_n(sums + 16 * r, 16, out + 48 * r);
  }
};

}  // namespace

TEST(every_level_multiplies_the_longest_rows_exactly) {
  for (const Level& level : levels()) check_products(*level.dot);
}

TEST(planes_of_8_bits_give_the_products_of_16) {
  DotLevel dot = with_planes<TilePlanes<PlainTiles>>(*generic().dot);
  dot.panel = TilePlanes<PlainTiles>::kPanel;
  check_products(dot);
}

TEST(every_level_reads_a_tile_as_its_formula_does) {
  for (const Level& level : levels()) {
    const DotLevel& dot = *level.dot;
    for (Offset seed = 0; seed < 20; ++seed) {
      const Tile tile = drawn_tile(seed);
      const auto at = [&](Item r, Item c) { return tile.values[r * dot.panel + c]; };
      std::vector<std::int32_t> down(static_cast<std::size_t>(dot.panel)), across(down.size());
      for (Item r = 0; r < dot.panel; ++r) {
        down[static_cast<std::size_t>(r)] = at(r, (r * 7) % dot.panel);  // equal is not above
        across[static_cast<std::size_t>(r)] =
            r % 5 == 0 ? std::numeric_limits<std::int32_t>::min() : at((r * 3) % dot.panel, r);
      }
      std::vector<std::uint64_t> in_row(down.size()), in_column(down.size());
      dot.above(tile.values, down.data(), across.data(), in_row.data(), in_column.data());
      std::vector<std::uint16_t> narrowed(down.size() * down.size());
      dot.narrow(tile.values, narrowed.data());
      std::int32_t low = kMaxSimilarity;
      bool held = true;
      for (Item r = 0; r < dot.panel; ++r) {
        std::uint64_t row = 0, column = 0;
        for (Item c = 0; c < dot.panel; ++c) {
          row |= std::uint64_t{at(r, c) > down[static_cast<std::size_t>(r)]} << c;
          column |= std::uint64_t{at(r, c) > across[static_cast<std::size_t>(c)]} << c;
          low = std::min(low, at(r, c));
          held &= narrowed[static_cast<std::size_t>(r * dot.panel + c)] ==
                  std::min(65535, (std::max(0, at(r, c)) + 128) >> 8);
        }
        held &= in_row[static_cast<std::size_t>(r)] == row;
        held &= in_column[static_cast<std::size_t>(r)] == column;
      }
      CHECK(held);
      CHECK(dot.lowest(tile.values) == low);
    }
  }
}

TEST(every_level_filters_and_ranks_values_as_the_generic_one) {
  for (Item count = 0; count <= 70; ++count) {
    Draws draws(count);
    const auto values = draws.many<std::int32_t>(count, -3, 3);
    const auto items = draws.many<std::int32_t>(count, 0, 1 << 30);
    for (const std::int32_t bar : {-4, 0, 2, 3}) {
      auto kept = values, kept_items = items;
      const Item left = generic().dot->keep_above(kept.data(), kept_items.data(), count, bar);
      CHECK(left == std::count_if(values.begin(), values.end(), [&](auto v) { return v > bar; }));
      for (const Level& level : levels()) {
        auto found = values, found_items = items;
        CHECK(level.dot->count_above(values.data(), count, bar) == left);
        CHECK(level.dot->keep_above(found.data(), found_items.data(), count, bar) == left);
        CHECK(std::equal(found.begin(), found.begin() + left, kept.begin()));
        CHECK(std::equal(found_items.begin(), found_items.begin() + left, kept_items.begin()));
      }
    }
    std::vector<std::int32_t> order(values.size());
    for (Item i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
    });
    for (const Level& level : levels()) {
      std::vector<std::int32_t> rank(values.size(), -1);
      level.dot->ranks(values.data(), count, rank.data());
      for (Item place = 0; place < count; ++place)
        CHECK(rank[static_cast<std::size_t>(order[static_cast<std::size_t>(place)])] == place);
    }
  }
}

TEST(row_dots_of_every_level_are_exact_at_every_tail) {
  for (const Level& level : levels()) {
    for (const Item d : kWidths) {
      for (const Item count : {0, 1, 2, 3, 7, 8, 9, 17}) {
        const auto rows = long_rows(count, d);
        for (Item i = 0; i < std::min<Item>(count, 4); ++i) {
          const std::vector<std::int16_t> a(rows.begin() + Offset{i} * d,
                                            rows.begin() + Offset{i + 1} * d);
          std::vector<std::int32_t> found(static_cast<std::size_t>(count), -1);
          level.dot->row_dots(a.data(), rows.data(), count, d, found.data());
          bool exact = true;
          for (Item j = 0; j < count; ++j)
            exact &= found[static_cast<std::size_t>(j)] ==
                     product(a.data(), rows.data() + Offset{j} * d, d);
          CHECK(exact);
        }
      }
    }
  }
}

TEST(digit_dots_of_every_level_are_exact_at_every_tail) {
  for (const Level& level : levels()) {
    for (const Item d : kWidths) {
      const Item n = 9;
      const auto rows = long_rows(n, d);
      for (std::int32_t count = 1; count <= 5; ++count) {
        Draws draws(d * 10 + count);
        // The highest digit is small, so that the product fits 64 bits.
        auto digits = draws.many<std::int16_t>(Offset{count} * d, -32768, 32767);
        for (Item c = 0; count > 3 && c < d; ++c)
          for (std::int32_t k = 3; k < count; ++k) digits[static_cast<std::size_t>(k * d + c)] = 0;
        const std::vector<Item> items = {8, 0, 1, 1, 2, 3, 4, 5, 7, 6};
        std::vector<std::int64_t> found(items.size());
        level.ops->digit_dots(rows.data(), items.data(), static_cast<Offset>(items.size()), d,
                              digits.data(), count, found.data());
        bool exact = true;
        for (std::size_t i = 0; i < items.size(); ++i) {
          std::int64_t wanted = 0;
          for (std::int32_t k = count - 1; k >= 0; --k)
            wanted = wanted * 65536 +
                     product(rows.data() + Offset{items[i]} * d, digits.data() + Offset{k} * d, d);
          exact &= found[i] == wanted;
        }
        CHECK(exact);
      }
    }
  }
}

// 256 values of -256 are a row's whole length; with digits of -2^15 they make 2^31, so a level that
// adds them all up in one lane of 32 bits, in place of a chunk at a time, is wrong.
TEST(digit_dots_fit_their_lanes_whatever_lane_a_row_fills) {
  for (const Level& level : levels()) {
    for (const Item step : {2, 4, 8, 16, 32, 64}) {  // values of a vector; a lane adds up two
      const Item d = 128 * step + 5;
      for (const Item lane : {0, 1, step / 2 - 1}) {
        // A lane's two are neighbours (x86), or half a vector apart (NEON).
        for (const auto& [first, second] :
             {std::pair{2 * lane, 2 * lane + 1}, {lane, lane + step / 2}}) {
          std::vector<std::int16_t> row(static_cast<std::size_t>(d), 0);
          for (Item i = 0; i < 128; ++i)
            for (const Item place : {first % step, second % step})
              row[static_cast<std::size_t>(i * step + place)] = -256;
          const std::vector<std::int16_t> digits(static_cast<std::size_t>(d), -32768);
          const Item item = 0;
          std::int64_t found = 0;
          level.ops->digit_dots(row.data(), &item, 1, d, digits.data(), 1, &found);
          CHECK(found == product(row.data(), digits.data(), d));
          CHECK(found == std::int64_t{1} << 31);
        }
      }
    }
  }
}

TEST(covering_of_every_level_is_its_formula) {
  std::vector<Offset> sizes = {1000, 65535, 65536};
  for (Offset n = 0; n <= 70; ++n) sizes.push_back(n);
  for (const Offset n : sizes) {
    Draws draws(n);
    for (const std::int32_t least : {0, 65000, 65535}) {
      const auto row = draws.many<std::uint16_t>(n, least, 65535);
      auto best = draws.many<std::uint16_t>(n, 0, 65535 - least);
      for (Offset u = 0; u < n; u += 3)
        best[static_cast<std::size_t>(u)] = row[static_cast<std::size_t>(u)];
      best.push_back(0);  // which gain_of_list16 may read
      std::int64_t total = 0;
      std::vector<std::uint32_t> wanted;
      std::vector<std::uint16_t> covered = best;
      for (Offset u = 0; u < n; ++u) {
        const auto at = static_cast<std::size_t>(u);
        if (row[at] <= best[at]) continue;
        total += row[at] - best[at];
        wanted.push_back(static_cast<std::uint32_t>(u) << 16 | row[at]);
        covered[at] = row[at];
      }
      for (const Level& level : levels()) {
        std::int64_t open = -1;
        CHECK(level.ops->gain16(row.data(), best.data(), n, &open) == total);
        CHECK(open == static_cast<std::int64_t>(wanted.size()));
        std::vector<std::uint32_t> entries(wanted.size() + 16);
        level.ops->list16(row.data(), best.data(), n, entries.data());
        CHECK(std::equal(wanted.begin(), wanted.end(), entries.begin()));

        std::vector<std::uint32_t> listed;  // some of whose terms are 0
        for (Offset u = 0; u < n; u += 2)
          listed.push_back(static_cast<std::uint32_t>(u) << 16 | row[static_cast<std::size_t>(u)]);
        std::int64_t of_list = 0;
        std::vector<std::uint32_t> left;
        for (const std::uint32_t entry : listed) {
          const std::int64_t more = std::int64_t{entry & 0xFFFF} - best[entry >> 16];
          of_list += std::max<std::int64_t>(0, more);
          if (more > 0) left.push_back(entry);
        }
        auto count = static_cast<std::int32_t>(listed.size());
        CHECK(level.ops->gain_of_list16(listed.data(), &count, best.data()) == of_list);
        CHECK(count == static_cast<std::int32_t>(left.size()));
        CHECK(std::equal(left.begin(), left.end(), listed.begin()));

        std::vector<std::uint16_t> after = best;
        level.ops->cover16(row.data(), after.data(), n);
        CHECK(after == covered);
      }
    }
  }
  const Offset many = 600'000;  // whose sum passes 2^32, in every lane of NEON too
  const std::vector<std::uint16_t> row(static_cast<std::size_t>(many), 65535), best(row.size(), 0);
  for (const Level& level : levels()) {
    std::int64_t open = 0;
    CHECK(level.ops->gain16(row.data(), best.data(), many, &open) == many * 65535);
    CHECK(open == many);
  }
}

TEST(products_of_reals_have_the_same_bits_at_every_level) {
  for (const Offset width : {8, 16, 24, 64, 384}) {
    const Offset float_width = (width + 15) / 16 * 16, stride = float_width + 16;
    for (const Offset count : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13}) {
      for (const Offset x_count : {1, 2, 3, 4, 5, 7, 8}) {
        Draws draws(width * 100 + count * 10 + x_count);
        std::vector<double> rows(static_cast<std::size_t>(count * stride)),
            x(static_cast<std::size_t>(x_count * stride));
        for (auto* values : {&rows, &x})
          for (double& value : *values)
            value = std::ldexp(draws.between(-1'000'000, 1'000'000), draws.between(-40, 3));
        const std::vector<float> short_rows(rows.begin(), rows.end()), short_x(x.begin(), x.end());
        const Offset out_stride = count + 3;
        std::vector<double> wanted(static_cast<std::size_t>(x_count * out_stride), -1.0);
        for (Offset k = 0; k < x_count; ++k)
          for (Offset i = 0; i < count; ++i)
            wanted[static_cast<std::size_t>(k * out_stride + i)] =
                fixed_order_sum(width, [&](Offset c) {
                  return rows[static_cast<std::size_t>(i * stride + c)] *
                         x[static_cast<std::size_t>(k * stride + c)];
                });
        std::vector<float> short_wanted(wanted.size(), -1.0F);
        generic().ops->float_dots(short_rows.data(), count, stride, float_width, short_x.data(),
                                  x_count, stride, short_wanted.data(), out_stride);
        for (const Level& level : levels()) {
          std::vector<double> found(wanted.size(), -1.0);
          level.ops->real_dots(rows.data(), count, stride, width, x.data(), x_count, stride,
                               found.data(), out_stride);
          CHECK(same_bits(found, wanted));
          std::vector<float> short_found(wanted.size(), -1.0F);
          level.ops->float_dots(short_rows.data(), count, stride, float_width, short_x.data(),
                                x_count, stride, short_found.data(), out_stride);
          CHECK(same_bits(short_found, short_wanted));
        }
      }
    }
  }
}

TEST(sums_and_squares_have_the_same_bits_at_every_level) {
  for (Offset n = 0; n <= 70; ++n) {
    Draws draws(n);
    const auto row = draws.many<std::int16_t>(n, -32768, 32767);
    std::vector<float> values(static_cast<std::size_t>(n));
    std::vector<double> more(values.size());
    for (float& value : values)
      value =
          std::ldexp(static_cast<float>(draws.between(-100'000, 100'000)), draws.between(-30, 30));
    for (std::size_t i = 0; i < more.size(); ++i) {
      more[i] = std::ldexp(draws.between(-100'000, 100'000), draws.between(-30, 30));
      if (i % 7 == 0) more[i] = -std::fabs(static_cast<double>(values[i]));  // a term that is 0
    }
    const double squares = fixed_order_sum(n, [&](Offset i) {
      const auto at = static_cast<std::size_t>(i);
      const double value = more[at] + std::fabs(values[at]);
      return value > 0.0 ? value * value : 0.0;
    });
    for (const Level& level : levels()) {
      std::vector<double> wide(row.size());
      std::vector<float> wide_float(row.size());
      level.ops->widen(row.data(), n, wide.data());
      level.ops->widen_to_float(row.data(), n, wide_float.data());
      CHECK(std::equal(row.begin(), row.end(), wide.begin()));
      CHECK(std::equal(row.begin(), row.end(), wide_float.begin()));
      const double found = level.ops->squares(values.data(), more.data(), n);
      CHECK(std::memcmp(&found, &squares, sizeof squares) == 0);
    }
  }
  for (const Offset width : {8, 16, 24, 104}) {
    const Offset stride = width + 8;
    for (Offset count = 0; count <= 20; ++count) {
      Draws draws(width * 100 + count);
      const auto rows = draws.many<double>(count * stride, -1'000'000, 1'000'000);
      std::vector<double> scales, start;
      for (Offset r = 0; r < count; ++r) scales.push_back(1.0 / draws.between(1, 1000));
      for (Offset c = 0; c < width; ++c) start.push_back(1.0 / draws.between(1, 1000));
      std::vector<double> wanted = start;
      for (Offset r = 0; r < count; ++r)
        for (Offset c = 0; c < width; ++c)
          wanted[static_cast<std::size_t>(c)] +=
              scales[static_cast<std::size_t>(r)] * rows[static_cast<std::size_t>(r * stride + c)];
      for (const Level& level : levels()) {
        std::vector<double> y = start;
        level.ops->add_rows(scales.data(), rows.data(), count, stride, width, y.data());
        CHECK(same_bits(y, wanted));
      }
    }
  }
}
