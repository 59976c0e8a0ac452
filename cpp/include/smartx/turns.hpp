// Whose turn it is: greedy over rows of several templates, each of which keeps to its share.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/types.hpp"

namespace smartx {

/// The templates of n rows, and which of them may give the next row. After s rows template t has
/// given got_t, with its share x_t(s) = size_t * s / n:
///   floor(x_t(s)) <= got_t <= ceil(x_t(s)), at every s.
/// Of all orders of that kind none is ruled out: a template may give row s (from 0) if it is behind
/// its share, got_t * n < size_t * (s + 1), and no other one is then bound to fall a whole row
/// behind. Row k (from 1) of template t has to be among the first ceil(k * n / size_t), its due
/// time; while more rows are due by then than places are left, there is no such order. So once as
/// many are due by some time as there are places, only templates whose next row is one of them may
/// give. Some template always may (Steiner and Yeomans, 1993), and none more rows than it has.
class Turns {
 public:
  /// One template, whose turn it always is.
  Turns() : open_(1, 1) {}
  /// of: (rows,) the template of each row, below `sizes.size()`.  sizes: rows that each one has to
  /// give; rows that are in S already are not among them.
  Turns(const Item* of, const std::vector<Item>& sizes);

  /// Of the rows of a ground set that are not `first`. templates: (rows,); empty: there is one.
  static Turns among(Span<const Item> templates, Span<const Item> first);

  /// Whether there is more than one.
  bool any() const { return templates() > 1; }
  Item templates() const { return static_cast<Item>(open_.size()); }
  Item of(Item row) const { return of_ == nullptr ? 0 : of_[row]; }
  /// Rows have other numbers from now on.
  void renumber(const Item* of) { of_ = of; }

  bool may(Item t) const { return open_[t] != 0; }
  bool may_give(Item row) const { return may(of(row)); }
  /// Those whose turn came or went with the last row given.
  const std::vector<Item>& changed() const { return changed_; }
  /// Template t, which may, gives the next row.
  void give(Item t);

 private:
  /// Over D = 0 .. size - 1: how many places 0 .. D are left, less the rows due there.
  class Room {
   public:
    Room() = default;
    explicit Room(const std::vector<Offset>& steps);
    /// One more from D on.
    void raise(Offset place, Offset by);
    /// The first D with no room, or the last.
    Offset first_without() const;

   private:
    struct Node {
      Offset sum = 0, least = 0;  // of the steps below; of their running sums
    };
    static Node joined(const Node& a, const Node& b);

    Offset leaves_ = 0;        // a power of 2
    std::vector<Node> nodes_;  // node i is above nodes 2 i and 2 i + 1
  };

  bool has_released(Item t) const { return got_[t] * rows_ < sizes_[t] * (given_ + 1); }
  /// The place by which template t has to have given its next row.
  Offset due(Item t) const { return ((got_[t] + 1) * rows_ + sizes_[t] - 1) / sizes_[t] - 1; }
  void open_those_that_may();

  const Item* of_ = nullptr;
  Offset rows_ = 0, given_ = 0;
  std::vector<Offset> sizes_, got_;  // (templates,)
  Room room_;
  std::vector<char> open_;  // (templates,)
  std::vector<Item> changed_;
};

}  // namespace smartx
