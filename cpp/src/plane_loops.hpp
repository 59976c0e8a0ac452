// Tiles by products of 8-bit values, for tile registers T; templates only, for the reason that
// dot_loops.hpp gives.
#pragma once

#include <cstdint>

namespace smartx {

/// A Q12 value q, |q| <= 2^12, is 64 high + low, low in -32..31 and high in -64..64, so that high,
/// low and high + low fit 8 bits. With such planes of two rows
///   q . q' = 4096 high . high' + 64 ((high + low) . (high' + low') - high . high' - low . low')
///            + low . low',
/// exact in 32 bits that wrap, as the result fits them. A panel holds its three planes twice, in
/// tiles of 16 rows by 64 values: as T multiplies them from the left (16 rows of 64 bytes), and
/// from the right (groups of four values of a row one below the other).
///
/// T multiplies kPanel rows by 16, and keeps the sums: T::begin(), T::zero(), T::add_product(tiles
/// of the left, tile of the right), T::store(int32 sums, kPanel x 16), T::end().
template <class T>
struct PlaneDots {
  static constexpr int kPanel = 48;

  static std::int64_t panel_bytes(std::int32_t d) { return 2 * kPlanes * plane_bytes(d); }

  static void pack(const std::int16_t* rows, std::int32_t count, std::int32_t d, void* out) {
    auto* left = static_cast<std::int8_t*>(out);
    std::int8_t* right = left + kPlanes * plane_bytes(d);
    for (std::int32_t r = 0; r < kPanel; ++r) {
      for (std::int32_t c = 0; c < steps(d) * kDepth; ++c) {
        const std::int32_t q = r < count && c < d ? rows[std::int64_t{r} * d + c] : 0;
        const std::int32_t high = (q + 32) >> 6, low = q - 64 * high;
        const std::int64_t tile = std::int64_t{c / kDepth * kTiles + r / 16} * kTileBytes;
        const std::int64_t at_left = tile + r % 16 * kDepth + c % kDepth;
        const std::int64_t at_right = tile + c % kDepth / 4 * kDepth + r % 16 * 4 + c % 4;
        const std::int32_t planes[kPlanes] = {high, low, high + low};
        for (int p = 0; p < kPlanes; ++p)
          left[p * plane_bytes(d) + at_left] = right[p * plane_bytes(d) + at_right] =
              static_cast<std::int8_t>(planes[p]);
      }
    }
  }

  static void multiply(const void* a, const void* b, std::int32_t d, std::int32_t* tile) {
    alignas(64) std::int32_t sums[kPlanes][kTiles][kPanel * 16];
    const auto* left = static_cast<const std::int8_t*>(a);
    const auto* right = static_cast<const std::int8_t*>(b) + kPlanes * plane_bytes(d);
    T::begin();
    for (int p = 0; p < kPlanes; ++p, left += plane_bytes(d), right += plane_bytes(d)) {
      for (int t = 0; t < kTiles; ++t) {
        T::zero();
        for (std::int32_t k = 0; k < steps(d); ++k)
          T::add_product(left + k * kTiles * kTileBytes, right + (k * kTiles + t) * kTileBytes);
        T::store(sums[p][t]);
      }
    }
    T::end();
    for (int t = 0; t < kTiles; ++t) {
      for (int r = 0; r < kPanel; ++r) {
        for (int c = 0; c < 16; ++c) {
          const auto high = static_cast<std::uint32_t>(sums[0][t][r * 16 + c]);
          const auto low = static_cast<std::uint32_t>(sums[1][t][r * 16 + c]);
          const auto both = static_cast<std::uint32_t>(sums[2][t][r * 16 + c]);
          tile[r * kPanel + t * 16 + c] =
              static_cast<std::int32_t>(4096 * high + 64 * (both - high - low) + low);
        }
      }
    }
  }

 private:
  static constexpr int kPlanes = 3, kTiles = kPanel / 16;
  static constexpr std::int32_t kDepth = 64, kTileBytes = 16 * kDepth;

  static std::int32_t steps(std::int32_t d) { return (d + kDepth - 1) / kDepth; }
  static std::int64_t plane_bytes(std::int32_t d) {
    return std::int64_t{steps(d)} * kTiles * kTileBytes;
  }
};

}  // namespace smartx
