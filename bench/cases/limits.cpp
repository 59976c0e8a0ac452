// What one core can do at most: multiply-adds a second from registers, bytes a second from memory.
// g++ -O3 -std=c++17 limits.cpp -o limits && ./limits     Prints one line of JSON.
#include <immintrin.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

// CPU seconds: other work on the machine counts less than on a clock on the wall.
double now() {
  timespec at;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) + 1e-9 * static_cast<double>(at.tv_nsec);
}

double best_of_3(double (*measure)()) {
  double best = 0;
  for (int run = 0; run < 3; ++run) {
    const double rate = measure();
    if (rate > best) best = rate;
  }
  return best;
}

constexpr int kSteps = 20'000'000;
volatile std::int32_t sink;

// 12 independent sums, so that neither latency nor loads stand in the way.
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define SUM512(i) __m512i s##i = _mm512_set1_epi32(i);
#define SUM256(i) __m256i s##i = _mm256_set1_epi32(i);
#define SUMF(i) __m512 s##i = _mm512_set1_ps(i);
#define WORDS(i) asm volatile("vpdpwssd %1, %1, %0" : "+v"(s##i) : "v"(x));
#define BYTES(i) asm volatile("vpdpbusd %1, %1, %0" : "+v"(s##i) : "v"(x));
#define FLOATS(i) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(s##i) : "v"(x));
#define MADD(i)                                           \
  asm volatile("vpmaddwd %1, %1, %0" : "=x"(t) : "x"(x)); \
  asm volatile("vpaddd %1, %0, %0" : "+x"(s##i) : "x"(t));
#define KEEP512(i) sink = sink + _mm512_reduce_add_epi32(s##i);
#define KEEP256(i) sink = sink + _mm256_extract_epi32(s##i, 0);
#define KEEPF(i) sink = sink + static_cast<std::int32_t>(_mm512_reduce_add_ps(s##i));

// Operations (a multiplication or an addition) a second, in thousands of millions.
double rate(double products, double seconds) {
  return 2e-9 * products * 12 * kSteps / seconds;
}

__attribute__((target("avx512f,avx512vnni"))) double words512() {
  EACH(SUM512)
  const __m512i x = _mm512_set1_epi16(1);
  const double start = now();
  for (int step = 0; step < kSteps; ++step) {
    EACH(WORDS)
  }
  const double seconds = now() - start;
  EACH(KEEP512)
  return rate(32, seconds);
}

__attribute__((target("avx512f,avx512vnni"))) double bytes512() {
  EACH(SUM512)
  const __m512i x = _mm512_set1_epi8(1);
  const double start = now();
  for (int step = 0; step < kSteps; ++step) {
    EACH(BYTES)
  }
  const double seconds = now() - start;
  EACH(KEEP512)
  return rate(64, seconds);
}

__attribute__((target("avx512f"))) double floats512() {
  EACH(SUMF)
  const __m512 x = _mm512_set1_ps(1e-9F);
  const double start = now();
  for (int step = 0; step < kSteps; ++step) {
    EACH(FLOATS)
  }
  const double seconds = now() - start;
  EACH(KEEPF)
  return rate(16, seconds);
}

__attribute__((target("avx2"))) double words256() {
  EACH(SUM256)
  const __m256i x = _mm256_set1_epi16(1);
  __m256i t;
  const double start = now();
  for (int step = 0; step < kSteps; ++step) {
    EACH(MADD)
  }
  const double seconds = now() - start;
  EACH(KEEP256)
  return rate(16, seconds);
}

__attribute__((target("avx2"))) double read_gigabytes() {
  const std::vector<std::int64_t> values(std::size_t{1} << 27, 1);  // 1 GiB
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    const double start = now();
    for (std::size_t i = 0; i < values.size(); i += 16) {
      const auto* at = reinterpret_cast<const __m256i*>(values.data() + i);
      a = _mm256_add_epi64(a, _mm256_loadu_si256(at));
      b = _mm256_add_epi64(b, _mm256_loadu_si256(at + 1));
      c = _mm256_add_epi64(c, _mm256_loadu_si256(at + 2));
      d = _mm256_add_epi64(d, _mm256_loadu_si256(at + 3));
    }
    const double seconds = now() - start;
    const __m256i all = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
    sink = sink + _mm256_extract_epi32(all, 0);
    const double rate = 8e-9 * static_cast<double>(values.size()) / seconds;
    if (rate > best) best = rate;
  }
  return best;
}

}  // namespace

int main() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2");
  const bool vnni = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
  std::printf("{\"int16 AVX2\": %.1f, \"read\": %.2f", avx2 ? best_of_3(words256) : 0,
              avx2 ? read_gigabytes() : 0);
  if (vnni)
    std::printf(", \"int16 AVX-512\": %.1f, \"int8 AVX-512\": %.1f, \"float32 AVX-512\": %.1f",
                best_of_3(words512), best_of_3(bytes512), best_of_3(floats512));
  std::printf("}\n");
}
