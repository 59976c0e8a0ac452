#include "smartx/vector_ops.hpp"

#include <cstring>

#include "smartx/dot.hpp"
#include "vector_op_levels.hpp"

namespace smartx {

const VectorOpLevel& vector_ops_of(const DotLevel& level) {
#ifdef SMARTX_X86
  if (std::strcmp(level.name, kVectorAvx512.name) == 0) return kVectorAvx512;
  if (std::strcmp(level.name, kVectorAvx2.name) == 0) return kVectorAvx2;
#endif
  static_cast<void>(level);
  return kVectorGeneric;
}

const VectorOpLevel& vector_ops() {
  static const VectorOpLevel& chosen = vector_ops_of(dot_level());
  return chosen;
}

Digits::Digits(const std::vector<std::int64_t>& sum)
    : d_(static_cast<Item>(sum.size())), count_(0) {
  std::vector<std::int64_t> left = sum;
  bool more = true;
  while (more) {
    more = false;
    for (std::int64_t& value : left) {
      const auto digit = static_cast<std::int16_t>(static_cast<std::uint16_t>(value));
      values_.push_back(digit);
      value = (value - digit) / 65536;  // exact
      more = more || value != 0;
    }
    ++count_;
  }
}

}  // namespace smartx
