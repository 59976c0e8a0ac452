// The upper triangle of all pairs of panels, in blocks that stay in cache.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/dot.hpp"

namespace smartx {

/// Room for the largest tile.
struct alignas(64) Tile {
  std::int32_t values[64 * 64];
};

/// How many panels make a block that stays in the second-level cache.
inline Item panels_in_cache(Offset panel_bytes) {
  constexpr Offset kBytes = 448 * 1024;
  return static_cast<Item>(std::clamp(kBytes / panel_bytes, Offset{1}, Offset{64}));
}
inline Item panels_in_cache(const PackedRows& rows) {
  return panels_in_cache(rows.level().panel_bytes(rows.dimensions()));
}

/// Calls body(a, b, tile), or body(a, b, tile, hand), for every pair of panels a <= b, each once,
/// in no promised order, on all threads. The body, as that of parallel_for, must not throw.
template <class Body>
void for_each_tile(const PackedRows& rows, const Context& context, const Body& body) {
  constexpr int kPairsAThread = 8;  // where there are so many panels: the last one is waited for
  Item block = panels_in_cache(rows);
  const auto pairs_of = [&](Offset of) {
    const Offset blocks = (rows.panels() + of - 1) / of;
    return blocks * (blocks + 1) / 2;
  };
  while (context.threads() > 1 && block > 1 && pairs_of(block) < kPairsAThread * context.threads())
    --block;
  const Item blocks = (rows.panels() + block - 1) / block;
  std::vector<std::pair<Item, Item>> pairs;
  for (Item i = 0; i < blocks; ++i)
    for (Item j = i; j < blocks; ++j) pairs.emplace_back(i, j);
  parallel_for(static_cast<Offset>(pairs.size()), context, [&](Offset p, int hand) noexcept {
    Tile tile;
    const auto [i, j] = pairs[static_cast<std::size_t>(p)];
    const Item last_b = std::min((j + 1) * block, rows.panels());
    for (Item b = j * block; b < last_b; ++b) {
      const Item last_a = std::min((i + 1) * block, b + 1);
      for (Item a = i * block; a < last_a; ++a) {
        rows.multiply(a, b, tile.values);
        if constexpr (std::is_invocable_v<const Body&, Item, Item, const std::int32_t*, int>) {
          body(a, b, tile.values, hand);
        } else {
          body(a, b, tile.values);
        }
      }
    }
  });
}

}  // namespace smartx
