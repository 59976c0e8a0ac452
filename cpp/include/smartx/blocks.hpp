// Large blocks of memory for arrays that are written all over.
#pragma once

#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "smartx/types.hpp"

namespace smartx {

/// At least `bytes` of uninitialised memory, 64-byte aligned, for std::free. Large blocks ask for
/// huge pages: fewer page faults, fewer misses of the address cache. Throws std::bad_alloc.
inline void* new_block(Offset bytes) {
  constexpr Offset kHuge = Offset{2} << 20;
  const bool large = bytes >= 2 * kHuge;
  const Offset unit = large ? kHuge : 64;
  const Offset size = bytes < 1 ? unit : (bytes + unit - 1) / unit * unit;
  void* block = std::aligned_alloc(static_cast<std::size_t>(unit), static_cast<std::size_t>(size));
  if (block == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (large) madvise(block, static_cast<std::size_t>(size), MADV_HUGEPAGE);  // a wish, may fail
#endif
  return block;
}

struct FreeBlock {
  void operator()(void* block) const noexcept { std::free(block); }
};

}  // namespace smartx
