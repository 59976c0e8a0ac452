// Exact k nearest neighbours of every row: tiles of similarities stream through lists of the best.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/dot.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// The neighbours of n rows, k for each: those of row i at i * k .. i * k + k - 1.
struct NeighboursView {
  Item n = 0;
  Item k = 0;
  const Item* items = nullptr;
  const std::int32_t* similarities = nullptr;
};

struct Neighbours {
  Item n = 0;
  Item k = 0;
  std::vector<Item> items;
  std::vector<std::int32_t> similarities;

  NeighboursView view() const { return {n, k, items.data(), similarities.data()}; }
};

/// The k rows most similar to each row, itself excluded, best first, ties to the lower row;
/// n - 1 of them where k >= n. The answer does not depend on threads, level or blocking.
/// Work: n^2 d / 2 multiply-adds for n distinct rows. Memory at its peak, in bytes: the answer
/// 8 n k, the lists 8 n min(2 k + 32, n) + 20 n, the packed rows 2 n d, and for each thread
/// 3.3 MiB; so about three times the answer, and never n x n unless k is.
Neighbours exact_neighbours(RowsView rows, Item k, const Context& context);

/// The similarity of every row with itself, (n,).
std::vector<std::int32_t> own_similarities(RowsView rows, const Context& context);

}  // namespace smartx
