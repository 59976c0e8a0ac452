#include "smartx/kernel.hpp"

#include <cstdlib>

#include "blocks.hpp"
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

void DenseKernel16::Free::operator()(std::uint16_t* data) const noexcept {
  std::free(data);
}

DenseKernel16::DenseKernel16(Item n, Offset stride) : n_(n), stride_(stride) {
  data_.reset(static_cast<std::uint16_t*>(new_block(bytes(n))));
}

DenseKernel16 DenseKernel16::build(RowsView rows, const Context& context) {
  DenseKernel16 kernel(rows.n, (Offset{rows.n} + 31) / 32 * 32);
  const PackedRows packed(rows, context);
  std::uint16_t* const data = kernel.data_.get();
  const Offset stride = kernel.stride_;
  const DotLevel& level = context.dot();
  const Item panel = level.panel;
  const auto store = [&](const std::uint16_t* values, Item a, Item b) noexcept {
    const Item down = rows_in(a, panel, rows.n), across = rows_in(b, panel, rows.n);
    std::uint16_t* out = data + Offset{a} * panel * stride + Offset{b} * panel;
    for (Item r = 0; r < down; ++r) std::copy_n(values + r * panel, across, out + r * stride);
  };
  for_each_tile(packed, context, [&](Item a, Item b, const std::int32_t* tile) noexcept {
    alignas(64) std::uint16_t values[64 * 64], mirrored[64 * 64];
    level.narrow(tile, values);
    store(values, a, b);
    if (a == b) return;
    transpose(values, panel, mirrored);
    store(mirrored, b, a);
  });
  for (Item i = 0; i < rows.n; ++i)
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
