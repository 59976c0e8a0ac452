// The few words that every part of the core shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace smartx {

/// Row number in a ground set. A ground set has fewer than 2^31 rows.
using Item = std::int32_t;
/// Position in an array that may be longer than 2^31.
using Offset = std::int64_t;

/// A view of `size` adjacent values that somebody else owns.
template <class T>
struct Span {
  T* data = nullptr;
  Offset size = 0;

  T& operator[](Offset i) const { return data[i]; }
  T* begin() const { return data; }
  T* end() const { return data + size; }
};

/// What greedy chose, in the order it chose it, in the units of its set function.
template <class Gain>
struct Selection {
  std::vector<Item> items;
  std::vector<Gain> gains;  // gains[i]: marginal gain of items[i] when it was added
  Offset evaluations = 0;   // calls of gain(): what the work is proportional to
};

}  // namespace smartx
