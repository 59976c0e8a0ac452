// Similarities of the candidates of a graph-cut epoch.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>

#include "smartx/blocks.hpp"
#include "smartx/context.hpp"
#include "smartx/dot.hpp"
#include "tiles.hpp"

namespace smartx {

/// The similarities of one of some rows with all of them, as they are asked for: all at once where
/// as many were asked for the last time as that is worth, else one by one until as many were.
class SmallGram {
 public:
  /// `rows` stay where they are while row() is asked.
  void start(RowsView rows) {
    rows_ = rows;
    const Item worth = rows.n <= kFew ? rows.n : rows.n / kWorth;
    patience_ = rows.n > kFew && asked_ > worth ? 0 : worth;
    asked_ = 0;
    whole_ = false;
    stride_ = (Offset{rows.n} + 7) / 8 * 8;
  }

  /// rows.n values, and room for more behind them up to a multiple of 8; until the next call.
  const std::int32_t* row(Item i, const Context& context) {
    if (!whole_ && asked_ >= patience_) build(context);
    ++asked_;
    if (whole_) return values_.get() + i * stride_;
    make_room(stride_);
    const Offset parts = (Offset{rows_.n} + kPart - 1) / kPart;
    parallel_for(
        parts, Offset{rows_.n} * rows_.d < kWorthThreads ? context.alone() : context,
        [&](Offset part) noexcept {
          const auto first = static_cast<Item>(part * kPart);
          context.dot().row_dots(rows_.row(i), rows_.row(first), std::min(kPart, rows_.n - first),
                                 rows_.d, values_.get() + first);
        },
        1, Helpers::kFromEnd);
    return values_.get();
  }

 private:
  static constexpr Item kWorth = 5;  // all take the time of one in so many of them
  static constexpr Item kFew = 32;   // but not of so few, whose tile would be mostly padding
  static constexpr Item kPart = 64;  // rows
  static constexpr Offset kWorthThreads = 1 << 16;  // products: some 1 us

  void build(const Context& context) {
    const PackedRows packed(rows_, context);
    const Item panel = packed.level().panel;
    stride_ = Offset{packed.panels()} * panel;
    make_room(stride_ * stride_);
    std::int32_t* const values = values_.get();
    for_each_tile(packed, context, [&](Item a, Item b, const std::int32_t* tile) noexcept {
      std::int32_t* const upper = values + Offset{a} * panel * stride_ + Offset{b} * panel;
      for (Item r = 0; r < panel; ++r) std::copy_n(tile + r * panel, panel, upper + r * stride_);
      if (a == b) return;
      std::int32_t* const lower = values + Offset{b} * panel * stride_ + Offset{a} * panel;
      for (Item c0 = 0; c0 < panel; c0 += 8)
        for (Item r0 = 0; r0 < panel; r0 += 8)
          for (Item c = c0; c < c0 + 8; ++c)
            for (Item r = r0; r < r0 + 8; ++r) lower[c * stride_ + r] = tile[r * panel + c];
    });
    whole_ = true;
  }

  void make_room(Offset values) {
    if (values <= room_) return;
    room_ = values;
    values_.reset();
    values_.reset(static_cast<std::int32_t*>(new_block(room_ * 4)));
  }

  RowsView rows_{};
  Item asked_ = std::numeric_limits<Item>::max(), patience_ = 0;
  bool whole_ = false;
  Offset stride_ = 0, room_ = 0;
  std::unique_ptr<std::int32_t[], FreeBlock> values_;
};

}  // namespace smartx
