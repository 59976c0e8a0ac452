// Loops over threads: the only file that names OpenMP.
#pragma once

#include <omp.h>

#include <atomic>

#include "smartx/types.hpp"

namespace smartx {

/// Calls body(i) for i in 0..n-1 on `threads` threads, each i once, in no promised order, though
/// the i of one thread ascend: a body writes only to slots that belong to its i. The body must not
/// throw (an exception that leaves an OpenMP region ends the process). Chunks of `grain` indices
/// are handed out as threads become free. The calling thread polls `cancel` between chunks; throws
/// Cancelled after the region.
template <class Body>
void parallel_for(Offset n, int threads, const Cancel& cancel, const Body& body, Offset grain = 1) {
  static_assert(noexcept(body(Offset{0})), "a parallel body must be noexcept");
  const Offset chunks = (n + grain - 1) / grain;
  std::atomic<bool> stop{false};
#pragma omp parallel for schedule(monotonic : dynamic, 1) num_threads(threads) if (threads > 1)
  for (Offset chunk = 0; chunk < chunks; ++chunk) {
    if (stop.load(std::memory_order_relaxed)) continue;
    const Offset end = (chunk + 1) * grain < n ? (chunk + 1) * grain : n;
    for (Offset i = chunk * grain; i < end; ++i) body(i);
    if (omp_get_thread_num() == 0 && cancel.requested())
      stop.store(true, std::memory_order_relaxed);
  }
  if (stop.load()) throw Cancelled();
}

/// Index of the running thread inside a parallel_for body, 0 outside: for per-thread scratch space.
inline int thread_index() {
  return omp_get_thread_num();
}

}  // namespace smartx
