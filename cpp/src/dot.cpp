#include "smartx/dot.hpp"

#include <algorithm>

#include "smartx/context.hpp"

namespace smartx {

namespace {

constexpr Offset kPairsAtOnce = 256;

template <class Sum>
std::int64_t dot_with_sum(const std::int16_t* row, const Sum* sum, Item d) {
  std::int64_t total = 0;
  for (Item c = 0; c < d; ++c) total += std::int64_t{row[c]} * std::int64_t{sum[c]};
  return total;
}

Item panels_of(Item n, Item panel) {
  return static_cast<Item>((Offset{n} + panel - 1) / panel);
}

}  // namespace

std::int32_t similarity(const std::int16_t* a, const std::int16_t* b, Item d) {
  std::int32_t total = 0;
  for (Item c = 0; c < d; ++c) total += std::int32_t{a[c]} * std::int32_t{b[c]};
  return total;
}

std::int64_t dot(const std::int16_t* row, const std::int64_t* sum, Item d) {
  return dot_with_sum(row, sum, d);
}

std::int64_t dot(const std::int16_t* row, const std::int32_t* sum, Item d) {
  return dot_with_sum(row, sum, d);
}

PackedRows::PackedRows(SomeRows rows, const Context& context)
    : level_(&context.dot()),
      n_(rows.n),
      d_(rows.d),
      panels_(panels_of(rows.n, level_->panel)),
      bytes_(level_->panel_bytes(rows.d)) {
  data_.reset(static_cast<unsigned char*>(new_block(bytes_ * panels_)));
  const Offset together = rows.items == nullptr ? 0 : Offset{level_->panel} * d_;  // of a panel
  std::vector<std::int16_t> gathered(static_cast<std::size_t>(together * context.threads()));
  parallel_for(panels_, context, [&](Offset p, int hand) noexcept {
    const auto first = static_cast<Item>(p * level_->panel);
    const Item count = n_ - first < level_->panel ? n_ - first : level_->panel;
    const std::int16_t* from = rows.row(first);
    if (together > 0) {
      std::int16_t* const own = gathered.data() + hand * together;
      for (Item i = 0; i < count; ++i) std::copy_n(rows.row(first + i), d_, own + Offset{i} * d_);
      from = own;
    }
    level_->pack(from, count, d_, data_.get() + p * bytes_);
  });
}

std::vector<std::int32_t> similarities(RowsView a, RowsView b, const Context& context) {
  const PackedRows down(a, context), across(b, context);
  std::vector<std::int32_t> out(static_cast<std::size_t>(a.n) * static_cast<std::size_t>(b.n));
  const DotLevel& level = context.dot();
  const Item panel = level.panel;
  parallel_for(down.panels(), context, [&](Offset p) noexcept {
    alignas(64) std::int32_t tile[64 * 64];
    for (Item q = 0; q < across.panels(); ++q) {
      level.multiply(down.panel(static_cast<Item>(p)), across.panel(q), a.d, tile);
      for (Offset r = 0; r < panel && p * panel + r < a.n; ++r)
        for (Offset c = 0; c < panel && Offset{q} * panel + c < b.n; ++c)
          out[static_cast<std::size_t>((p * panel + r) * b.n + Offset{q} * panel + c)] =
              tile[r * panel + c];
    }
  });
  return out;
}

void pair_similarities(RowsView rows, Span<const Item> i, Span<const Item> j, std::int32_t* out,
                       const Context& context) {
  parallel_for(
      i.size, context,
      [&](Offset p) noexcept { out[p] = similarity(rows.row(i[p]), rows.row(j[p]), rows.d); },
      kPairsAtOnce);
}

}  // namespace smartx
