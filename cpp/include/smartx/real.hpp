// Real arithmetic that gives the same bits on every machine: no library function whose last digit
// depends on the processor (the C library picks its `log` by instruction set), no contraction, and
// sums in one fixed order that still lets a compiler use vectors.
#pragma once

#include <cmath>
#include <limits>

#include "smartx/types.hpp"

namespace smartx {

/// log(x) to about 1e-16 relative to max(1, |log x|); minus infinity for x <= 0.
inline double natural_log(double x) {
  if (!(x > 0.0)) return -std::numeric_limits<double>::infinity();
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2.0;
    --exponent;
  }
  // log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.172: the series is done after 11 terms.
  const double s = (mantissa - 1.0) / (mantissa + 1.0);
  const double square = s * s;
  double series = 0.0;
  for (int k = 23; k >= 1; k -= 2) series = series * square + 2.0 / k;
  constexpr double kLog2High = 6.93147180369123816490e-01;  // exact in few bits, so that
  constexpr double kLog2Low = 1.90821492927058770002e-10;   // exponent * high has no error
  return exponent * kLog2High + (s * series + exponent * kLog2Low);
}

/// Sum of term(0) .. term(n - 1) in one fixed order: eight interleaved partial sums, then pairs.
/// Rounding is monotone, so if no term rises the sum does not rise either: lazy greedy needs that.
template <class Term>
double fixed_order_sum(Offset n, const Term& term) {
  double part[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  Offset i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int lane = 0; lane < 8; ++lane) part[lane] += term(i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) part[lane] += term(i);
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

}  // namespace smartx
