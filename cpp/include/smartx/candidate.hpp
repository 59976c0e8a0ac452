// Who is ahead in a round of greedy, and who can still be.
#pragma once

#include <cmath>
#include <type_traits>

#include "smartx/types.hpp"

namespace smartx {

/// Whether (gain, item) is chosen before (other, other_item).
template <class Gain>
bool beats(Gain gain, Item item, Gain other, Item other_item) {
  return gain > other || (gain == other && item < other_item);
}

template <class Gain>
struct Candidate {
  Gain gain;
  Item item = -1;  // -1: nobody yet

  void challenge(Gain new_gain, Item new_item) {
    if (item < 0 || beats(new_gain, new_item, gain, item)) *this = {new_gain, new_item};
  }
};

/// An old gain as an upper bound. `key` is that gain less what gains had risen by then, so keys
/// can be compared whenever they were made, and key + risen() bounds the gain now.
template <class Gain>
struct Bound {
  Gain key;
  Item item;
};

/// The order of heaps of bounds.
struct LosesTo {
  template <class Gain>
  bool operator()(const Bound<Gain>& a, const Bound<Gain>& b) const {
    return beats(b.key, b.item, a.key, a.item);
  }
};

/// The gain that a bound allows now. Where gains can rise, a few units in the last place are added,
/// since the key was rounded.
template <class Gain>
Gain allowed(Gain key, Gain risen) {
  if constexpr (std::is_integral_v<Gain>) {
    return key;
  } else {
    return risen == 0.0 ? key : key + risen + (std::abs(key) + risen) * 0x1p-48;
  }
}

}  // namespace smartx
