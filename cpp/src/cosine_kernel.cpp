#include "smartx/cosine_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "smartx/real.hpp"

namespace smartx {

namespace {

constexpr Offset kBlock = 64;  // most rows of one block

/// Rows scaled to unit length, with zeros behind them up to a multiple of 8: they change no sum.
struct UnitRows {
  UnitRows(const double* rows, Item count, Item d, const Context& context)
      : width((Offset{d} + 7) / 8 * 8), values(static_cast<std::size_t>(count * width)) {
    const auto normalise = [&](Offset i) noexcept {
      const double* row = rows + i * d;
      double largest = 0.0;  // scaling by it first keeps the squares in range
      for (Item c = 0; c < d; ++c) largest = std::max(largest, std::abs(row[c]));
      const double norm = std::sqrt(
          fixed_order_sum(d, [&](Offset c) { return (row[c] / largest) * (row[c] / largest); }));
      for (Item c = 0; c < d; ++c) values[i * width + c] = row[c] / largest / norm;
    };
    parallel_for(count, context, normalise, 16);
  }
  const double* row(Offset i) const { return values.data() + i * width; }

  Offset width;
  std::vector<double> values;
};

/// out[c][r] = tile[r][c] of a tile of kBlock x kBlock, in pieces that stay in registers' reach.
void transpose(const double* tile, double* out) noexcept {
  for (Offset r0 = 0; r0 < kBlock; r0 += 8)
    for (Offset c0 = 0; c0 < kBlock; c0 += 8)
      for (Offset c = c0; c < c0 + 8; ++c)
        for (Offset r = r0; r < r0 + 8; ++r) out[c * kBlock + r] = tile[r * kBlock + c];
}

}  // namespace

std::vector<double> cosine_kernel(const double* rows, Item count, Item d, const Context& context) {
  constexpr Offset kBytes = 256 * 1024;  // of a block: two stay in the second-level cache
  const UnitRows units(rows, count, d, context);
  const Offset block = std::clamp(kBytes / (units.width * 8) / 4 * 4, Offset{4}, kBlock);
  const Offset blocks = (count + block - 1) / block;
  std::vector<std::pair<Offset, Offset>> pairs;
  for (Offset a = 0; a < blocks; ++a)
    for (Offset b = a; b < blocks; ++b) pairs.emplace_back(a * block, b * block);
  std::vector<double> kernel(static_cast<std::size_t>(count) * count);
  const auto store = [&](const double* tile, Offset down, Offset across) noexcept {
    const Offset width = std::min(block, count - across);
    for (Offset r = 0; r < block && down + r < count; ++r)
      std::copy_n(tile + r * kBlock, width, kernel.data() + (down + r) * count + across);
  };
  parallel_for(static_cast<Offset>(pairs.size()), context, [&](Offset p) noexcept {
    const auto [a, b] = pairs[static_cast<std::size_t>(p)];
    double tile[kBlock * kBlock], mirrored[kBlock * kBlock];
    context.ops().real_dots(units.row(b), std::min(block, count - b), units.width, units.width,
                            units.row(a), std::min(block, count - a), units.width, tile, kBlock);
    store(tile, a, b);
    if (a == b) return;
    transpose(tile, mirrored);
    store(mirrored, b, a);
  });
  return kernel;
}

}  // namespace smartx
