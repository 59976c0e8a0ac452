// Exact sums of rows and products with them, over all rows or some.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/dot.hpp"
#include "smartx/vector_ops.hpp"

namespace smartx {

constexpr Offset kRowsAtOnce = 512;

/// Calls body(block, first, last) for blocks of kRowsAtOnce of `count` places.
template <class Body>
void for_each_block(std::size_t count, const Context& context, const Body& body) {
  const auto all = static_cast<Offset>(count);
  const Offset blocks = (all + kRowsAtOnce - 1) / kRowsAtOnce;
  parallel_for(blocks, context, [&](Offset b) noexcept {
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

/// sum_rows, block after block.
inline std::vector<std::int64_t> sum_all(RowsView rows, const Context& context) {
  constexpr Offset kBlock = 4096;
  const Offset blocks = (rows.n + kBlock - 1) / kBlock;
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(blocks));
  parallel_for(blocks, context, [&](Offset b) noexcept {
    const auto first = static_cast<Item>(b * kBlock);
    const auto count = static_cast<Item>(std::min<Offset>(kBlock, rows.n - first));
    sums[static_cast<std::size_t>(b)] = sum_rows({rows.row(first), count, rows.d});
  });
  std::vector<std::int64_t> total(static_cast<std::size_t>(rows.d));
  for (const auto& sum : sums)
    for (Item c = 0; c < rows.d; ++c) total[c] += sum[c];
  return total;
}

inline std::vector<Item> all_items(Item n) {
  std::vector<Item> items(static_cast<std::size_t>(n));
  std::iota(items.begin(), items.end(), 0);
  return items;
}

}  // namespace smartx
