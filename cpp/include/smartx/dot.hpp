// Exact similarities of Q12 rows: tiles of them, by the best instruction set of this processor.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "smartx/blocks.hpp"
#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// q_a . q_b of two rows, exact.
std::int32_t similarity(const std::int16_t* a, const std::int16_t* b, Item d);
/// q . sum for a sum of up to 2^31 rows, exact.
std::int64_t dot(const std::int16_t* row, const std::int64_t* sum, Item d);
std::int64_t dot(const std::int16_t* row, const std::int32_t* sum, Item d);

/// Rows copied into the panels of one level: 64-byte aligned, about the size of the rows.
class PackedRows {
 public:
  PackedRows(SomeRows rows, const Context& context);

  const DotLevel& level() const { return *level_; }
  Item size() const { return n_; }
  Item dimensions() const { return d_; }
  Item panels() const { return panels_; }
  const void* panel(Item p) const { return data_.get() + p * bytes_; }
  /// Similarities of the rows of panel a (down) with those of panel b (across).
  void multiply(Item a, Item b, std::int32_t* tile) const {
    level_->multiply(panel(a), panel(b), d_, tile);
  }

 private:
  const DotLevel* level_;
  Item n_, d_, panels_;
  Offset bytes_;  // of one panel
  std::unique_ptr<unsigned char[], FreeBlock> data_;
};

/// All similarities of rows a (down) with rows b (across), row-major (a.n, b.n). For tests and
/// small inputs: nothing is blocked for memory.
std::vector<std::int32_t> similarities(RowsView a, RowsView b, const Context& context);

/// out[p] = rows[i[p]] . rows[j[p]].
void pair_similarities(RowsView rows, Span<const Item> i, Span<const Item> j, std::int32_t* out,
                       const Context& context);

}  // namespace smartx
