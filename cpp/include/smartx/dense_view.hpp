#pragma once

#include "smartx/types.hpp"

namespace smartx {

/// A dense n x n matrix that somebody else owns. Row v lists what v covers.
template <class T>
struct DenseView {
  const T* data = nullptr;
  Item n = 0;

  Item size() const { return n; }
  const T* row(Item v) const { return data + static_cast<Offset>(v) * n; }
};

}  // namespace smartx
