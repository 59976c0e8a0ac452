// Q12 rows: unit vectors as int16, so that every similarity is an exact integer.
#pragma once

#include <cstdint>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// A unit component in Q12 units: q = round(kScale * x / |x|).
inline constexpr double kScale = 0.998 * 4096.0;
/// Largest sum of q^2 of a row. By Cauchy-Schwarz every dot product, and every partial sum of one,
/// then stays within +-2^24: exact in int32 and in float32, in any order.
inline constexpr std::int64_t kMaxNorm2 = std::int64_t{1} << 24;
/// The largest similarity.
inline constexpr std::int32_t kMaxSimilarity = std::int32_t{1} << 24;

/// Q12 rows that somebody else owns: row i is data[i * d .. i * d + d - 1].
struct RowsView {
  const std::int16_t* data = nullptr;
  Item n = 0;
  Item d = 0;

  const std::int16_t* row(Item i) const { return data + static_cast<Offset>(i) * d; }
};

/// The rows items[0], items[1] ... of a view; all of them where `items` is null. Row c of these is
/// what an engine calls item c.
struct SomeRows {
  SomeRows(RowsView rows) : all(rows), n(rows.n), d(rows.d) {}  // NOLINT: all rows are some rows
  SomeRows(RowsView rows, const Item* which, Item count)
      : all(rows), items(which), n(count), d(rows.d) {}

  RowsView all;
  const Item* items = nullptr;
  Item n, d;

  const std::int16_t* row(Item c) const { return all.row(items == nullptr ? c : items[c]); }
};

/// What is wrong with some rows: how many, and the first few of them. Empty when nothing is.
struct RowFaults {
  enum class Kind { kNone, kNotFinite, kZero, kTooLong };
  Kind kind = Kind::kNone;
  Item count = 0;
  std::vector<Item> first;  // at most 5, ascending
};

/// Quantises n rows of d values into `out` (n x d). Rows longer than kMaxNorm2 after rounding are
/// truncated toward zero instead. The norm is a float64 sum over 8 lanes in one fixed order, so the
/// same values give the same bits on every instruction set and any number of threads.
/// A row with a NaN or infinity, or without length, is reported and `out` is then not to be used;
/// rows that are not finite are reported before rows without length.
template <class Real>
RowFaults quantize(const Real* values, Item n, Item d, std::int16_t* out, const Context& context);

/// The same for one row: what is wrong with it.
template <class Real>
RowFaults::Kind quantize_row(const Real* x, Item d, std::int16_t* q) noexcept;
/// The faults of rows whose kinds these are: those of the gravest kind.
RowFaults row_faults(const std::vector<RowFaults::Kind>& kinds);

/// Says which int16 rows are no Q12 rows: sum of q^2 over kMaxNorm2, or zero.
RowFaults check_q12(RowsView rows, const Context& context);

/// Sum of q^2 of one row.
std::int64_t norm2(const std::int16_t* row, Item d);

/// The sum of all rows, component by component: (d,), exact.
std::vector<std::int64_t> sum_rows(RowsView rows);
std::vector<std::int64_t> sum_rows(RowsView rows, const Context& context);

}  // namespace smartx
