// How one instruction set multiplies rows. Included by code that is compiled for more than the
// baseline processor, so nothing here may emit code: no inline functions, no class members.
#pragma once

#include <cstdint>

namespace smartx {

/// One instruction set's way to multiply Q12 rows. Rows are packed in panels of `panel` rows; the
/// product of two panels is a tile of panel x panel similarities, row-major, 64-byte aligned. All
/// levels give the same bits, because every value is an exact integer.
struct DotLevel {
  std::int32_t panel;  // rows in a panel; at most 64, so that a row of a tile fits a mask

  /// Size of a packed panel of rows of d values, a multiple of 64.
  std::int64_t (*panel_bytes)(std::int32_t d);
  /// Packs `count` rows (at most `panel`); the places of missing rows become zeros.
  void (*pack)(const std::int16_t* rows, std::int32_t count, std::int32_t d, void* out);
  /// tile[r * panel + c] = row r of panel a . row c of panel b.
  void (*multiply)(const void* a, const void* b, std::int32_t d, std::int32_t* tile);
  /// Bit c of row_hits[r]: tile[r][c] > row_floor[r].  Bit c of column_hits[r]: > column_floor[c].
  void (*above)(const std::int32_t* tile, const std::int32_t* row_floor,
                const std::int32_t* column_floor, std::uint64_t* row_hits,
                std::uint64_t* column_hits);
  /// How many of `count` values are above `bar`.
  std::int32_t (*count_above)(const std::int32_t* values, std::int32_t count, std::int32_t bar);
  /// Moves the values above `bar`, and their items, to the front in order; returns how many.
  std::int32_t (*keep_above)(std::int32_t* values, std::int32_t* items, std::int32_t count,
                             std::int32_t bar);
  /// rank[i]: how many values are larger than values[i], or equal and before it.
  void (*ranks)(const std::int32_t* values, std::int32_t count, std::int32_t* rank);
  /// The values of a tile in 16 bits: (max(0, s) + 128) >> 8, at most 65535.
  void (*narrow)(const std::int32_t* tile, std::uint16_t* out);
  /// The smallest value of a tile.
  std::int32_t (*lowest)(const std::int32_t* tile);
  /// out[j] = a . rows[j] for `count` adjacent rows that are not packed. The dot products, and
  /// their partial sums, must fit int32.
  void (*row_dots)(const std::int16_t* a, const std::int16_t* rows, std::int64_t count,
                   std::int32_t d, std::int32_t* out);
};

}  // namespace smartx
