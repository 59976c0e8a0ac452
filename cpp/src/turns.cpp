#include "smartx/turns.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace smartx {

Turns::Room::Node Turns::Room::joined(const Node& a, const Node& b) {
  return {a.sum + b.sum, std::min(a.least, a.sum + b.least)};
}

Turns::Room::Room(const std::vector<Offset>& steps) {
  constexpr Offset kPlenty = std::numeric_limits<Offset>::max() / 4;
  leaves_ = 1;
  while (leaves_ < static_cast<Offset>(steps.size())) leaves_ *= 2;
  nodes_.assign(static_cast<std::size_t>(2 * leaves_), {0, kPlenty});
  for (std::size_t i = 0; i < steps.size(); ++i)
    nodes_[static_cast<std::size_t>(leaves_) + i] = {steps[i], steps[i]};
  for (Offset i = leaves_ - 1; i > 0; --i) nodes_[i] = joined(nodes_[2 * i], nodes_[2 * i + 1]);
}

void Turns::Room::raise(Offset place, Offset by) {
  Offset i = leaves_ + place;
  nodes_[i].sum += by;
  nodes_[i].least += by;
  for (i /= 2; i > 0; i /= 2) nodes_[i] = joined(nodes_[2 * i], nodes_[2 * i + 1]);
}

Offset Turns::Room::first_without() const {
  Offset i = 1, before = 0;
  while (i < leaves_) {
    i *= 2;
    if (before + nodes_[i].least > 0) before += nodes_[i++].sum;
  }
  return i - leaves_;
}

Turns::Turns(const Item* of, const std::vector<Item>& sizes)
    : of_(of),
      sizes_(sizes.begin(), sizes.end()),
      got_(sizes.size(), 0),
      open_(std::max<std::size_t>(sizes.size(), 1), sizes.size() <= 1) {
  if (!any()) return;
  rows_ = std::accumulate(sizes_.begin(), sizes_.end(), Offset{0});
  if (rows_ == 0) return;
  std::vector<Offset> steps(static_cast<std::size_t>(rows_), 1);  // a place more, less what is due
  for (const Offset size : sizes_)
    for (Offset k = 1; k <= size; ++k) --steps[(k * rows_ + size - 1) / size - 1];
  room_ = Room(steps);
  open_those_that_may();
}

Turns Turns::among(Span<const Item> templates, Span<const Item> first) {
  if (templates.size == 0) return Turns();
  const Item most = *std::max_element(templates.begin(), templates.end());
  std::vector<Item> sizes(static_cast<std::size_t>(most) + 1, 0);
  for (const Item t : templates) ++sizes[t];
  for (const Item row : first) --sizes[templates[row]];
  return {templates.data, sizes};
}

void Turns::give(Item t) {
  if (!any()) return;
  // Place `given_` is gone, so that until the row was due there is one place less and no row less.
  constexpr Offset kGone = Offset{1} << 40;
  const Offset by = due(t);
  room_.raise(given_, kGone);
  if (given_ + 1 < rows_) {
    room_.raise(given_ + 1, -kGone - (by > given_));
    if (by > given_) room_.raise(by, 1);
  }
  ++got_[t];
  ++given_;
  if (given_ < rows_) open_those_that_may();
}

void Turns::open_those_that_may() {
  changed_.clear();
  const Offset last = room_.first_without();
  for (Item t = 0; t < templates(); ++t) {
    const bool may = has_released(t) && due(t) <= last;
    if (may == (open_[t] != 0)) continue;
    open_[t] = may;
    changed_.push_back(t);
  }
}

}  // namespace smartx
