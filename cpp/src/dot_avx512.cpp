// Exact tiles by vpdpwssd (AVX-512 VNNI). Compiled for AVX-512: see CMakeLists.txt.
#include <immintrin.h>

#include "dot_levels.hpp"

namespace smartx {
namespace {

constexpr int kPanel = 48;
constexpr int kRows = 8;     // of a register tile
constexpr int kVectors = 3;  // across it: the whole panel
constexpr int kChunk = 192;  // pairs multiplied before the next register tile: keeps b in L1

#include "dot_pairs.inc"
#include "dot_plain.inc"

void multiply_chunk(const std::int32_t* a, const std::int32_t* b, int pairs, bool first,
                    std::int32_t* tile) {
  __m512i sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v)
      sum[r][v] = first ? _mm512_setzero_si512() : _mm512_load_si512(tile + r * kPanel + 16 * v);
  for (int q = 0; q < pairs; ++q, a += kPanel, b += kPanel) {
    __m512i y[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) y[v] = _mm512_load_si512(b + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i x = _mm512_set1_epi32(a[r]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_dpwssd_epi32(sum[r][v], x, y[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) _mm512_store_si512(tile + r * kPanel + 16 * v, sum[r][v]);
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
  __m512i below[kVectors];
  for (int v = 0; v < kVectors; ++v) below[v] = _mm512_loadu_si512(column_floor + 16 * v);
  for (int r = 0; r < kPanel; ++r) {
    const __m512i floor = _mm512_set1_epi32(row_floor[r]);
    std::uint64_t in_row = 0, in_column = 0;
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      const __m512i value = _mm512_load_si512(tile + r * kPanel + 16 * v);
      in_row |= std::uint64_t{_mm512_cmpgt_epi32_mask(value, floor)} << (16 * v);
      in_column |= std::uint64_t{_mm512_cmpgt_epi32_mask(value, below[v])} << (16 * v);
    }
    row_hits[r] = in_row;
    column_hits[r] = in_column;
  }
}

}  // namespace

const DotLevel kDotAvx512 = {"avx512", kPanel, panel_bytes, pack,    multiply,
                             above,    narrow, lowest,      row_dots};

}  // namespace smartx
