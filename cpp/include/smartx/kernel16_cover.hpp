// The 16-bit kernel as facility location asks it: rows of which little counts any more become
// lists.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/kernel.hpp"
#include "smartx/types.hpp"
#include "smartx/vector_ops.hpp"

namespace smartx {

/// A 16-bit kernel: exact integer gains in units of 256 Q12 similarity units. Its rows can be fewer
/// than those that count, its columns.
/// What S covers as well as row v does never counts for v again, as S only grows: after t additions
/// about one term in t is left. So once few are, a row becomes the list of its open entries, in the
/// place of its values, and a list loses what has closed whenever it is asked. Nothing is rounded:
/// the terms left out are 0.
class Kernel16Cover {
 public:
  using Weight = std::uint16_t;
  using Gain = std::int64_t;
  enum class Use { kOnce, kAgain };    // once: for one growing S, which uses the values up
  static constexpr Item kPadding = 1;  // weights behind the last one that can be read
  static constexpr double kUnit = 256.0 / (kScale * kScale);  // of a gain, as a cosine

  /// Row v: the `columns` values from v * stride on; stride is a multiple of 2.
  Kernel16Cover(Weight* values, Item rows, Item columns, Offset stride, Use use,
                const VectorOpLevel& ops);
  Kernel16Cover(DenseKernel16& source, Use use, const VectorOpLevel& ops)
      : Kernel16Cover(source.values(), source.rows(), source.columns(), source.stride(), use, ops) {
  }

  Item size() const { return rows_; }
  Item covered() const { return columns_; }
  /// Where the values are used up, `best` must not be lower anywhere than it was before.
  Gain gain(Item v, const Weight* best) noexcept;
  void cover(Item v, Weight* best) const noexcept;
  /// Operations of one gain, in the time of which 8 values are done, or an entry of a list.
  Offset work(Item v) const noexcept;

 private:
  static constexpr Item kValues = -1;
  static constexpr Offset kPiece = 1 << 16;

  /// A row is in pieces of as many columns as 16 bits tell apart: values or, in their place, a list
  /// of entries (see VectorOpLevel::list16).
  Weight* values(Item v, Item piece) const { return values_ + v * stride_ + piece * kPiece; }
  Item columns(Item piece) const;
  std::size_t place(Item v, Item piece) const {
    return static_cast<std::size_t>(v) * pieces_ + piece;
  }
  Gain gain_of_piece(Item v, Item piece, const Weight* best) noexcept;

  Weight* values_;
  Item rows_, columns_;
  Offset stride_;
  Item pieces_;  // of a row
  Use use_;
  std::vector<Item> listed_;  // (rows, pieces) entries of a list, kValues where there are values
  const VectorOpLevel* ops_;
};

}  // namespace smartx
