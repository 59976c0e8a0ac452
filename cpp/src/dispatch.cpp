// Which instruction sets this processor runs, and which one is used.
#include <cstdlib>
#include <stdexcept>

#include "dot_levels.hpp"
#include "smartx/dot.hpp"

namespace smartx {

namespace {

std::string known_names() {
  std::string names;
  for (const DotLevel* level : dot_levels())
    names += (names.empty() ? "" : ", ") + std::string(level->name);
  return names;
}

const DotLevel& default_level() {
  const char* forced = std::getenv("SMARTX_SIMD");
  if (forced == nullptr || *forced == '\0') return *dot_levels().back();
  try {
    return dot_level(forced);
  } catch (const std::invalid_argument& fault) {
    throw std::invalid_argument("SMARTX_SIMD: " + std::string(fault.what()));
  }
}

}  // namespace

const std::vector<const DotLevel*>& dot_levels() {
  static const std::vector<const DotLevel*> levels = [] {
    std::vector<const DotLevel*> found = {&kDotGeneric};
#ifdef SMARTX_X86
    // __builtin_cpu_supports also asks whether the operating system saves the wide registers.
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) found.push_back(&kDotAvx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
      found.push_back(&kDotAvx512);
#endif
    return found;
  }();
  return levels;
}

const DotLevel& dot_level(const std::string& name) {
  if (name.empty()) {
    static const DotLevel& chosen = default_level();
    return chosen;
  }
  for (const DotLevel* level : dot_levels())
    if (name == level->name) return *level;
  throw std::invalid_argument(
      "\"" + name + "\" is no instruction set that this processor runs; it runs " + known_names());
}

}  // namespace smartx
