// AVX-512 with VNNI: tiles by vpdpwssd. Compiled for AVX-512: see CMakeLists.txt.
#include <immintrin.h>

#include "dot_loops.hpp"
#include "level_tables.hpp"
#include "vector_op_loops.hpp"

namespace smartx {
namespace {

struct Ints {
  using Lanes = __m512i;
  static constexpr int kLanes = 16;
  static Lanes zero() { return _mm512_setzero_si512(); }
  static Lanes all(std::int32_t value) { return _mm512_set1_epi32(value); }
  static Lanes at(const void* place) { return _mm512_loadu_si512(place); }
  static Lanes kept(const void* place) { return at(place); }
  static void put(void* place, Lanes values) { _mm512_storeu_si512(place, values); }
  static std::uint32_t above(Lanes a, Lanes b) { return _mm512_cmpgt_epi32_mask(a, b); }

  static Lanes add_products(Lanes sum, Lanes a, Lanes b) { return _mm512_dpwssd_epi32(sum, a, b); }
  static Lanes end_of(const std::int16_t* row, std::int32_t d, std::int32_t n) {
    return _mm512_maskz_loadu_epi16((__mmask32{1} << n) - 1, row + d - n);
  }
  template <int R>
  static void totals(const Lanes (&sums)[R], std::int32_t* out) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) out[r] = _mm512_reduce_add_epi32(sums[r]);
  }
  static std::int64_t sum64(Lanes values) { return _mm512_reduce_add_epi64(values); }
  static Lanes add_widened(Lanes sums, Lanes values, int bits) {
    const Lanes wide =
        _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(values)),
                         _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(values, 1)));
    return _mm512_add_epi64(sums, _mm512_slli_epi64(wide, static_cast<unsigned>(bits)));
  }

  static Lanes above16(Lanes a, Lanes b) { return _mm512_subs_epu16(a, b); }
  static Lanes larger16(Lanes a, Lanes b) { return _mm512_max_epu16(a, b); }
  static Lanes add_low_bytes(Lanes sum, Lanes values) {
    const Lanes low = _mm512_and_si512(values, _mm512_set1_epi16(255));
    return _mm512_add_epi64(sum, _mm512_sad_epu8(low, zero()));
  }
  static Lanes add_high_bytes(Lanes sum, Lanes values) {
    return _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_srli_epi16(values, 8), zero()));
  }
  static constexpr int kZeroBits = 1;
  static std::uint32_t zeros16(Lanes values) { return _mm512_testn_epi16_mask(values, values); }
};

struct Doubles : Combining<Doubles> {
  using Real = double;
  using Lanes = __m512d;
  static constexpr int kLanes = 8, kParts = 1, kX = 4, kR = 4;
  static Lanes zero() { return _mm512_setzero_pd(); }
  static Lanes kept(const Real* place) { return _mm512_loadu_pd(place); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm512_add_pd(sum, _mm512_mul_pd(a, b)); }
  static Lanes positive_sum(const double* a, const float* b) {
    const Lanes sizes = _mm512_abs_pd(_mm512_cvtps_pd(_mm256_loadu_ps(b)));
    return _mm512_max_pd(_mm512_add_pd(_mm512_loadu_pd(a), sizes), zero());
  }
  static Real combined(const Lanes (&parts)[1]) {
    const __m256d four =
        _mm256_add_pd(_mm512_castpd512_pd256(parts[0]), _mm512_extractf64x4_pd(parts[0], 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
  }
};

struct Floats : Combining<Floats> {
  using Real = float;
  using Lanes = __m512;
  static constexpr int kLanes = 16, kParts = 1, kX = 4, kR = 4;
  static Lanes zero() { return _mm512_setzero_ps(); }
  static Lanes kept(const Real* place) { return _mm512_loadu_ps(place); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm512_add_ps(sum, _mm512_mul_ps(a, b)); }
  static Real combined(const Lanes (&parts)[1]) {
    const __m512d halves = _mm512_castps_pd(parts[0]);
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(parts[0]),
                                       _mm256_castpd_ps(_mm512_extractf64x4_pd(halves, 1)));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

  using Combining<Floats>::combine;
  /// All at once.
  static void combine(const Lanes (&sums)[4][4][1], Real* out, std::int64_t out_stride) {
    Lanes of[4];  // r: one value in each of four pieces, which are the k
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r)
      of[r] = halved_by_4(halved_by_8(sums[0][r][0], sums[1][r][0]),
                          halved_by_8(sums[2][r][0], sums[3][r][0]));
    const Lanes all = halved_by_1(halved_by_2(of[0], of[1]), halved_by_2(of[2], of[3]));
    _mm_storeu_ps(out, _mm512_castps512_ps128(all));
    _mm_storeu_ps(out + out_stride, _mm512_extractf32x4_ps(all, 1));
    _mm_storeu_ps(out + 2 * out_stride, _mm512_extractf32x4_ps(all, 2));
    _mm_storeu_ps(out + 3 * out_stride, _mm512_extractf32x4_ps(all, 3));
  }

 private:
  /// Two vectors of sums, each halved: those of `a` before those of `b` in every piece.
  static Lanes halved_by_8(Lanes a, Lanes b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  }
  static Lanes halved_by_4(Lanes a, Lanes b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
  }
  static Lanes halved_by_2(Lanes a, Lanes b) {
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  }
  static Lanes halved_by_1(Lanes a, Lanes b) {
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xDD));
  }
};

