// aarch64 with I8MM: tiles by smmla, which multiplies two rows of 8 values by two of 8 bits each;
// what is asked of tiles as the generic level does it. Compiled for I8MM, where the compiler can:
// see CMakeLists.txt. Its results were tested under an emulator; nobody has timed it.
#include <arm_neon.h>

#include "level_tables.hpp"
#include "plane_loops.hpp"

namespace smartx {
namespace {

struct Pairs {
  static constexpr int kPanel = 16, kDepth = 8, kSides = 1;

  static std::int32_t on_left(std::int32_t r, std::int32_t c) { return r * 8 + c; }
  static std::int32_t on_right(std::int32_t r, std::int32_t c) { return on_left(r, c); }
  static void begin() {}
  static void end() {}

  static void multiply(const std::int8_t* left, const std::int8_t* right, std::int32_t steps,
                       std::int32_t* sums) {
    for (int r = 0; r < kPanel; r += 8)
      for (int c = 0; c < kPanel; c += 8)
        eight_by_eight(left + 8 * r, right + 8 * c, steps, sums + r * kPanel + c);
  }

 private:
  static void eight_by_eight(const std::int8_t* left, const std::int8_t* right, std::int32_t steps,
                             std::int32_t* out) {
    int32x4_t sums[4][4];  // each of two rows by two
#pragma GCC unroll 4
    for (auto& row : sums)
#pragma GCC unroll 4
      for (auto& sum : row) sum = vdupq_n_s32(0);
    for (std::int32_t k = 0; k < steps; ++k, left += kPanel * kDepth, right += kPanel * kDepth) {
      int8x16_t x[4], y[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) x[i] = vld1q_s8(left + 16 * i);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) y[i] = vld1q_s8(right + 16 * i);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) sums[i][j] = vmmlaq_s32(sums[i][j], x[i], y[j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        vst1_s32(out + 2 * i * kPanel + 2 * j, vget_low_s32(sums[i][j]));
        vst1_s32(out + (2 * i + 1) * kPanel + 2 * j, vget_high_s32(sums[i][j]));
      }
  }
};

}  // namespace

DotLevel with_i8mm(DotLevel generic) {
  return with_planes<Pairs>(generic);
}

}  // namespace smartx
