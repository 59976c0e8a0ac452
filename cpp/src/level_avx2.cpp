// AVX2: tiles by its 16-bit multiply-add. Compiled for AVX2: see CMakeLists.txt.
#include <immintrin.h>

#include "dot_loops.hpp"
#include "level_tables.hpp"
#include "vector_op_loops.hpp"

namespace smartx {
namespace {

/// The same, and g++ must hold it in a register: else it loads a value again for each use.
template <class Vector>
Vector in_register(Vector values) {
  asm("" : "+x"(values));
  return values;
}

struct Ints {
  using Lanes = __m256i;
  static constexpr int kLanes = 8;
  static Lanes zero() { return _mm256_setzero_si256(); }
  static Lanes all(std::int32_t value) { return _mm256_set1_epi32(value); }
  static Lanes at(const void* place) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(place));
  }
  static Lanes kept(const void* place) { return in_register(at(place)); }
  static void put(void* place, Lanes values) {
    _mm256_storeu_si256(static_cast<__m256i*>(place), values);
  }
  static std::uint32_t above(Lanes a, Lanes b) {
    return static_cast<std::uint32_t>(
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b))));
  }

  static Lanes add_products(Lanes sum, Lanes a, Lanes b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  }
  /// The last n < 16 of the d values of a row, at places that only n and d decide; 0 elsewhere.
  static Lanes end_of(const std::int16_t* row, std::int32_t d, std::int32_t n) {
    static constexpr std::int16_t kLast[32] = {0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
                                               0,  0,  0,  0,  0,  -1, -1, -1, -1, -1, -1,
                                               -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    if (d >= 16) return _mm256_and_si256(at(row + d - 16), at(kLast + n));
    alignas(32) std::int16_t values[16] = {};
    for (std::int32_t c = 0; c < n; ++c) values[c] = row[c];
    return at(values);
  }
  static void totals(const Lanes (&sums)[8], std::int32_t* out) {
    const Lanes a = four(sums), b = four(sums + 4);
    put(out, _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                              _mm256_permute2x128_si256(a, b, 0x31)));
  }
  static void totals(const Lanes (&sums)[1], std::int32_t* out) {
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(sums[0]), _mm256_extracti128_si256(sums[0], 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    *out = _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
  }
  static std::int64_t sum64(Lanes values) {
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
    return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
  }
  /// Lanes of 64 bits: those of 32, two and two, times 2^bits.
  static Lanes add_widened(Lanes sums, Lanes values, int bits) {
    const Lanes wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(values)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(values, 1)));
    return _mm256_add_epi64(sums, _mm256_slli_epi64(wide, bits));
  }

  static Lanes above16(Lanes a, Lanes b) { return _mm256_subs_epu16(a, b); }
  static Lanes larger16(Lanes a, Lanes b) { return _mm256_max_epu16(a, b); }
  static Lanes add_low_bytes(Lanes sum, Lanes values) {
    const Lanes low = _mm256_and_si256(values, _mm256_set1_epi16(255));
    return _mm256_add_epi64(sum, _mm256_sad_epu8(low, zero()));
  }
  static Lanes add_high_bytes(Lanes sum, Lanes values) {
    return _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_srli_epi16(values, 8), zero()));
  }
  static constexpr int kZeroBits = 2;
  static std::uint32_t zeros16(Lanes values) {
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(values, zero())));
  }

 private:
  /// Twice the totals of four sums: those of their low halves, and those of their high halves.
  static Lanes four(const Lanes* sums) {
    return _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]),
                             _mm256_hadd_epi32(sums[2], sums[3]));
  }
};

struct Doubles : Combining<Doubles> {
  using Real = double;
  using Lanes = __m256d;
  static constexpr int kLanes = 4, kParts = 2, kX = 2, kR = 3;
  static Lanes zero() { return _mm256_setzero_pd(); }
  static Lanes kept(const Real* place) { return in_register(_mm256_loadu_pd(place)); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm256_add_pd(sum, _mm256_mul_pd(a, b)); }
  static Lanes positive_sum(const double* a, const float* b) {
    const Lanes sizes = _mm256_andnot_pd(_mm256_set1_pd(-0.0), _mm256_cvtps_pd(_mm_loadu_ps(b)));
    return _mm256_max_pd(_mm256_add_pd(_mm256_loadu_pd(a), sizes), zero());
  }
  static Real combined(const Lanes (&parts)[2]) {
    const __m256d four = _mm256_add_pd(parts[0], parts[1]);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
  }
};

struct Floats : Combining<Floats> {
  using Real = float;
  using Lanes = __m256;
  static constexpr int kLanes = 8, kParts = 2, kX = 2, kR = 3;
  static Lanes zero() { return _mm256_setzero_ps(); }
  static Lanes kept(const Real* place) { return in_register(_mm256_loadu_ps(place)); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return _mm256_add_ps(sum, _mm256_mul_ps(a, b)); }
  static Real combined(const Lanes (&parts)[2]) {
    const __m256 eight = _mm256_add_ps(parts[0], parts[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

struct Avx2 : LaneDots<Avx2, Ints>, LaneOps<Avx2, Ints, Doubles, Floats> {
  static constexpr int kPanel = 48, kRows = 6, kVectors = 2;

  /// Written out: with intrinsics, g++ 12 runs out of registers and stores sums in every step.
  static void step(__m256i (&sums)[kVectors], const std::int32_t* a, const __m256i (&y)[kVectors]) {
    __m256i x, product;
    asm("vpbroadcastd %4, %2\n\tvpmaddwd %5, %2, %3\n\tvpaddd %3, %0, %0\n\t"
        "vpmaddwd %6, %2, %3\n\tvpaddd %3, %1, %1"
        : "+x"(sums[0]), "+x"(sums[1]), "=&x"(x), "=&x"(product)
        : "m"(*a), "x"(y[0]), "x"(y[1]));
  }

  static void list16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                     std::uint32_t* entries) {
    std::int64_t u = 0;
    for (; u + 16 <= n; u += 16) {
      const Ints::Lanes more = Ints::above16(Ints::at(row + u), Ints::at(best + u));
      std::uint32_t bits = ~Ints::zeros16(more) & 0x55555555U;
      for (; bits != 0; bits &= bits - 1) *entries++ = entry16(row, u + __builtin_ctz(bits) / 2);
    }
    for (; u < n; ++u)
      if (row[u] > best[u]) *entries++ = entry16(row, u);
  }
};

}  // namespace

const DotLevel kDotAvx2 = dot_table<Avx2>();
const VectorOpLevel kVectorAvx2 = vector_op_table<Avx2>();

}  // namespace smartx
