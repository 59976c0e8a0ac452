#include "smartx/fixed_point.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "smartx/context.hpp"

namespace smartx {

namespace {

using Kind = RowFaults::Kind;

constexpr Offset kRowsAtOnce = 64;  // rows handed to a thread together
constexpr int kLanes = 8;

/// Rounds half to even: adding 1.5 * 2^52 leaves no room for a fraction. |value| < 2^31.
double rounded(double value) noexcept {
  constexpr double kShift = 6755399441055744.0;
  return (value + kShift) - kShift;
}

/// The power of two that brings a row whose largest magnitude is `peak` near 1, so that no square
/// overflows or vanishes. Multiplying by it is exact.
double prescale(double peak) noexcept {
  return std::ldexp(1.0, -std::clamp(std::ilogb(peak), -1000, 1000));
}

/// Sum of (x * scale)^2 over 8 lanes: lane l adds elements l, l + 8, ... in order; the lanes are
/// then added in pairs. This order is part of the format.
template <class Real>
double scaled_norm2(const Real* x, Item d, double scale) noexcept {
  double lane[kLanes] = {};
  Item i = 0;
  for (; i + kLanes <= d; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const double value = static_cast<double>(x[i + l]) * scale;
      lane[l] += value * value;
    }
  }
  for (int l = 0; i + l < d; ++l) {
    const double value = static_cast<double>(x[i + l]) * scale;
    lane[l] += value * value;
  }
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

}  // namespace

template <class Real>
Kind quantize_row(const Real* x, Item d, std::int16_t* q) noexcept {
  double peak = 0.0;
  bool finite = true;
  for (Item i = 0; i < d; ++i) {
    const double magnitude = std::fabs(static_cast<double>(x[i]));
    finite &= magnitude <= std::numeric_limits<double>::max();
    peak = magnitude > peak ? magnitude : peak;
  }
  if (!finite) return Kind::kNotFinite;
  if (peak == 0.0) return Kind::kZero;
  const double scale = prescale(peak);
  const double norm = std::sqrt(scaled_norm2(x, d, scale));
  for (Item i = 0; i < d; ++i) {
    const double unit = static_cast<double>(x[i]) * scale / norm;
    q[i] = static_cast<std::int16_t>(static_cast<std::int32_t>(rounded(kScale * unit)));
  }
  if (norm2(q, d) <= kMaxNorm2) return Kind::kNone;
  for (Item i = 0; i < d; ++i) {
    const double unit = static_cast<double>(x[i]) * scale / norm;
    q[i] = static_cast<std::int16_t>(static_cast<std::int32_t>(kScale * unit));
  }
  return Kind::kNone;
}

RowFaults row_faults(const std::vector<Kind>& kinds) {
  RowFaults faults;
  for (const Kind kind : {Kind::kNotFinite, Kind::kTooLong, Kind::kZero}) {
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] != kind) continue;
      ++faults.count;
      if (faults.first.size() < 5) faults.first.push_back(static_cast<Item>(i));
    }
    if (faults.count > 0) {
      faults.kind = kind;
      break;
    }
  }
  return faults;
}

std::int64_t norm2(const std::int16_t* row, Item d) {
  std::int64_t total = 0;
  for (Item i = 0; i < d; ++i) total += std::int32_t{row[i]} * row[i];
  return total;
}

template <class Real>
RowFaults quantize(const Real* values, Item n, Item d, std::int16_t* out, const Context& context) {
  std::vector<Kind> kinds(static_cast<std::size_t>(n), Kind::kNone);
  parallel_for(
      n, context,
      [&](Offset i) noexcept {
        kinds[static_cast<std::size_t>(i)] = quantize_row(values + i * d, d, out + i * d);
      },
      kRowsAtOnce);
  return row_faults(kinds);
}

template Kind quantize_row<float>(const float*, Item, std::int16_t*) noexcept;
template Kind quantize_row<double>(const double*, Item, std::int16_t*) noexcept;
template RowFaults quantize<float>(const float*, Item, Item, std::int16_t*, const Context&);
template RowFaults quantize<double>(const double*, Item, Item, std::int16_t*, const Context&);

RowFaults check_q12(RowsView rows, const Context& context) {
  std::vector<Kind> kinds(static_cast<std::size_t>(rows.n), Kind::kNone);
  parallel_for(
      rows.n, context,
      [&](Offset i) noexcept {
        const std::int64_t length2 = norm2(rows.row(static_cast<Item>(i)), rows.d);
        if (length2 > kMaxNorm2) kinds[static_cast<std::size_t>(i)] = Kind::kTooLong;
        if (length2 == 0) kinds[static_cast<std::size_t>(i)] = Kind::kZero;
      },
      kRowsAtOnce);
  return row_faults(kinds);
}

std::vector<std::int64_t> sum_rows(RowsView rows) {
  constexpr Item kBlock = 32768;  // so many int16 values fit an int32 sum, whatever they are
  std::vector<std::int64_t> total(static_cast<std::size_t>(rows.d), 0);
  std::vector<std::int32_t> block(static_cast<std::size_t>(rows.d));
  for (Item start = 0; start < rows.n; start += kBlock) {
    const Item stop = rows.n - start > kBlock ? start + kBlock : rows.n;
    std::fill(block.begin(), block.end(), 0);
    for (Item i = start; i < stop; ++i) {
      const std::int16_t* row = rows.row(i);
      for (Item c = 0; c < rows.d; ++c) block[static_cast<std::size_t>(c)] += row[c];
    }
    for (Item c = 0; c < rows.d; ++c)
      total[static_cast<std::size_t>(c)] += block[static_cast<std::size_t>(c)];
    if (rows.n - start <= kBlock) break;
  }
  return total;
}

std::vector<std::int64_t> sum_rows(RowsView rows, const Context& context) {
  constexpr Offset kBlock = 4096;
  if (rows.n <= kBlock) {
    context.check();
    return sum_rows(rows);
  }
  const auto d = static_cast<std::size_t>(rows.d);
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(context.threads()));
  parallel_tasks((rows.n + kBlock - 1) / kBlock, context, [&](Offset b, int hand, const Context&) {
    const auto first = static_cast<Item>(b * kBlock);
    const Item count = std::min(rows.n - first, static_cast<Item>(kBlock));
    const std::vector<std::int64_t> block = sum_rows({rows.row(first), count, rows.d});
    std::vector<std::int64_t>& sum = sums[static_cast<std::size_t>(hand)];
    sum.resize(d, 0);
    for (std::size_t c = 0; c < d; ++c) sum[c] += block[c];
  });
  std::vector<std::int64_t> total(d, 0);
  for (const std::vector<std::int64_t>& sum : sums)
    for (std::size_t c = 0; c < sum.size(); ++c) total[c] += sum[c];
  return total;
}

}  // namespace smartx
