#include "smartx/equal_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "smartx/rng.hpp"

namespace smartx {

namespace {

constexpr Item kGlance = 32;  // values of a row that tell nearly all rows apart: a cache line

std::uint64_t hash_of(const std::int16_t* values, Item count) noexcept {
  std::uint64_t hash = static_cast<std::uint64_t>(count);
  Item i = 0;
  for (; i + 4 <= count; i += 4) {
    std::uint64_t four;
    std::memcpy(&four, values + i, sizeof four);
    hash = (hash ^ four) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 32;
  }
  for (; i < count; ++i) hash = (hash ^ static_cast<std::uint16_t>(values[i])) * 0x9E3779B97F4A7C15ULL;
  return mixed(hash);
}

/// An open table of rows by hash.
class Table {
 public:
  explicit Table(Item n) {
    while (size_ < 2 * static_cast<std::size_t>(n)) size_ *= 2;
    rows_.assign(size_, -1);
  }
  /// The row that is in the table already and `same` as this one; else -1, and this one is put in.
  template <class Same>
  Item find_or_put(std::uint64_t hash, Item row, const Same& same) {
    std::size_t place = hash & (size_ - 1);
    for (; rows_[place] >= 0; place = (place + 1) & (size_ - 1))
      if (same(rows_[place])) return rows_[place];
    rows_[place] = row;
    return -1;
  }

 private:
  std::size_t size_ = 16;
  std::vector<Item> rows_;
};

}  // namespace
