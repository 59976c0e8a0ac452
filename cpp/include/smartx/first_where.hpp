// The first of many that has a fault, looked for on all threads.
#pragma once

#include <atomic>

#include "smartx/context.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// value = min(value, other), whoever else does the same.
template <class T>
void lower_to(std::atomic<T>& value, T other) noexcept {
  T now = value.load(std::memory_order_relaxed);
  while (other < now && !value.compare_exchange_weak(now, other, std::memory_order_relaxed)) {
  }
}

/// The lowest i in 0..n-1 for which holds(i); n where there is none. `grain` of them are asked
/// together.
template <class Holds>
Offset first_where(Offset n, const Context& context, const Holds& holds, Offset grain = 4096) {
  std::atomic<Offset> first{n};
  parallel_for(
      n, context,
      [&](Offset i) noexcept {
        if (holds(i)) lower_to(first, i);
      },
      grain);
  return first;
}

}  // namespace smartx
