// Which instruction sets this processor runs, and which one is used.
#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#ifdef SMARTX_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif
#ifdef SMARTX_I8MM
#include <sys/auxv.h>
#endif

#include "level_tables.hpp"
#include "smartx/level.hpp"

namespace smartx {

namespace {

std::string known_names() {
  std::string names;
  for (const Level& level : levels())
    names += (names.empty() ? "" : ", ") + std::string(level.name);
  return names;
}

const Level& default_level() {
  const char* forced = std::getenv("SMARTX_SIMD");
  if (forced == nullptr || *forced == '\0') return levels().back();
  try {
    return level_named(forced);
  } catch (const std::invalid_argument& fault) {
    throw std::invalid_argument("SMARTX_SIMD: " + std::string(fault.what()));
  }
}

#if defined(SMARTX_AMX) || defined(SMARTX_I8MM)
/// A level that nobody has seen faster yet is there only where it is asked for.
bool asked_for(const std::string& name) {
  const char* forced = std::getenv("SMARTX_SIMD");
  return forced != nullptr && name == forced;
}

/// Whether both multiply rows alike. They have panels of the same size.
bool agree(const DotLevel& one, const DotLevel& other) {
  for (const auto& [d, size] : {std::pair{1, 4096}, {63, 500}, {400, 200}}) {
    std::vector<std::int16_t> rows;
    for (int i = 0; i < one.panel * d; ++i)
      rows.push_back(static_cast<std::int16_t>(i * 31 % (2 * size + 1) - size));
    alignas(64) std::int32_t tile[2][64 * 64];
    int which = 0;
    for (const DotLevel* level : {&one, &other}) {
      std::vector<unsigned char> panel(static_cast<std::size_t>(level->panel_bytes(d)));
      level->pack(rows.data(), level->panel, d, panel.data());
      level->multiply(panel.data(), panel.data(), d, tile[which++]);
    }
    const auto count = static_cast<std::size_t>(one.panel) * static_cast<std::size_t>(one.panel);
    if (!std::equal(tile[0], tile[0] + count, tile[1])) return false;
  }
  return true;
}
#endif

#ifdef SMARTX_AMX
/// Linux lends the tile registers to a process that asks for them.
bool may_use_tiles() {
  constexpr long kAskForState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
         syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
}
#endif

}  // namespace

const std::vector<Level>& levels() {
  static const std::vector<Level> all = [] {
    std::vector<Level> found = {{"generic", &kDotGeneric, &kVectorGeneric}};
#ifdef SMARTX_X86
    // __builtin_cpu_supports also asks whether the operating system saves the wide registers.
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) found.push_back({"avx2", &kDotAvx2, &kVectorAvx2});
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
      found.push_back({"avx512", &kDotAvx512, &kVectorAvx512});
#ifdef SMARTX_AMX
      static const DotLevel amx = with_amx(kDotAvx512);
      if (asked_for("amx") && may_use_tiles() && agree(amx, kDotAvx512))
        found.push_back({"amx", &amx, &kVectorAvx512});
#endif
    }
#endif
#ifdef SMARTX_NEON
    found.push_back({"neon", &kDotNeon, &kVectorNeon});
#endif
#ifdef SMARTX_I8MM
    static const DotLevel i8mm = with_i8mm(kDotGeneric);
    if (asked_for("i8mm") && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0 && agree(i8mm, kDotGeneric))
      found.push_back({"i8mm", &i8mm, &kVectorNeon});
#endif
    return found;
  }();
  return all;
}

const Level& level_named(const std::string& name) {
  if (name.empty()) {
    static const Level& chosen = default_level();
    return chosen;
  }
  for (const Level& level : levels())
    if (name == level.name) return level;
  throw std::invalid_argument(
      "\"" + name + "\" is no instruction set that this processor runs; it runs " + known_names());
}

}  // namespace smartx
