// The inner loops by AVX2. Compiled for AVX2: see CMakeLists.txt.
#include <immintrin.h>

#include "vector_op_levels.hpp"

namespace smartx {
namespace {

#include "vector_ops_lists.inc"
#include "vector_ops_plain.inc"

__m256i load(const void* place) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(place));
}

std::int64_t sum64(__m256i values) {
  const __m128i two =
      _mm_add_epi64(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
}

/// The eight signed 32-bit lanes, added in 64 bits.
std::int64_t sum_signed(__m256i lanes) {
  return sum64(_mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes)),
                                _mm256_cvtepi32_epi64(_mm256_extracti128_si256(lanes, 1))));
}

void digit_dots(const std::int16_t* rows, const std::int32_t* items, std::int64_t count,
                std::int32_t d, const std::int16_t* digits, std::int32_t digit_count,
                std::int64_t* out) {
  constexpr std::int32_t kChunk = 1024;  // 2^12 * sqrt(128 values a lane) * 2^15 < 2^31
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int16_t* row = rows + std::int64_t{items[i]} * d;
    std::int64_t total = 0;
    for (std::int32_t k = digit_count - 1; k >= 0; --k) {
      const std::int16_t* digit = digits + std::int64_t{k} * d;
      std::int64_t part = 0;
      std::int32_t c = 0;
      while (c + 16 <= d) {
        const std::int32_t stop = d - c < kChunk ? d : c + kChunk;
        __m256i lanes = _mm256_setzero_si256();
        for (; c + 16 <= stop; c += 16)
          lanes = _mm256_add_epi32(lanes, _mm256_madd_epi16(load(row + c), load(digit + c)));
        part += sum_signed(lanes);
      }
      for (; c < d; ++c) part += std::int32_t{row[c]} * std::int32_t{digit[c]};
      total = total * 65536 + part;
    }
    out[i] = total;
  }
}

/// Differences are below 2^16: their low and high bytes are added by vpsadbw, 64 bits a lane.
std::int64_t gain16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                    std::int64_t* open) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i low_byte = _mm256_set1_epi16(255);
  __m256i low = zero, high = zero;
  std::int64_t u = 0, closed = 0;  // closed: twice the number of terms that are 0
  for (; u + 16 <= n; u += 16) {
    __builtin_prefetch(row + u + 2048);
    const __m256i more = _mm256_subs_epu16(load(row + u), load(best + u));
    low = _mm256_add_epi64(low, _mm256_sad_epu8(_mm256_and_si256(more, low_byte), zero));
    high = _mm256_add_epi64(high, _mm256_sad_epu8(_mm256_srli_epi16(more, 8), zero));
    closed += __builtin_popcount(_mm256_movemask_epi8(_mm256_cmpeq_epi16(more, zero)));
  }
  std::int64_t total = sum64(low) + 256 * sum64(high);
  std::int64_t count = u - closed / 2;
  for (; u < n; ++u) {
    total += row[u] > best[u] ? row[u] - best[u] : 0;
    count += row[u] > best[u];
  }
  *open = count;
  return total;
}

void list16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
            std::uint32_t* entries) {
  std::int64_t u = 0;
  for (; u + 16 <= n; u += 16) {
    const __m256i more = _mm256_subs_epu16(load(row + u), load(best + u));
    const __m256i none = _mm256_cmpeq_epi16(more, _mm256_setzero_si256());
    std::uint32_t bits = ~static_cast<std::uint32_t>(_mm256_movemask_epi8(none)) & 0x55555555U;
    for (; bits != 0; bits &= bits - 1) *entries++ = entry16(row, u + __builtin_ctz(bits) / 2);
  }
  for (; u < n; ++u)
    if (row[u] > best[u]) *entries++ = entry16(row, u);
}

