// The inner loops by AVX-512. Compiled for AVX-512: see CMakeLists.txt.
#include <immintrin.h>

#include "vector_op_levels.hpp"

namespace smartx {
namespace {

__m512i load(const void* place) {
  return _mm512_loadu_si512(place);
}

std::int64_t sum_signed(__m512i lanes) {
  return _mm512_reduce_add_epi64(
      _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(lanes)),
                       _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(lanes, 1))));
}

void digit_dots(const std::int16_t* rows, const std::int32_t* items, std::int64_t count,
                std::int32_t d, const std::int16_t* digits, std::int32_t digit_count,
                std::int64_t* out) {
  constexpr std::int32_t kChunk = 2048;  // 2^12 * sqrt(128 values a lane) * 2^15 < 2^31
  constexpr std::int64_t kAhead = 6;     // rows fetched beforehand: they lie apart
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int16_t* row = rows + std::int64_t{items[i]} * d;
    if (i + kAhead < count) {
      const std::int16_t* later = rows + std::int64_t{items[i + kAhead]} * d;
      for (std::int32_t c = 0; c < d; c += 32) __builtin_prefetch(later + c);
    }
    std::int64_t total = 0;
    for (std::int32_t k = digit_count - 1; k >= 0; --k) {
      const std::int16_t* digit = digits + std::int64_t{k} * d;
      std::int64_t part = 0;
      for (std::int32_t c = 0; c < d;) {
        const std::int32_t stop = d - c < kChunk ? d : c + kChunk;
        __m512i lanes = _mm512_setzero_si512();
        for (; c + 32 <= stop; c += 32)
          lanes = _mm512_dpwssd_epi32(lanes, load(row + c), load(digit + c));
        if (c < stop) {
          const __mmask32 inside = (__mmask32{1} << (stop - c)) - 1;
          lanes = _mm512_dpwssd_epi32(lanes, _mm512_maskz_loadu_epi16(inside, row + c),
                                      _mm512_maskz_loadu_epi16(inside, digit + c));
          c = stop;
        }
        part += sum_signed(lanes);
      }
      total = total * 65536 + part;
    }
    out[i] = total;
  }
}

/// Differences are below 2^16: their low and high bytes are added by vpsadbw, 64 bits a lane.
std::int64_t gain16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i low_byte = _mm512_set1_epi16(255);
  __m512i low = zero, high = zero;
  std::int64_t u = 0;
  for (; u + 32 <= n; u += 32) {
    const __m512i more = _mm512_subs_epu16(load(row + u), load(best + u));
    low = _mm512_add_epi64(low, _mm512_sad_epu8(_mm512_and_si512(more, low_byte), zero));
    high = _mm512_add_epi64(high, _mm512_sad_epu8(_mm512_srli_epi16(more, 8), zero));
  }
  std::int64_t total = _mm512_reduce_add_epi64(low) + 256 * _mm512_reduce_add_epi64(high);
  for (; u < n; ++u) total += row[u] > best[u] ? row[u] - best[u] : 0;
  return total;
}

void cover16(const std::uint16_t* row, std::uint16_t* best, std::int64_t n) {
  std::int64_t u = 0;
  for (; u + 32 <= n; u += 32)
    _mm512_storeu_si512(best + u, _mm512_max_epu16(load(row + u), load(best + u)));
  for (; u < n; ++u) best[u] = row[u] > best[u] ? row[u] : best[u];
}

/// ((p0 + p4) + (p2 + p6)) + ((p1 + p5) + (p3 + p7)).
double combined(__m512d parts) {
  const __m256d four =
      _mm256_add_pd(_mm512_castpd512_pd256(parts), _mm512_extractf64x4_pd(parts, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
}

void real_dots(const double* rows, std::int64_t count, std::int64_t width, const double* x,
               double* out) {
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8, rows += 8 * width) {
    __m512d parts[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) parts[r] = _mm512_setzero_pd();
    for (std::int64_t c = 0; c < width; c += 8) {
      const __m512d value = _mm512_loadu_pd(x + c);
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r)
        parts[r] =
            _mm512_add_pd(parts[r], _mm512_mul_pd(_mm512_loadu_pd(rows + r * width + c), value));
    }
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) out[i + r] = combined(parts[r]);
  }
  for (; i < count; ++i, rows += width) {
    __m512d parts = _mm512_setzero_pd();
    for (std::int64_t c = 0; c < width; c += 8)
      parts =
          _mm512_add_pd(parts, _mm512_mul_pd(_mm512_loadu_pd(rows + c), _mm512_loadu_pd(x + c)));
    out[i] = combined(parts);
  }
}

void add_scaled(double scale, const double* x, std::int64_t count, double* y) {
  for (std::int64_t c = 0; c < count; ++c) y[c] += scale * x[c];
}

}  // namespace

const VectorOpLevel kVectorAvx512 = {"avx512", digit_dots, gain16, cover16, real_dots, add_scaled};

}  // namespace smartx
