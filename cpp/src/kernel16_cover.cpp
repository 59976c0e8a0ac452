#include "smartx/kernel16_cover.hpp"

#include <algorithm>
#include <cstring>

namespace smartx {

namespace {

constexpr Item kSparse = 32;  // a list has at most one column in so many: it fits into its row
constexpr Item kBeyond = 16;  // entries that list16 may write to beyond the last

std::uint32_t* list_in(std::uint16_t* values) {
  return reinterpret_cast<std::uint32_t*>(values);
}

}  // namespace

Kernel16Cover::Kernel16Cover(Weight* values, Item rows, Item columns, Offset stride, Use use,
                             const VectorOpLevel& ops)
    : values_(values),
      rows_(rows),
      columns_(columns),
      stride_(stride),
      pieces_(static_cast<Item>((columns + kPiece - 1) / kPiece)),
      use_(use),
      listed_(static_cast<std::size_t>(rows) * pieces_, kValues),
      ops_(&ops) {
}

Item Kernel16Cover::columns(Item piece) const {
  return static_cast<Item>(std::min(kPiece, columns_ - piece * kPiece));
}

Kernel16Cover::Gain Kernel16Cover::gain(Item v, const Weight* best) noexcept {
  Gain total = 0;
  for (Item p = 0; p < pieces_; ++p) total += gain_of_piece(v, p, best + p * kPiece);
  return total;
}

Kernel16Cover::Gain Kernel16Cover::gain_of_piece(Item v, Item piece, const Weight* best) noexcept {
  Weight* const own = values(v, piece);
  Item& listed = listed_[place(v, piece)];
  if (listed != kValues) return ops_->gain_of_list16(list_in(own), &listed, best);
  std::int64_t open = 0;
  const Gain total = ops_->gain16(own, best, columns(piece), &open);
  if (use_ == Use::kOnce && open <= columns(piece) / kSparse) {
    alignas(64) std::uint32_t entries[kPiece / kSparse + kBeyond];
    ops_->list16(own, best, columns(piece), entries);
    std::memcpy(own, entries, static_cast<std::size_t>(open) * sizeof(std::uint32_t));
    listed = static_cast<Item>(open);
  }
  return total;
}

void Kernel16Cover::cover(Item v, Weight* best) const noexcept {
  for (Item p = 0; p < pieces_; ++p, best += kPiece) {
    const Item listed = listed_[place(v, p)];
    if (listed == kValues) ops_->cover16(values(v, p), best, columns(p));
    const std::uint32_t* const list = list_in(values(v, p));
    for (Item i = 0; i < listed; ++i) {
      Weight& seen = best[list[i] >> 16];
      seen = std::max(seen, static_cast<Weight>(list[i] & 0xFFFF));
    }
  }
}

Offset Kernel16Cover::work(Item v) const noexcept {
  Offset total = 0;
  for (Item p = 0; p < pieces_; ++p) {
    const Item listed = listed_[place(v, p)];
    total += listed == kValues ? columns(p) / 8 : listed;
  }
  return total;
}

}  // namespace smartx
