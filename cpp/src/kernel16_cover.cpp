#include "smartx/kernel16_cover.hpp"

#include <algorithm>
#include <cstring>

namespace smartx {

namespace {

constexpr Item kSparse = 32;  // a list has at most one column in so many: it fits into its row
constexpr Item kBeyond = 16;  // entries that list16 may write to beyond the last

}  // namespace

Kernel16Cover::Kernel16Cover(Weight* values, Item rows, Item columns, Offset stride, Use use,
                             const VectorOpLevel& ops)
    : values_(values),
      rows_(rows),
      columns_(columns),
      stride_(stride),
      pieces_(static_cast<Item>((columns + kPiece - 1) / kPiece)),
      ops_(&ops) {
  if (use == Use::kOnce) listed_.assign(static_cast<std::size_t>(rows) * pieces_, kRow);
}

template <class Body>
void Kernel16Cover::each_piece(Item v, const Body& body) const noexcept {
  for (Item p = 0; p < pieces_; ++p) {
    const Offset first = p * kPiece;
    Weight* const values = values_ + v * stride_ + first;
    body(Piece{first, static_cast<Item>(std::min(kPiece, columns_ - first)), values,
               reinterpret_cast<std::uint32_t*>(values),
               listed_.empty() ? nullptr : &listed_[static_cast<std::size_t>(v) * pieces_ + p]});
  }
}

Kernel16Cover::Gain Kernel16Cover::gain(Item v, const Weight* best) const noexcept {
  Gain total = 0;
  each_piece(v, [&](const Piece& piece) { total += gain(piece, best + piece.first); });
  return total;
}

Kernel16Cover::Gain Kernel16Cover::gain(const Piece& piece, const Weight* best) const noexcept {
  if (piece.is_list()) return ops_->gain_of_list16(piece.list, piece.listed, best);
  std::int64_t open = 0;
  const Gain total = ops_->gain16(piece.values, best, piece.columns, &open);
  if (piece.listed != nullptr && open <= piece.columns / kSparse) {
    alignas(64) std::uint32_t entries[kPiece / kSparse + kBeyond];
    ops_->list16(piece.values, best, piece.columns, entries);
    std::memcpy(piece.values, entries, static_cast<std::size_t>(open) * sizeof(std::uint32_t));
    *piece.listed = static_cast<Item>(open);
  }
  return total;
}

void Kernel16Cover::cover(Item v, Weight* best) const noexcept {
  each_piece(v, [&](const Piece& piece) {
    Weight* const own = best + piece.first;
    if (!piece.is_list()) return ops_->cover16(piece.values, own, piece.columns);
    for (Item i = 0; i < *piece.listed; ++i) {
      const auto value = static_cast<Weight>(piece.list[i] & 0xFFFF);
      Weight& seen = own[piece.list[i] >> 16];
      seen = std::max(seen, value);
    }
  });
}

Offset Kernel16Cover::work(Item v) const noexcept {
  Offset total = 0;
  each_piece(
      v, [&](const Piece& piece) { total += piece.is_list() ? *piece.listed : piece.columns / 8; });
  return total;
}

}  // namespace smartx
