// Passes over many rows in blocks, and their products with a sum of rows.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/vector_ops.hpp"

namespace smartx {

constexpr Offset kRowsAtOnce = 512;

inline std::size_t blocks_of(std::size_t count) {
  return (count + kRowsAtOnce - 1) / kRowsAtOnce;
}

/// Calls body(block, first, last) for blocks of kRowsAtOnce of `count` places.
template <class Body>
void for_each_block(std::size_t count, const Context& context, const Body& body) {
  const auto all = static_cast<Offset>(count);
  parallel_for(static_cast<Offset>(blocks_of(count)), context, [&](Offset b) noexcept {
    body(b, b * kRowsAtOnce, std::min((b + 1) * kRowsAtOnce, all));
  });
}

/// out[i] = rows[items[i]] . sum, exact.
inline void dots_with(RowsView rows, const std::vector<std::int64_t>& sum,
                      const std::vector<Item>& items, std::int64_t* out, const Context& context) {
  const Digits digits(sum);
  for_each_block(items.size(), context, [&](Offset, Offset first, Offset last) noexcept {
    digits.dots(context.ops(), rows.data, items.data() + first, last - first, out + first);
  });
}

inline std::vector<Item> all_items(Item n) {
  std::vector<Item> items(static_cast<std::size_t>(n));
  std::iota(items.begin(), items.end(), 0);
  return items;
}

}  // namespace smartx
