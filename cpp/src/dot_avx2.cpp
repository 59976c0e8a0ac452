// Exact tiles by the 16-bit multiply-add of AVX2. Compiled for AVX2: see CMakeLists.txt.
#include <immintrin.h>

#include "dot_levels.hpp"

namespace smartx {
namespace {

constexpr int kPanel = 24;
constexpr int kRows = 4;     // of a register tile
constexpr int kVectors = 3;  // across it: the whole panel
constexpr int kChunk = 192;  // pairs multiplied before the next register tile: keeps b in L1

#include "dot_pairs.inc"
#include "dot_plain.inc"

void multiply_chunk(const std::int32_t* a, const std::int32_t* b, int pairs, bool first,
                    std::int32_t* tile) {
  __m256i sum[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      const auto* place = reinterpret_cast<const __m256i*>(tile + r * kPanel + 8 * v);
      sum[r][v] = first ? _mm256_setzero_si256() : _mm256_load_si256(place);
    }
  for (int q = 0; q < pairs; ++q, a += kPanel, b += kPanel) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m256i x = _mm256_set1_epi32(a[r]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) {
        const __m256i y = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + 8 * v));
        sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(x, y));
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v)
      _mm256_store_si256(reinterpret_cast<__m256i*>(tile + r * kPanel + 8 * v), sum[r][v]);
}

void multiply(const void* a, const void* b, std::int32_t d, std::int32_t* tile) {
  const auto* down = static_cast<const std::int32_t*>(a);
  const auto* across = static_cast<const std::int32_t*>(b);
  const int pairs = (d + 1) / 2;
  for (int q = 0; q < pairs; q += kChunk) {
    const int some = pairs - q < kChunk ? pairs - q : kChunk;
    const std::int64_t place = std::int64_t{q} * kPanel;
    for (int r = 0; r < kPanel; r += kRows)
      multiply_chunk(down + place + r, across + place, some, q == 0, tile + r * kPanel);
  }
}

void above(const std::int32_t* tile, const std::int32_t* row_floor,
           const std::int32_t* column_floor, std::uint64_t* row_hits, std::uint64_t* column_hits) {
  __m256i below[kVectors];
  for (int v = 0; v < kVectors; ++v)
    below[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(column_floor + 8 * v));
  for (int r = 0; r < kPanel; ++r) {
    const __m256i floor = _mm256_set1_epi32(row_floor[r]);
    std::uint64_t in_row = 0, in_column = 0;
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      const __m256i value =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(tile + r * kPanel + 8 * v));
      const __m256i a = _mm256_cmpgt_epi32(value, floor);
      const __m256i b = _mm256_cmpgt_epi32(value, below[v]);
      in_row |= std::uint64_t(unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(a)))) << (8 * v);
      in_column |= std::uint64_t(unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(b)))) << (8 * v);
    }
    row_hits[r] = in_row;
    column_hits[r] = in_column;
  }
}

}  // namespace

const DotLevel kDotAvx2 = {"avx2", kPanel, panel_bytes, pack,    multiply,
                           above,  narrow, lowest,      row_dots};

}  // namespace smartx
