#include "smartx/log_det_gram.hpp"

#include <algorithm>

#include "smartx/blocks.hpp"
#include "tiles.hpp"

namespace smartx {

GramEntries::GramEntries(SomeRows rows, const Context& context, Item budget)
    : rows_(rows),
      context_(context),
      few_(rows.n / 10),
      prepared_(budget > few_ ? few_ : 0),
      norms_(static_cast<std::size_t>(rows.n)) {
  const Offset bytes = Offset{rows.n} * rows.n * static_cast<Offset>(sizeof(std::int32_t));
  values_.reset(static_cast<std::int32_t*>(new_block(bytes)), FreeBlock{});
  parallel_for(
      rows.n, context,
      [&](Offset i) noexcept {
        norms_[i] = static_cast<std::int32_t>(norm2(rows_.row(static_cast<Item>(i)), rows_.d));
      },
      64);
}

void GramEntries::prepare(Item i) {
  if (prepared_ > few_) return;
  if (++prepared_ > few_) return fill();
  parallel_for(
      rows_.n, context_,
      [&](Offset j) noexcept {
        context_.dot().row_dots(rows_.row(i), rows_.row(static_cast<Item>(j)), 1, rows_.d,
                                row(i) + j);
      },
      64);
}

void GramEntries::fill() {
  const PackedRows packed(rows_, context_);
  const Offset panel = packed.level().panel, n = rows_.n;
  for_each_tile(packed, context_, [&](Item a, Item b, const std::int32_t* tile) noexcept {
    const Offset first_a = a * panel, last_a = std::min(first_a + panel, n);
    const Offset first_b = b * panel, last_b = std::min(first_b + panel, n);
    for (Offset i = first_a; i < last_a; ++i)
      for (Offset j = first_b; j < last_b; ++j)
        values_[i * n + j] = tile[(i - first_a) * panel + j - first_b];
    for (Offset j = first_b; a != b && j < last_b; ++j)
      for (Offset i = first_a; i < last_a; ++i)
        values_[j * n + i] = tile[(i - first_a) * panel + j - first_b];
  });
}

}  // namespace smartx