struct Avx512 : LaneDots<Avx512, Ints>, LaneOps<Avx512, Ints, Doubles, Floats> {
  static constexpr int kPanel = 48, kRows = 8, kVectors = 3;

  /// Written out: with the intrinsic, g++ 12 stores every sum to the stack in every step, which
  /// costs 60 % of the speed.
  static void step(__m512i (&sums)[kVectors], const std::int32_t* a, const __m512i (&y)[kVectors]) {
    const __m512i x = _mm512_set1_epi32(*a);
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v)
      asm("vpdpwssd %2, %1, %0" : "+v"(sums[v]) : "v"(x), "v"(y[v]));
  }

  static std::int32_t keep_above(std::int32_t* values, std::int32_t* items, std::int32_t count,
                                 std::int32_t bar) {
    const __m512i floor = _mm512_set1_epi32(bar);
    std::int32_t end = 0;
    for (std::int32_t i = 0; i < count; i += 16) {
      const __mmask16 inside = first(count - i);
      const __m512i value = _mm512_maskz_loadu_epi32(inside, values + i);
      const __m512i item = _mm512_maskz_loadu_epi32(inside, items + i);
      const __mmask16 kept = _mm512_mask_cmpgt_epi32_mask(inside, value, floor);
      const std::int32_t some = __builtin_popcount(kept);
      // Compressed in a register: compressing into memory is very slow on some processors.
      _mm512_mask_storeu_epi32(values + end, first(some), _mm512_maskz_compress_epi32(kept, value));
      _mm512_mask_storeu_epi32(items + end, first(some), _mm512_maskz_compress_epi32(kept, item));
      end += some;
    }
    return end;
  }

  static void list16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                     std::uint32_t* entries) {
    const __m512i step = _mm512_set1_epi32(16 << 16);
    __m512i columns = _mm512_slli_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), 16);
    std::int64_t u = 0;
    const auto put = [&](__m256i values, std::uint32_t more) {
      const __m512i some = _mm512_or_si512(columns, _mm512_cvtepu16_epi32(values));
      _mm512_storeu_si512(entries, _mm512_maskz_compress_epi32(static_cast<__mmask16>(more), some));
      entries += __builtin_popcount(more & 0xFFFF);
      columns = _mm512_add_epi32(columns, step);
    };
    for (; u + 32 <= n; u += 32) {
      const __m512i values = Ints::at(row + u);
      const std::uint32_t more = _mm512_cmpgt_epu16_mask(values, Ints::at(best + u));
      put(_mm512_castsi512_si256(values), more);
      put(_mm512_extracti64x4_epi64(values, 1), more >> 16);
    }
    for (; u < n; ++u)
      if (row[u] > best[u]) *entries++ = entry16(row, u);
  }

  static std::int64_t gain_of_list16(std::uint32_t* entries, std::int32_t* count,
                                     const std::uint16_t* best) {
    const __m512i low = _mm512_set1_epi32(0xFFFF);
    __m512i total = _mm512_setzero_si512();  // up to 2^16 / 16 terms below 2^16 in a lane
    std::int32_t left = 0;
    for (std::int32_t i = 0; i < *count; i += 16) {
      const __mmask16 inside = first(*count - i);
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
    return Ints::sum64(
        _mm512_add_epi64(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(total)),
                         _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(total, 1))));
  }

 private:
  /// The first `count` lanes, all where there are fewer.
  static __mmask16 first(std::int32_t count) {
    return static_cast<__mmask16>(count < 16 ? (1U << count) - 1 : 0xFFFFU);
  }
};

}  // namespace

const DotLevel kDotAvx512 = dot_table<Avx512>();
const VectorOpLevel kVectorAvx512 = vector_op_table<Avx512>();

}  // namespace smartx
