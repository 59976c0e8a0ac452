// The inner loops by AVX-512. Compiled for AVX-512: see CMakeLists.txt.
#include <immintrin.h>

#include "vector_op_levels.hpp"

namespace smartx {
namespace {

#include "vector_ops_plain.inc"

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
std::int64_t gain16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                    std::int64_t* open) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i low_byte = _mm512_set1_epi16(255);
  __m512i low = zero, high = zero;
  std::int64_t u = 0, count = 0;
  for (; u + 32 <= n; u += 32) {
    __builtin_prefetch(row + u + 2048);
    const __m512i more = _mm512_subs_epu16(load(row + u), load(best + u));
    low = _mm512_add_epi64(low, _mm512_sad_epu8(_mm512_and_si512(more, low_byte), zero));
    high = _mm512_add_epi64(high, _mm512_sad_epu8(_mm512_srli_epi16(more, 8), zero));
    count += __builtin_popcount(_mm512_test_epi16_mask(more, more));
  }
  std::int64_t total = _mm512_reduce_add_epi64(low) + 256 * _mm512_reduce_add_epi64(high);
  for (; u < n; ++u) {
    total += row[u] > best[u] ? row[u] - best[u] : 0;
    count += row[u] > best[u];
  }
  *open = count;
  return total;
}

void list16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
            std::uint32_t* entries) {
  const __m512i step = _mm512_set1_epi32(16 << 16);
  __m512i columns =
      _mm512_slli_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), 16);
  std::int64_t u = 0;
  const auto put = [&](__m256i values, std::uint32_t more) {
    const __m512i some = _mm512_or_si512(columns, _mm512_cvtepu16_epi32(values));
    _mm512_storeu_si512(entries, _mm512_maskz_compress_epi32(static_cast<__mmask16>(more), some));
    entries += __builtin_popcount(more & 0xFFFF);
    columns = _mm512_add_epi32(columns, step);
  };
  for (; u + 32 <= n; u += 32) {
    const __m512i values = load(row + u);
    const std::uint32_t more = _mm512_cmpgt_epu16_mask(values, load(best + u));
    put(_mm512_castsi512_si256(values), more);
    put(_mm512_extracti64x4_epi64(values, 1), more >> 16);
  }
  for (; u < n; ++u)
    if (row[u] > best[u]) *entries++ = entry16(row, u);
}

std::int64_t gain_of_list16(std::uint32_t* entries, std::int32_t* count,
                            const std::uint16_t* best) {
  const __m512i low = _mm512_set1_epi32(0xFFFF);
  __m512i total = _mm512_setzero_si512();  // up to 2^16 / 16 terms below 2^16 in a lane
  std::int32_t left = 0;
  for (std::int32_t i = 0; i < *count; i += 16) {
    const auto inside =
        static_cast<__mmask16>(*count - i < 16 ? (1U << (*count - i)) - 1 : 0xFFFFU);
    const __m512i some = _mm512_maskz_loadu_epi32(inside, entries + i);
    const __m512i seen =
        _mm512_and_si512(_mm512_mask_i32gather_epi32(_mm512_setzero_si512(), inside,
                                                     _mm512_srli_epi32(some, 16), best, 2),
                         low);
    const __m512i value = _mm512_and_si512(some, low);
    const __mmask16 more = _mm512_mask_cmpgt_epi32_mask(inside, value, seen);
    total = _mm512_mask_add_epi32(total, more, total, _mm512_sub_epi32(value, seen));
    _mm512_mask_storeu_epi32(entries + left, inside, _mm512_maskz_compress_epi32(more, some));
    left += __builtin_popcount(more);
  }
  *count = left;
  return _mm512_reduce_add_epi64(
      _mm512_add_epi64(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(total)),
                       _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(total, 1))));
}

void cover16(const std::uint16_t* row, std::uint16_t* best, std::int64_t n) {
  std::int64_t u = 0;
  for (; u + 32 <= n; u += 32)
    _mm512_storeu_si512(best + u, _mm512_max_epu16(load(row + u), load(best + u)));
  for (; u < n; ++u) best[u] = row[u] > best[u] ? row[u] : best[u];
}

/// Sums halved until one is left.
float halved(__m128 four) {
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

struct Doubles {
  using Real = double;
  using Lanes = __m512d;
  static constexpr int kLanes = 8;
  static Lanes zero() { return _mm512_setzero_pd(); }
  static Lanes at(const Real* place) { return _mm512_loadu_pd(place); }
  static Lanes all(Real value) { return _mm512_set1_pd(value); }
  static void put(Real* place, Lanes values) { _mm512_storeu_pd(place, values); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm512_add_pd(sum, _mm512_mul_pd(a, b)); }
  static Real combined(Lanes parts) {
    const __m256d four =
        _mm256_add_pd(_mm512_castpd512_pd256(parts), _mm512_extractf64x4_pd(parts, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
  }
};

struct Floats {
  using Real = float;
  using Lanes = __m512;
  static constexpr int kLanes = 16;
  static Lanes zero() { return _mm512_setzero_ps(); }
  static Lanes at(const Real* place) { return _mm512_loadu_ps(place); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm512_add_ps(sum, _mm512_mul_ps(a, b)); }
  static Real combined(Lanes parts) {
    const __m256 eight =
        _mm256_add_ps(_mm512_castps512_ps256(parts),
                      _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(parts), 1)));
    return halved(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
  }
};

/// Two vectors of sums, each halved: those of `a` before those of `b` in every piece.
__m512 halved_by_8(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
}
__m512 halved_by_4(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}
__m512 halved_by_2(__m512 a, __m512 b) {
  const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
  return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                       _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}
__m512 halved_by_1(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xDD));
}

