// Tiles by products of 8-bit values; templates only, for the reason that dot_loops.hpp gives.
#pragma once

#include <cstdint>

#include "smartx/dot_level.hpp"

namespace smartx {

/// A Q12 value q, |q| <= 2^12, is 64 high + low, low in -32..31 and high in -64..64, so that high,
/// low and high + low fit 8 bits. With such planes of two rows
///   q . q' = 4096 high . high' + 64 ((high + low) . (high' + low') - high . high' - low . low')
///            + low . low',
/// exact in 32 bits that wrap, as the result fits them.
///
/// T multiplies one plane: a panel is T::kPanel rows in steps of T::kDepth values, and T says where
/// a value of it lies if it is the factor on the left, and where on the right, which are two copies
/// unless T::kSides is 1. Between begin() and end(), multiply(left, right, steps, sums) makes
/// sums[r][c] = row r of the left . row c of the right.
template <class T>
struct PlaneDots {
  static constexpr int kPanel = T::kPanel;

  static std::int64_t panel_bytes(std::int32_t d) { return T::kSides * side_bytes(d); }

  static void pack(const std::int16_t* rows, std::int32_t count, std::int32_t d, void* out) {
    auto* left = static_cast<std::int8_t*>(out);
    auto* right = left + (T::kSides - 1) * side_bytes(d);
    for (std::int32_t r = 0; r < kPanel; ++r) {
      for (std::int32_t c = 0; c < steps(d) * T::kDepth; ++c) {
        const std::int32_t q = r < count && c < d ? rows[std::int64_t{r} * d + c] : 0;
        const std::int32_t high = (q + 32) >> 6, low = q - 64 * high;
        const std::int32_t planes[kPlanes] = {high, low, high + low};
        const std::int64_t step = std::int64_t{c / T::kDepth} * kStepBytes;
        for (int p = 0; p < kPlanes; ++p) {
          left[p * plane_bytes(d) + step + T::on_left(r, c % T::kDepth)] =
              static_cast<std::int8_t>(planes[p]);
          right[p * plane_bytes(d) + step + T::on_right(r, c % T::kDepth)] =
              static_cast<std::int8_t>(planes[p]);
        }
      }
    }
  }

  static void multiply(const void* a, const void* b, std::int32_t d, std::int32_t* tile) {
    alignas(64) std::int32_t sums[kPlanes][kPanel * kPanel];
    const auto* left = static_cast<const std::int8_t*>(a);
    const auto* right = static_cast<const std::int8_t*>(b) + (T::kSides - 1) * side_bytes(d);
    T::begin();
    for (int p = 0; p < kPlanes; ++p)
      T::multiply(left + p * plane_bytes(d), right + p * plane_bytes(d), steps(d), sums[p]);
    T::end();
    for (int i = 0; i < kPanel * kPanel; ++i) {
      const auto high = static_cast<std::uint32_t>(sums[0][i]);
      const auto low = static_cast<std::uint32_t>(sums[1][i]);
      const auto both = static_cast<std::uint32_t>(sums[2][i]);
      tile[i] = static_cast<std::int32_t>(4096 * high + 64 * (both - high - low) + low);
    }
  }

 private:
  static constexpr int kPlanes = 3;
  static constexpr std::int32_t kStepBytes = kPanel * T::kDepth;

  static std::int32_t steps(std::int32_t d) { return (d + T::kDepth - 1) / T::kDepth; }
  static std::int64_t plane_bytes(std::int32_t d) { return std::int64_t{steps(d)} * kStepBytes; }
  static std::int64_t side_bytes(std::int32_t d) { return kPlanes * plane_bytes(d); }
};

/// The table of a level with these tiles. Where T's panel is not that level's, all must change.
template <class T>
DotLevel with_planes(DotLevel table) {
  table.panel_bytes = PlaneDots<T>::panel_bytes;
  table.pack = PlaneDots<T>::pack;
  table.multiply = PlaneDots<T>::multiply;
  return table;
}

/// Planes by tile registers of 16 rows of 64 bytes. From the left they hold 64 values of 16 rows,
/// from the right groups of four values of a row, one below the other. R keeps the sums of 48 rows
/// with 16: zero(), add_product(three tiles of the left, one of the right), store(sums).
template <class R>
struct TilePlanes : R {
  static constexpr int kPanel = 48, kDepth = 64, kSides = 2;

  static std::int32_t on_left(std::int32_t r, std::int32_t c) { return r * 64 + c; }
  static std::int32_t on_right(std::int32_t r, std::int32_t c) {
    return r / 16 * kTile + c / 4 * 64 + r % 16 * 4 + c % 4;
  }

  static void multiply(const std::int8_t* left, const std::int8_t* right, std::int32_t steps,
                       std::int32_t* sums) {
    for (int t = 0; t < 3; ++t) {
      R::zero();
      for (std::int64_t k = 0; k < steps; ++k)
        R::add_product(left + 3 * k * kTile, right + (3 * k + t) * kTile);
      R::store(sums + 16 * t);
    }
  }

 private:
  static constexpr int kTile = 1024;
};

}  // namespace smartx
