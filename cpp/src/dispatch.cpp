// Which instruction sets this processor runs, and which one is used.
#include <cstdlib>
#include <stdexcept>

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

}  // namespace

const std::vector<Level>& levels() {
  static const std::vector<Level> all = [] {
    std::vector<Level> found = {{"generic", &kDotGeneric, &kVectorGeneric}};
#ifdef SMARTX_X86
    // __builtin_cpu_supports also asks whether the operating system saves the wide registers.
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) found.push_back({"avx2", &kDotAvx2, &kVectorAvx2});
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
      found.push_back({"avx512", &kDotAvx512, &kVectorAvx512});
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
