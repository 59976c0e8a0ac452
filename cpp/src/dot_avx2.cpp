// Exact tiles by the 16-bit multiply-add of AVX2. Compiled for AVX2: see CMakeLists.txt.
#include <immintrin.h>

#include "dot_levels.hpp"

namespace smartx {
namespace {

constexpr int kPanel = 48;
constexpr int kRows = 6;      // of a register tile
constexpr int kColumns = 16;  // of it: two vectors
constexpr int kVectors = 6;   // across a panel
constexpr int kChunk = 192;   // pairs multiplied before the next register tile: keeps b in L1

#include "dot_keep.inc"
#include "dot_pairs.inc"
#include "dot_plain.inc"

// The 12 sums of a register tile are named variables, and a step is written out: with intrinsics,
// g++ 12 runs out of registers and stores sums to the stack in every step.
#define SMARTX_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define SMARTX_ZERO(r) __m256i s##r##0 = zero, s##r##1 = zero;
#define SMARTX_LOAD(r)               \
  s##r##0 = load(tile + r * kPanel); \
  s##r##1 = load(tile + r * kPanel + 8);
#define SMARTX_STEP(r)                                                      \
  asm("vpbroadcastd %4, %2\n\tvpmaddwd %5, %2, %3\n\tvpaddd %3, %0, %0\n\t" \
      "vpmaddwd %6, %2, %3\n\tvpaddd %3, %1, %1"                            \
      : "+x"(s##r##0), "+x"(s##r##1), "=&x"(x), "=&x"(product)              \
      : "m"(a[r]), "x"(y0), "x"(y1));
#define SMARTX_STORE(r)              \
  store(tile + r * kPanel, s##r##0); \
  store(tile + r * kPanel + 8, s##r##1);

__m256i load(const std::int32_t* place) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(place));
}

void store(std::int32_t* place, __m256i values) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(place), values);
}

void multiply_chunk(const std::int32_t* a, const std::int32_t* b, int pairs, bool first,
                    std::int32_t* tile) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i x, product;
  SMARTX_EACH_ROW(SMARTX_ZERO)
  if (!first) {
    SMARTX_EACH_ROW(SMARTX_LOAD)
  }
  for (int q = 0; q < pairs; ++q, a += kPanel, b += kPanel) {
    const __m256i y0 = load(b);
    const __m256i y1 = load(b + 8);
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
    for (int c = 0; c < kPanel; c += kColumns)
      for (int r = 0; r < kPanel; r += kRows)
        multiply_chunk(down + place + r, across + place + c, some, q == 0, tile + r * kPanel + c);
  }
}

void above(const std::int32_t* tile, const std::int32_t* row_floor,
           const std::int32_t* column_floor, std::uint64_t* row_hits, std::uint64_t* column_hits) {
  __m256i below[kVectors];
#pragma GCC unroll 6
  for (int v = 0; v < kVectors; ++v)
    below[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(column_floor + 8 * v));
  for (int r = 0; r < kPanel; ++r) {
    const __m256i floor = _mm256_set1_epi32(row_floor[r]);
    std::uint64_t in_row = 0, in_column = 0;
#pragma GCC unroll 6
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

/// R rows at once, so that every load of `a` is used more than once.
template <int R>
void some_row_dots(const std::int16_t* a, const std::int16_t* rows, std::int32_t d,
                   std::int32_t* out) {
  __m256i sums[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) sums[r] = _mm256_setzero_si256();
  std::int32_t c = 0;
  for (; c + 16 <= d; c += 16) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + c));
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const auto* row = reinterpret_cast<const __m256i*>(rows + std::int64_t{r} * d + c);
      sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(x, _mm256_loadu_si256(row)));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(sums[r]), _mm256_extracti128_si256(sums[r], 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    out[r] = _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
    for (std::int32_t k = c; k < d; ++k)
      out[r] += std::int32_t{a[k]} * std::int32_t{rows[std::int64_t{r} * d + k]};
  }
}

void row_dots(const std::int16_t* a, const std::int16_t* rows, std::int64_t count, std::int32_t d,
              std::int32_t* out) {
  std::int64_t j = 0;
  for (; j + 4 <= count; j += 4) some_row_dots<4>(a, rows + j * d, d, out + j);
  for (; j < count; ++j) some_row_dots<1>(a, rows + j * d, d, out + j);
}

}  // namespace

const DotLevel kDotAvx2 = {"avx2",      kPanel,     panel_bytes, pack,   multiply, above,
                           count_above, keep_above, ranks,       narrow, lowest,   row_dots};

}  // namespace smartx