void cover16(const std::uint16_t* row, std::uint16_t* best, std::int64_t n) {
  std::int64_t u = 0;
  for (; u + 16 <= n; u += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(best + u),
                        _mm256_max_epu16(load(row + u), load(best + u)));
  for (; u < n; ++u) best[u] = row[u] > best[u] ? row[u] : best[u];
}

/// Two registers of lanes, as wide as one of AVX-512. Sums are halved until one is left.
struct Doubles {
  using Real = double;
  using Lanes = __m256d;
  static constexpr int kLanes = 4;
  static Lanes zero() { return _mm256_setzero_pd(); }
  static Lanes at(const Real* place) { return _mm256_loadu_pd(place); }
  static Lanes all(Real value) { return _mm256_set1_pd(value); }
  static void put(Real* place, Lanes values) { _mm256_storeu_pd(place, values); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm256_add_pd(sum, _mm256_mul_pd(a, b)); }
  static Real combined(Lanes first, Lanes second) {
    const __m256d four = _mm256_add_pd(first, second);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
  }
};

struct Floats {
  using Real = float;
  using Lanes = __m256;
  static constexpr int kLanes = 8;
  static Lanes zero() { return _mm256_setzero_ps(); }
  static Lanes at(const Real* place) { return _mm256_loadu_ps(place); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm256_add_ps(sum, _mm256_mul_ps(a, b)); }
  static Real combined(Lanes first, Lanes second) {
    const __m256 eight = _mm256_add_ps(first, second);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

/// X by R products at once, so that every value loaded is used more than once.
template <class V, int X, int R>
void tile(const typename V::Real* rows, std::int64_t stride, std::int64_t width,
          const typename V::Real* x, std::int64_t x_stride, typename V::Real* out,
          std::int64_t out_stride) {
  typename V::Lanes first[X][R], second[X][R];
#pragma GCC unroll 4
  for (int k = 0; k < X; ++k)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) first[k][r] = second[k][r] = V::zero();
  for (std::int64_t c = 0; c < width; c += 2 * V::kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < X; ++k) {
      const typename V::Lanes x0 = V::at(x + k * x_stride + c);
      const typename V::Lanes x1 = V::at(x + k * x_stride + c + V::kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const typename V::Real* row = rows + r * stride + c;
        first[k][r] = V::more(first[k][r], V::at(row), x0);
        second[k][r] = V::more(second[k][r], V::at(row + V::kLanes), x1);
      }
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < X; ++k)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) out[k * out_stride + r] = V::combined(first[k][r], second[k][r]);
}

template <class V>
void dots(const typename V::Real* rows, std::int64_t count, std::int64_t stride, std::int64_t width,
          const typename V::Real* x, std::int64_t x_count, std::int64_t x_stride,
          typename V::Real* out, std::int64_t out_stride) {
  std::int64_t k = 0;
  for (; k + 2 <= x_count; k += 2) {
    const typename V::Real* some = x + k * x_stride;
    std::int64_t i = 0;
    for (; i + 2 <= count; i += 2)
      tile<V, 2, 2>(rows + i * stride, stride, width, some, x_stride, out + k * out_stride + i,
                    out_stride);
    for (; i < count; ++i)
      tile<V, 2, 1>(rows + i * stride, stride, width, some, x_stride, out + k * out_stride + i,
                    out_stride);
  }
  for (; k < x_count; ++k) {
    const typename V::Real* one = x + k * x_stride;
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4)
      tile<V, 1, 4>(rows + i * stride, stride, width, one, x_stride, out + k * out_stride + i,
                    out_stride);
    for (; i < count; ++i)
      tile<V, 1, 1>(rows + i * stride, stride, width, one, x_stride, out + k * out_stride + i,
                    out_stride);
  }
}

#include "vector_ops_lanes.inc"

}  // namespace

const VectorOpLevel kVectorAvx2 = {"avx2",         digit_dots,     gain16,        list16,
                                   gain_of_list16, cover16,        dots<Doubles>, dots<Floats>,
                                   widen,          widen_to_float, squares,       add_rows};

}  // namespace smartx
