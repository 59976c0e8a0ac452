// The inner loops of the set functions, by the best instruction set of this processor.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/types.hpp"
#include "smartx/vector_op_level.hpp"

namespace smartx {

/// A sum of rows in base 2^16, digits -2^15 .. 2^15 - 1, lowest first: what digit_dots multiplies.
class Digits {
 public:
  explicit Digits(const std::vector<std::int64_t>& sum);

  /// out[i] = rows[items[i]] . sum, exact.
  void dots(const VectorOpLevel& ops, const std::int16_t* rows, const Item* items, Offset count,
            std::int64_t* out) const {
    ops.digit_dots(rows, items, count, d_, values_.data(), count_, out);
  }

 private:
  Item d_;
  std::int32_t count_;
  std::vector<std::int16_t> values_;
};

}  // namespace smartx
