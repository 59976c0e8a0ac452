// Exact tiles by vpdpwssd (AVX-512 VNNI). Compiled for AVX-512: see CMakeLists.txt.
#include <immintrin.h>

#include "dot_levels.hpp"

namespace smartx {
namespace {

constexpr int kPanel = 48;
constexpr int kRows = 8;     // of a register tile
constexpr int kVectors = 3;  // across it, the whole panel
constexpr int kChunk = 192;  // pairs multiplied before the next register tile: keeps b in L1

#include "dot_pairs.inc"
#include "dot_plain.inc"

// The 24 sums of a register tile are named variables, and the instruction is written out: with
// the intrinsic, g++ 12 stores every sum to the stack in every step, which costs 60 % of the speed.
#define SMARTX_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define SMARTX_ZERO(r) __m512i s##r##0 = zero, s##r##1 = zero, s##r##2 = zero;
#define SMARTX_LOAD(r)                                 \
  s##r##0 = _mm512_load_si512(tile + r * kPanel);      \
  s##r##1 = _mm512_load_si512(tile + r * kPanel + 16); \
  s##r##2 = _mm512_load_si512(tile + r * kPanel + 32);
#define SMARTX_MULTIPLY_ADD(sum, x, y) asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))
#define SMARTX_STEP(r)                 \
  x = _mm512_set1_epi32(a[r]);         \
  SMARTX_MULTIPLY_ADD(s##r##0, x, y0); \
  SMARTX_MULTIPLY_ADD(s##r##1, x, y1); \
  SMARTX_MULTIPLY_ADD(s##r##2, x, y2);
#define SMARTX_STORE(r)                                \
  _mm512_store_si512(tile + r * kPanel, s##r##0);      \
  _mm512_store_si512(tile + r * kPanel + 16, s##r##1); \
  _mm512_store_si512(tile + r * kPanel + 32, s##r##2);

void multiply_chunk(const std::int32_t* a, const std::int32_t* b, int pairs, bool first,
                    std::int32_t* tile) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i x;
  SMARTX_EACH_ROW(SMARTX_ZERO)
  if (!first) {
    SMARTX_EACH_ROW(SMARTX_LOAD)
  }
  for (int q = 0; q < pairs; ++q, a += kPanel, b += kPanel) {
    const __m512i y0 = _mm512_load_si512(b);
    const __m512i y1 = _mm512_load_si512(b + 16);
    const __m512i y2 = _mm512_load_si512(b + 32);
    SMARTX_EACH_ROW(SMARTX_STEP)
  }
  SMARTX_EACH_ROW(SMARTX_STORE)
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

std::int32_t keep_above(std::int32_t* values, std::int32_t* items, std::int32_t count,
                        std::int32_t bar) {
  const __m512i floor = _mm512_set1_epi32(bar);
  std::int32_t end = 0;
  for (std::int32_t i = 0; i < count; i += 16) {
    const __mmask16 inside =
        count - i < 16 ? __mmask16((1U << (count - i)) - 1) : __mmask16(0xFFFF);
    const __m512i value = _mm512_maskz_loadu_epi32(inside, values + i);
    const __m512i item = _mm512_maskz_loadu_epi32(inside, items + i);
    const __mmask16 kept = _mm512_mask_cmpgt_epi32_mask(inside, value, floor);
    const auto some = static_cast<std::int32_t>(__builtin_popcount(kept));
    // Compressed in a register: compressing into memory is very slow on some processors.
    const auto front = __mmask16((1U << some) - 1);
    _mm512_mask_storeu_epi32(values + end, front, _mm512_maskz_compress_epi32(kept, value));
    _mm512_mask_storeu_epi32(items + end, front, _mm512_maskz_compress_epi32(kept, item));
    end += some;
  }
  return end;
}

/// R rows at once: as many sums as hide how long one multiplication takes.
template <int R>
void some_row_dots(const std::int16_t* a, const std::int16_t* rows, std::int32_t d,
                   std::int32_t* out) {
  __m512i sums[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sums[r] = _mm512_setzero_si512();
  std::int32_t c = 0;
  for (; c + 32 <= d; c += 32) {
    const __m512i x = _mm512_loadu_si512(a + c);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      sums[r] = _mm512_dpwssd_epi32(sums[r], x, _mm512_loadu_si512(rows + std::int64_t{r} * d + c));
  }
  if (c < d) {
    const __mmask32 inside = (__mmask32{1} << (d - c)) - 1;
    const __m512i x = _mm512_maskz_loadu_epi16(inside, a + c);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      sums[r] = _mm512_dpwssd_epi32(
          sums[r], x, _mm512_maskz_loadu_epi16(inside, rows + std::int64_t{r} * d + c));
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) out[r] = _mm512_reduce_add_epi32(sums[r]);
}

void row_dots(const std::int16_t* a, const std::int16_t* rows, std::int64_t count, std::int32_t d,
              std::int32_t* out) {
  std::int64_t j = 0;
  for (; j + 8 <= count; j += 8) some_row_dots<8>(a, rows + j * d, d, out + j);
  for (; j < count; ++j) some_row_dots<1>(a, rows + j * d, d, out + j);
}

}  // namespace

const DotLevel kDotAvx512 = {"avx512",    kPanel,     panel_bytes, pack,   multiply, above,
                             count_above, keep_above, ranks,       narrow, lowest,   row_dots};

}  // namespace smartx
