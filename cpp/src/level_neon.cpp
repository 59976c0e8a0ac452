// NEON, which every aarch64 processor has: tiles by its 16-bit multiply-add of a vector with one
// value. Its results were tested under an emulator; nobody has timed it on such a processor.
#include <arm_neon.h>

#include "dot_loops.hpp"
#include "level_tables.hpp"
#include "vector_op_loops.hpp"

namespace smartx {
namespace {

/// 4 of 32 bits or 8 of 16.
struct Ints {
  using Lanes = int32x4_t;
  static constexpr int kLanes = 4;
  static Lanes zero() { return vdupq_n_s32(0); }
  static Lanes all(std::int32_t value) { return vdupq_n_s32(value); }
  static Lanes at(const void* place) {
    return vreinterpretq_s32_u8(vld1q_u8(static_cast<const std::uint8_t*>(place)));
  }
  static Lanes kept(const void* place) { return at(place); }
  static void put(void* place, Lanes values) {
    vst1q_u8(static_cast<std::uint8_t*>(place), vreinterpretq_u8_s32(values));
  }
  static std::uint32_t above(Lanes a, Lanes b) {
    static constexpr std::uint32_t kBits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcgtq_s32(a, b), vld1q_u32(kBits)));
  }

  /// A lane takes two products, of values that lie 4 apart.
  static Lanes add_products(Lanes sum, Lanes a, Lanes b) {
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(x), vget_low_s16(y)), x, y);
  }
  /// The last n < 8 of the d values of a row, at places that only n and d decide; 0 elsewhere.
  static Lanes end_of(const std::int16_t* row, std::int32_t d, std::int32_t n) {
    static constexpr std::int16_t kLast[16] = {0,  0,  0,  0,  0,  0,  0,  0,
                                               -1, -1, -1, -1, -1, -1, -1, -1};
    if (d >= 8) return vandq_s32(at(row + d - 8), at(kLast + n));
    std::int16_t values[8] = {};
    for (std::int32_t c = 0; c < n; ++c) values[c] = row[c];
    return at(values);
  }
  template <int R>
  static void totals(const Lanes (&sums)[R], std::int32_t* out) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) out[r] = vaddvq_s32(sums[r]);
  }
  static std::int64_t sum64(Lanes values) { return vaddvq_s64(vreinterpretq_s64_s32(values)); }
  /// Lanes of 64 bits: those of 32, two and two, times 2^bits.
  static Lanes add_widened(Lanes sums, Lanes values, int bits) {
    const int64x2_t more = vshlq_s64(vpaddlq_s32(values), vdupq_n_s64(bits));
    return vreinterpretq_s32_s64(vaddq_s64(vreinterpretq_s64_s32(sums), more));
  }

  static Lanes larger16(Lanes a, Lanes b) {
    return vreinterpretq_s32_u16(vmaxq_u16(vreinterpretq_u16_s32(a), vreinterpretq_u16_s32(b)));
  }
};

struct Doubles : Combining<Doubles> {
  using Real = double;
  using Lanes = float64x2_t;
  static constexpr int kLanes = 2, kParts = 4, kX = 2, kR = 2;
  static Lanes zero() { return vdupq_n_f64(0.0); }
  static Lanes kept(const Real* place) { return vld1q_f64(place); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return vaddq_f64(sum, vmulq_f64(a, b)); }
  static Lanes positive_sum(const double* a, const float* b) {
    const Lanes sizes = vabsq_f64(vcvt_f64_f32(vld1_f32(b)));
    return vmaxnmq_f64(vaddq_f64(vld1q_f64(a), sizes), zero());
  }
  static Real combined(const Lanes (&parts)[4]) {
    const Lanes two = vaddq_f64(vaddq_f64(parts[0], parts[2]), vaddq_f64(parts[1], parts[3]));
    return vgetq_lane_f64(two, 0) + vgetq_lane_f64(two, 1);
  }
};