/// out[k * out_stride + r] = Floats::combined(parts[k][r]), all at once.
void combine(const __m512 (&parts)[4][4], float* out, std::int64_t out_stride) {
  __m512 of[4];  // r: one value in each of four pieces, which are the k
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r)
    of[r] =
        halved_by_4(halved_by_8(parts[0][r], parts[1][r]), halved_by_8(parts[2][r], parts[3][r]));
  const __m512 all = halved_by_1(halved_by_2(of[0], of[1]), halved_by_2(of[2], of[3]));
  _mm_storeu_ps(out, _mm512_castps512_ps128(all));
  _mm_storeu_ps(out + out_stride, _mm512_extractf32x4_ps(all, 1));
  _mm_storeu_ps(out + 2 * out_stride, _mm512_extractf32x4_ps(all, 2));
  _mm_storeu_ps(out + 3 * out_stride, _mm512_extractf32x4_ps(all, 3));
}

/// X by R products at once, so that every value loaded is used more than once.
template <class V, int X, int R>
void tile(const typename V::Real* rows, std::int64_t stride, std::int64_t width,
          const typename V::Real* x, std::int64_t x_stride, typename V::Real* out,
          std::int64_t out_stride) {
  typename V::Lanes parts[X][R];
#pragma GCC unroll 8
  for (int k = 0; k < X; ++k)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) parts[k][r] = V::zero();
  for (std::int64_t c = 0; c < width; c += V::kLanes) {
    typename V::Lanes value[X];
#pragma GCC unroll 8
    for (int k = 0; k < X; ++k) value[k] = V::at(x + k * x_stride + c);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const typename V::Lanes row = V::at(rows + r * stride + c);
#pragma GCC unroll 8
      for (int k = 0; k < X; ++k) parts[k][r] = V::more(parts[k][r], row, value[k]);
    }
  }
  if constexpr (X == 4 && R == 4 && V::kLanes == 16) {
    combine(parts, out, out_stride);
  } else {
#pragma GCC unroll 8
    for (int k = 0; k < X; ++k)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) out[k * out_stride + r] = V::combined(parts[k][r]);
  }
}

/// R rows by all x: the rows stay in the first-level cache.
template <class V, int R>
void across(const typename V::Real* rows, std::int64_t stride, std::int64_t width,
            const typename V::Real* x, std::int64_t x_count, std::int64_t x_stride,
            typename V::Real* out, std::int64_t out_stride) {
  std::int64_t k = 0;
  for (; k + 4 <= x_count; k += 4, x += 4 * x_stride, out += 4 * out_stride)
    tile<V, 4, R>(rows, stride, width, x, x_stride, out, out_stride);
  switch (x_count - k) {
    case 1:
      return tile<V, 1, R>(rows, stride, width, x, x_stride, out, out_stride);
    case 2:
      return tile<V, 2, R>(rows, stride, width, x, x_stride, out, out_stride);
    case 3:
      return tile<V, 3, R>(rows, stride, width, x, x_stride, out, out_stride);
    default:
      return;
  }
}

template <class V>
void dots(const typename V::Real* rows, std::int64_t count, std::int64_t stride, std::int64_t width,
          const typename V::Real* x, std::int64_t x_count, std::int64_t x_stride,
          typename V::Real* out, std::int64_t out_stride) {
  std::int64_t i = 0;
  if (x_count == 1) {
    for (; i + 8 <= count; i += 8)
      tile<V, 1, 8>(rows + i * stride, stride, width, x, x_stride, out + i, out_stride);
  }
  for (; i + 4 <= count; i += 4)
    across<V, 4>(rows + i * stride, stride, width, x, x_count, x_stride, out + i, out_stride);
  for (; i < count; ++i)
    across<V, 1>(rows + i * stride, stride, width, x, x_count, x_stride, out + i, out_stride);
}

#include "vector_ops_lanes.inc"

}  // namespace

const VectorOpLevel kVectorAvx512 = {"avx512",       digit_dots,     gain16,        list16,
                                     gain_of_list16, cover16,        dots<Doubles>, dots<Floats>,
                                     widen,          widen_to_float, squares,       add_rows};

}  // namespace smartx
