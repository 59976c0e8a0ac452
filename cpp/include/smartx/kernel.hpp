// The dense n x n kernel in 16 bits, for ground sets whose square fits in memory.
#pragma once

#include <cstdint>
#include <memory>

#include "smartx/blocks.hpp"
#include "smartx/dot.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Similarities rounded to 16 bits: (max(0, s) + 128) >> 8, at most 65535, in units of 256 Q12
/// similarity units. One row for each class of equal rows, one column for each row of the ground
/// set, those of a class side by side: symmetric where all rows differ. Diagonal included; rows are
/// 64-byte aligned and padded with zeros.
class DenseKernel16 {
 public:
  static DenseKernel16 build(RowsView rows, const EqualRows& equal, const Context& context);
  /// As if all rows differed.
  static DenseKernel16 build(RowsView rows, const Context& context);

  Item rows() const { return rows_; }
  Item columns() const { return columns_; }
  /// Values from one row to the next: columns up to a multiple of 32. Padding is zero.
  Offset stride() const { return stride_; }
  const std::uint16_t* row(Item i) const { return data_.get() + i * stride_; }
  std::uint16_t* values() { return data_.get(); }
  /// Bytes that a kernel of n rows takes at most.
  static Offset bytes(Item n) { return n * ((static_cast<Offset>(n) + 31) / 32 * 32) * 2; }

 private:
  DenseKernel16(Item rows, Item columns);
  Item rows_, columns_;
  Offset stride_;
  std::unique_ptr<std::uint16_t[], FreeBlock> data_;
};

/// The smallest similarity of two different rows, exact; 0 where there are fewer than two rows.
std::int32_t min_similarity(RowsView rows, const Context& context);

}  // namespace smartx
