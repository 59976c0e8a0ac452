// AMX: tiles by 8-bit products of its tile registers, all else as AVX-512 does it. Compiled for
// both, where the compiler can: see CMakeLists.txt. Written without a processor that has AMX: what
// stands around the six instructions is tested with plain C++ in their place
// (cpp/tests/level_tests.cpp), and dispatch.cpp takes this level only where it is asked for and
// agrees with AVX-512.
#include <immintrin.h>

#include "level_tables.hpp"
#include "plane_loops.hpp"

namespace smartx {
namespace {

/// Operand of ldtilecfg: registers of 16 rows of 64 bytes.
struct alignas(64) Shape {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16};
};
constexpr Shape kShape;

/// Registers 0 to 2: sums; 3 to 5: the left; 6: the right.
struct Registers {
  static void begin() { _tile_loadconfig(&kShape); }
  static void end() { _tile_release(); }
  static void zero() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
  }
  static void add_product(const std::int8_t* left, const std::int8_t* right) {
    _tile_loadd(6, right, 64);
    _tile_loadd(3, left, 64);
    _tile_dpbssd(0, 3, 6);
    _tile_loadd(4, left + 1024, 64);
    _tile_dpbssd(1, 4, 6);
    _tile_loadd(5, left + 2048, 64);
    _tile_dpbssd(2, 5, 6);
  }
  static void store(std::int32_t* sums) {
    _tile_stored(0, sums, 48 * 4);
    _tile_stored(1, sums + 16 * 48, 48 * 4);
    _tile_stored(2, sums + 32 * 48, 48 * 4);
  }
};

}  // namespace

DotLevel with_amx(DotLevel avx512) {
  return with_planes<TilePlanes<Registers>>(avx512);
}

}  // namespace smartx
