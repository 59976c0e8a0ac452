// All similarities of the candidates of a graph-cut epoch.
#pragma once

#include <algorithm>
#include <memory>

#include "blocks.hpp"
#include "smartx/dot.hpp"
#include "smartx/parallel.hpp"
#include "tiles.hpp"

namespace smartx {

/// All similarities of a few rows, square and complete.
class SmallGram {
 public:
  void build(RowsView rows, int threads, const Cancel& cancel) {
    if (rows.n <= kFew) {
      stride_ = kFew;
      make_room();
      for (Item i = 0; i < rows.n; ++i)
        dot_level().row_dots(rows.row(i), rows.data, rows.n, rows.d, values_.get() + i * stride_);
      return;
    }
    const PackedRows packed(rows, dot_level(), threads, cancel);
    const Item panel = packed.level().panel;
    stride_ = Offset{packed.panels()} * panel;
    make_room();
    std::int32_t* const values = values_.get();
    for_each_tile(packed, threads, cancel, [&](Item a, Item b, const std::int32_t* tile) noexcept {
      std::int32_t* const upper = values + Offset{a} * panel * stride_ + Offset{b} * panel;
      for (Item r = 0; r < panel; ++r) std::copy_n(tile + r * panel, panel, upper + r * stride_);
      if (a == b) return;
      std::int32_t* const lower = values + Offset{b} * panel * stride_ + Offset{a} * panel;
      for (Item c0 = 0; c0 < panel; c0 += 8)
        for (Item r0 = 0; r0 < panel; r0 += 8)
          for (Item c = c0; c < c0 + 8; ++c)
            for (Item r = r0; r < r0 + 8; ++r) lower[c * stride_ + r] = tile[r * panel + c];
    });
  }
  const std::int32_t* row(Offset i) const { return values_.get() + i * stride_; }

 private:
  static constexpr Item kFew = 16;  // rows whose tile would be mostly padding

  void make_room() {
    if (stride_ * stride_ <= room_) return;
    room_ = stride_ * stride_;
    values_.reset();
    values_.reset(static_cast<std::int32_t*>(new_block(room_ * 4)));
  }

  Offset stride_ = 0, room_ = 0;
  std::unique_ptr<std::int32_t[], FreeBlock> values_;
};

}  // namespace smartx