struct Floats : Combining<Floats> {
  using Real = float;
  using Lanes = float32x4_t;
  static constexpr int kLanes = 4, kParts = 4, kX = 2, kR = 2;
  static Lanes zero() { return vdupq_n_f32(0.0F); }
  static Lanes kept(const Real* place) { return vld1q_f32(place); }
  static Lanes more(Lanes sum, Lanes a, Lanes b) { return vaddq_f32(sum, vmulq_f32(a, b)); }
  static Real combined(const Lanes (&parts)[4]) {
    const Lanes four = vaddq_f32(vaddq_f32(parts[0], parts[2]), vaddq_f32(parts[1], parts[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
};

/// A panel is its columns, one value of every row in each.
struct Neon : LaneDots<Neon, Ints>, LaneOps<Neon, Ints, Doubles, Floats> {
  static constexpr int kPanel = 32;

  static std::int64_t panel_bytes(std::int32_t d) { return std::int64_t{d} * kPanel * 2; }

  static void pack(const std::int16_t* rows, std::int32_t count, std::int32_t d, void* out) {
    auto* line = static_cast<std::int16_t*>(out);
    for (std::int32_t c = 0; c < d; ++c, line += kPanel)
      for (std::int32_t r = 0; r < kPanel; ++r)
        line[r] = r < count ? rows[std::int64_t{r} * d + c] : std::int16_t{0};
  }

  static void multiply(const void* a, const void* b, std::int32_t d, std::int32_t* tile) {
    constexpr std::int32_t kChunk = 256;  // values multiplied before the next: keeps b in L1
    const auto* down = static_cast<const std::int16_t*>(a);
    const auto* across = static_cast<const std::int16_t*>(b);
    for (std::int32_t q = 0; q < d; q += kChunk) {
      const std::int32_t some = d - q < kChunk ? d - q : kChunk;
      const std::int64_t place = std::int64_t{q} * kPanel;
      for (int r = 0; r < kPanel; r += 8)
        for (int c = 0; c < kPanel; c += 8)
          eight_by_eight(down + place + r, across + place + c, some, q == 0, tile + r * kPanel + c);
    }
  }

  /// Differences are added in 32 bits, and counted in 16, for as long as those cannot overflow.
  static std::int64_t gain16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                             std::int64_t* open) {
    constexpr std::int64_t kBlock = 8 * 32767;  // 2 * 32767 * 65535 < 2^32
    std::int64_t total = 0, count = 0, u = 0;
    while (u + 8 <= n) {
      const std::int64_t stop = n - u < kBlock ? n : u + kBlock;
      uint32x4_t sums = vdupq_n_u32(0);
      uint16x8_t counts = vdupq_n_u16(0);
      for (; u + 8 <= stop; u += 8) {
        const uint16x8_t more = vqsubq_u16(vld1q_u16(row + u), vld1q_u16(best + u));
        sums = vpadalq_u16(sums, more);
        counts = vsubq_u16(counts, vtstq_u16(more, more));
      }
      total += static_cast<std::int64_t>(vaddlvq_u32(sums));
      count += vaddlvq_u16(counts);
    }
    for (; u < n; ++u) {
      total += row[u] > best[u] ? row[u] - best[u] : 0;
      count += row[u] > best[u];
    }
    *open = count;
    return total;
  }

  static void list16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                     std::uint32_t* entries) {
    std::int64_t u = 0;
    for (; u + 8 <= n; u += 8) {
      const uint8x8_t larger = vmovn_u16(vcgtq_u16(vld1q_u16(row + u), vld1q_u16(best + u)));
      std::uint64_t bits = vget_lane_u64(vreinterpret_u64_u8(larger), 0) & 0x0101010101010101U;
      for (; bits != 0; bits &= bits - 1) *entries++ = entry16(row, u + __builtin_ctzll(bits) / 8);
    }
    for (; u < n; ++u)
      if (row[u] > best[u]) *entries++ = entry16(row, u);
  }

 private:
  static void eight_by_eight(const std::int16_t* a, const std::int16_t* b, std::int32_t steps,
                             bool first, std::int32_t* tile) {
    int32x4_t sums[8][2];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v)
        sums[r][v] = first ? vdupq_n_s32(0) : vld1q_s32(tile + r * kPanel + 4 * v);
    for (std::int32_t q = 0; q < steps; ++q, a += kPanel, b += kPanel) {
      const int16x8_t x = vld1q_s16(a), y = vld1q_s16(b);
      add_row<0>(sums, x, y);
      add_row<1>(sums, x, y);
      add_row<2>(sums, x, y);
      add_row<3>(sums, x, y);
      add_row<4>(sums, x, y);
      add_row<5>(sums, x, y);
      add_row<6>(sums, x, y);
      add_row<7>(sums, x, y);
    }
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) vst1q_s32(tile + r * kPanel + 4 * v, sums[r][v]);
  }

  /// Value r of x times all of y; the instruction takes r as a constant.
  template <int r>
  static void add_row(int32x4_t (&sums)[8][2], int16x8_t x, int16x8_t y) {
    sums[r][0] = vmlal_laneq_s16(sums[r][0], vget_low_s16(y), x, r);
    sums[r][1] = vmlal_high_laneq_s16(sums[r][1], y, x, r);
  }
};

}  // namespace

const DotLevel kDotNeon = dot_table<Neon>();
const VectorOpLevel kVectorNeon = vector_op_table<Neon>();

}  // namespace smartx
