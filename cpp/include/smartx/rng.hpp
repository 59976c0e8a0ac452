// Counter-based draws: a draw is a function of (seed, stream, index), of nothing drawn before it.
// The numbers are those of python/smartx/draws.py.
#pragma once

#include <cstdint>

namespace smartx {

/// One round of SplitMix64 (Steele, Lea, Flood 2014), used as a hash.
inline std::uint64_t mixed(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

/// The draws of one numbered stream of a seed.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint64_t stream) : key_(mixed(mixed(seed) ^ stream)) {}

  /// Uniform over all 64-bit numbers.
  std::uint64_t at(std::uint64_t index) const {
    return mixed(key_ + index * 0x9E3779B97F4A7C15ULL);
  }

  /// Uniform over 0..range-1, up to a bias of range / 2^64.
  std::int64_t below(std::int64_t range, std::uint64_t index) const {
    return static_cast<std::int64_t>(at(index) % static_cast<std::uint64_t>(range));
  }

 private:
  std::uint64_t key_;
};

}  // namespace smartx
