#include "smartx/kernel.hpp"

#include "tiles.hpp"

namespace smartx {

namespace {

/// out[c][r] = values[r][c], both panel x panel; in 8 x 8 pieces, which stay in registers' reach.
void transpose(const std::uint16_t* values, Item panel, std::uint16_t* out) noexcept {
  for (Item r0 = 0; r0 < panel; r0 += 8)
    for (Item c0 = 0; c0 < panel; c0 += 8)
      for (Item c = c0; c < c0 + 8; ++c)
        for (Item r = r0; r < r0 + 8; ++r) out[c * panel + r] = values[r * panel + c];
}

/// Number of rows of panel p of n rows.
Item rows_in(Item p, Item panel, Item n) noexcept {
  return std::min(panel, n - p * panel);
}

}  // namespace

DenseKernel16::DenseKernel16(Item rows, Item columns)
    : rows_(rows), columns_(columns), stride_((Offset{columns} + 31) / 32 * 32) {
  data_.reset(static_cast<std::uint16_t*>(new_block(rows * stride_ * 2)));
}

DenseKernel16 DenseKernel16::build(RowsView rows, const Context& context) {
  return build(rows, EqualRows(rows.n), context);
}

DenseKernel16 DenseKernel16::build(RowsView rows, const EqualRows& equal, const Context& context) {
  DenseKernel16 kernel(equal.classes(), rows.n);
  const PackedRows packed(equal.distinct(rows), context);
  const std::vector<Item> starts = equal.any() ? equal.starts() : std::vector<Item>();
  std::uint16_t* const data = kernel.data_.get();
  const Offset stride = kernel.stride_;
  const DotLevel& level = context.dot();
  const Item panel = level.panel;
  const auto store = [&](const std::uint16_t* values, Item a, Item b) noexcept {
    const Item down = rows_in(a, panel, packed.size()), across = rows_in(b, panel, packed.size());
    for (Item r = 0; r < down; ++r, values += panel) {
      std::uint16_t* const out = data + (Offset{a} * panel + r) * stride;
      if (starts.empty()) {
        std::copy_n(values, across, out + Offset{b} * panel);
        continue;
      }
      const Item* const start = starts.data() + Offset{b} * panel;
      for (Item c = 0; c < across; ++c) std::fill(out + start[c], out + start[c + 1], values[c]);
    }
  };
  for_each_tile(packed, context, [&](Item a, Item b, const std::int32_t* tile) noexcept {
    alignas(64) std::uint16_t values[64 * 64], mirrored[64 * 64];
    level.narrow(tile, values);
    store(values, a, b);
    if (a == b) return;
    transpose(values, panel, mirrored);
    store(mirrored, b, a);
  });
  for (Item i = 0; i < kernel.rows_; ++i)
    std::fill(data + i * stride + rows.n, data + (i + 1) * stride, std::uint16_t{0});
  return kernel;
}

std::int32_t min_similarity(RowsView rows, const Context& context) {
  if (rows.n < 2) return 0;
  const PackedRows packed(rows, context);
  const DotLevel& level = context.dot();
  const Item panel = level.panel;
  std::vector<std::int32_t> lows(static_cast<std::size_t>(context.threads()), kMaxSimilarity);
  for_each_tile(packed, context, [&](Item a, Item b, const std::int32_t* tile, int hand) noexcept {
    std::int32_t& least = lows[static_cast<std::size_t>(hand)];
    const Item across = rows_in(b, panel, rows.n);
    if (a != b && across == panel) {
      least = std::min(least, level.lowest(tile));
      return;
    }
    for (Item r = 0; r < rows_in(a, panel, rows.n); ++r)
      for (Item c = a == b ? r + 1 : 0; c < across; ++c)
        least = std::min(least, tile[r * panel + c]);
  });
  return *std::min_element(lows.begin(), lows.end());
}

}  // namespace smartx
