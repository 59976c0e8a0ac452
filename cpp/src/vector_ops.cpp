#include "smartx/vector_ops.hpp"

namespace smartx {

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
