// The loops behind DotLevel, for the lanes of any level. A level is a struct of an unnamed
// namespace, so every instantiation stays private to its file: one shared copy, compiled for a
// newer processor, could be picked by the linker for all of them. Hence nothing here but templates
// over it.
#pragma once

#include "smartx/dot_level.hpp"

namespace smartx {

/// Plain loops, compiled with the flags of level L. What L defines itself stands before them.
template <class L>
struct PlainDots {
  static void narrow(const std::int32_t* tile, std::uint16_t* out) {
    for (int i = 0; i < L::kPanel * L::kPanel; ++i) {
      const std::int32_t positive = tile[i] > 0 ? tile[i] : 0;
      const std::int32_t value = (positive + 128) >> 8;
      out[i] = static_cast<std::uint16_t>(value < 65535 ? value : 65535);
    }
  }

  static std::int32_t lowest(const std::int32_t* tile) {
    std::int32_t low = tile[0];
    for (int i = 1; i < L::kPanel * L::kPanel; ++i) low = tile[i] < low ? tile[i] : low;
    return low;
  }

  static std::int32_t count_above(const std::int32_t* values, std::int32_t count,
                                  std::int32_t bar) {
    std::int32_t above = 0;
    for (std::int32_t i = 0; i < count; ++i) above += values[i] > bar;
    return above;
  }

  /// Without a branch to mispredict.
  static std::int32_t keep_above(std::int32_t* values, std::int32_t* items, std::int32_t count,
                                 std::int32_t bar) {
    std::int32_t end = 0;
    for (std::int32_t i = 0; i < count; ++i) {
      const std::int32_t value = values[i], item = items[i];
      values[end] = value;
      items[end] = item;
      end += value > bar;
    }
    return end;
  }

  static void ranks(const std::int32_t* values, std::int32_t count, std::int32_t* rank) {
    for (std::int32_t i = 0; i < count; ++i) rank[i] = 0;
    for (std::int32_t j = 0; j < count; ++j) {
      const std::int32_t value = values[j];
      for (std::int32_t i = 0; i < j; ++i) rank[i] += value > values[i];
      for (std::int32_t i = j + 1; i < count; ++i) rank[i] += value >= values[i];
    }
  }
};

/// Tiles by a 16-bit multiply-add over the lanes V of level L: V::kLanes of 32 bits, twice as many
/// of 16. A panel holds pairs of adjacent values of a row together: panel[q][r] = (row r)[2q],
/// (row r)[2q + 1]. L gives a register tile of kRows by kVectors vectors, whose one step is
/// L::step: sums[v] += the pair at `a` . y[v].
template <class L, class V>
struct LaneDots : PlainDots<L> {
  using Lanes = typename V::Lanes;

  static std::int64_t panel_bytes(std::int32_t d) {
    const std::int64_t pairs = (d + 1) / 2;
    return (pairs * L::kPanel * 4 + 63) / 64 * 64;
  }

  static void pack(const std::int16_t* rows, std::int32_t count, std::int32_t d, void* out) {
    auto* panel = static_cast<std::int16_t*>(out);
    const std::int32_t pairs = (d + 1) / 2;
    for (std::int32_t q = 0; q < pairs; ++q) {
      std::int16_t* line = panel + std::int64_t{q} * L::kPanel * 2;
      for (std::int32_t r = 0; r < L::kPanel; ++r) {
        const std::int16_t* row = rows + std::int64_t{r} * d + 2 * q;
        line[2 * r] = r < count ? row[0] : std::int16_t{0};
        line[2 * r + 1] = r < count && 2 * q + 1 < d ? row[1] : std::int16_t{0};
      }
    }
  }

  static void multiply(const void* a, const void* b, std::int32_t d, std::int32_t* tile) {
    constexpr int kChunk = 192;  // pairs multiplied before the next register tile: keeps b in L1
    const auto* down = static_cast<const std::int32_t*>(a);
    const auto* across = static_cast<const std::int32_t*>(b);
    const int pairs = (d + 1) / 2;
    for (int q = 0; q < pairs; q += kChunk) {
      const int some = pairs - q < kChunk ? pairs - q : kChunk;
      const std::int64_t place = std::int64_t{q} * L::kPanel;
      for (int c = 0; c < L::kPanel; c += L::kVectors * V::kLanes)
        for (int r = 0; r < L::kPanel; r += L::kRows)
          multiply_chunk(down + place + r, across + place + c, some, q == 0,
                         tile + r * L::kPanel + c);
    }
  }

