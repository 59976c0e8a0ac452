#include "smartx/cut_limit.hpp"

#include <cmath>

namespace smartx {

namespace {

constexpr double kLongest = 4096.0;  // of a row

}  // namespace

void Outsiders::join(const Outsiders& other) noexcept {
  for (int k = 0; k < kPlaces; ++k) high[k] = std::max(high[k], other.high[k]);
  least_sum = std::min(least_sum, other.least_sum);
  most_sum = std::max(most_sum, other.most_sum);
}

void CutLimit::start(const Outsiders& outsiders, double step, double reach) {
  outsiders_ = outsiders;
  step_ = step;
  reach_ = reach;
}

/// At least F(t), up to rounding.
double CutLimit::highest(double t) const {
  const auto place = [&](int k) { return Outsiders::place(k, step_); };
  const double* const high = outsiders_.high;
  if (t <= 0.0) return high[0] - t * outsiders_.most_sum;
  int k = Outsiders::kPlaces - 1;
  while (place(k) > t) --k;
  if (k == Outsiders::kPlaces - 1) return high[k] - (t - place(k)) * outsiders_.least_sum;
  const double part = (t - place(k)) / (place(k + 1) - place(k));
  return high[k] + part * (high[k + 1] - high[k]);
}

double CutLimit::above(std::int64_t square, std::int64_t with_all) const {
  if (outsiders_.least_sum > outsiders_.most_sum) return Outsiders::kNone;  // there is none
  const auto moved = static_cast<double>(square);
  const double along = length_ > 0.0 ? static_cast<double>(with_all) / length_ : 0.0;
  const double across = std::sqrt(std::max(0.0, moved - along * along) + moved * 0x1p-40);
  const double t = length_ > 0.0 ? 2.0 * penalty_ * along / length_ : 0.0;
  const double padding = reach_ * 0x1p-44 + 2.0 * penalty_ * kLongest * std::sqrt(moved) * 0x1p-16;
  return highest(t) + 2.0 * penalty_ * across_ * across + padding;
}

}  // namespace smartx