  static void above(const std::int32_t* tile, const std::int32_t* row_floor,
                    const std::int32_t* column_floor, std::uint64_t* row_hits,
                    std::uint64_t* column_hits) {
    constexpr int kAcross = L::kPanel / V::kLanes;
    Lanes below[kAcross];
#pragma GCC unroll 8
    for (int v = 0; v < kAcross; ++v) below[v] = V::at(column_floor + V::kLanes * v);
    for (int r = 0; r < L::kPanel; ++r) {
      const Lanes floor = V::all(row_floor[r]);
      std::uint64_t in_row = 0, in_column = 0;
#pragma GCC unroll 8
      for (int v = 0; v < kAcross; ++v) {
        const Lanes value = V::at(tile + r * L::kPanel + V::kLanes * v);
        in_row |= std::uint64_t{V::above(value, floor)} << (V::kLanes * v);
        in_column |= std::uint64_t{V::above(value, below[v])} << (V::kLanes * v);
      }
      row_hits[r] = in_row;
      column_hits[r] = in_column;
    }
  }

  static void row_dots(const std::int16_t* a, const std::int16_t* rows, std::int64_t count,
                       std::int32_t d, std::int32_t* out) {
    std::int64_t j = 0;
    for (; j + 8 <= count; j += 8) some_row_dots<8>(a, rows + j * d, d, out + j);
    for (; j < count; ++j) some_row_dots<1>(a, rows + j * d, d, out + j);
  }

 private:
  static void multiply_chunk(const std::int32_t* a, const std::int32_t* b, int pairs, bool first,
                             std::int32_t* tile) {
    Lanes sums[L::kRows][L::kVectors], y[L::kVectors];
#pragma GCC unroll 8
    for (int r = 0; r < L::kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < L::kVectors; ++v)
        sums[r][v] = first ? V::zero() : V::at(tile + r * L::kPanel + V::kLanes * v);
    for (int q = 0; q < pairs; ++q, a += L::kPanel, b += L::kPanel) {
#pragma GCC unroll 8
      for (int v = 0; v < L::kVectors; ++v) y[v] = V::at(b + V::kLanes * v);
#pragma GCC unroll 8
      for (int r = 0; r < L::kRows; ++r) L::step(sums[r], a + r, y);
    }
#pragma GCC unroll 8
    for (int r = 0; r < L::kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < L::kVectors; ++v)
        V::put(tile + r * L::kPanel + V::kLanes * v, sums[r][v]);
  }

  /// R rows at once: every load of `a` is used R times, and so many sums hide how long one
  /// multiplication takes.
  template <int R>
  static void some_row_dots(const std::int16_t* a, const std::int16_t* rows, std::int32_t d,
                            std::int32_t* out) {
    Lanes sums[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sums[r] = V::zero();
    std::int32_t c = 0;
    for (; c + 2 * V::kLanes <= d; c += 2 * V::kLanes) {
      const Lanes x = V::kept(a + c);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
        sums[r] = V::add_products(sums[r], x, V::at(rows + std::int64_t{r} * d + c));
    }
    if (c < d) {
      const Lanes x = V::end_of(a, d, d - c);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
        sums[r] = V::add_products(sums[r], x, V::end_of(rows + std::int64_t{r} * d, d, d - c));
    }
    V::totals(sums, out);
  }
};

/// The table of level L, by name: its fields are all functions but one, and easily swapped.
template <class L>
constexpr DotLevel dot_table() {
  DotLevel table{};
  table.panel = L::kPanel;
  table.panel_bytes = L::panel_bytes;
  table.pack = L::pack;
  table.multiply = L::multiply;
  table.above = L::above;
  table.count_above = L::count_above;
  table.keep_above = L::keep_above;
  table.ranks = L::ranks;
  table.narrow = L::narrow;
  table.lowest = L::lowest;
  table.row_dots = L::row_dots;
  return table;
}

}  // namespace smartx
