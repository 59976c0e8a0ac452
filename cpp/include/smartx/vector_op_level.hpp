// Inner loops of the set functions for one instruction set. Included by code that is compiled for
// more than the baseline processor, so nothing here may emit code (see dot_level.hpp).
#pragma once

#include <cfloat>
#include <cstdint>

#ifdef __FAST_MATH__
#error "with -ffast-math doubles would differ from one machine to the next"
#endif
static_assert(FLT_EVAL_METHOD == 0, "doubles must be rounded to doubles, and floats to floats");

namespace smartx {

/// All levels give the same bits: integers are exact, and doubles are added in the order of
/// fixed_order_sum (real.hpp), products rounded before they are added.
struct VectorOpLevel {
  /// out[i] = (row items[i]) . sum, exact, where component c of the sum is digits[c] + 2^16 *
  /// digits[d + c] + 2^32 * digits[2 d + c] ... `digit_count` of them. Rows are Q12.
  void (*digit_dots)(const std::int16_t* rows, const std::int32_t* items, std::int64_t count,
                     std::int32_t d, const std::int16_t* digits, std::int32_t digit_count,
                     std::int64_t* out);
  /// Sum of max(0, row[u] - best[u]); `open` becomes the number of u whose term is not 0.
  std::int64_t (*gain16)(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                         std::int64_t* open);
  /// The entries of the u with row[u] > best[u], ascending: column u in the high 16 bits, row[u] in
  /// the low ones. n is at most 2^16; 16 more entries may be written to than there are.
  void (*list16)(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                 std::uint32_t* entries);
  /// Sum of max(0, value - best[column]) over the entries; those whose term is 0 are taken out and
  /// `count` becomes what is left. best[column + 1] can be read.
  std::int64_t (*gain_of_list16)(std::uint32_t* entries, std::int32_t* count,
                                 const std::uint16_t* best);
  /// best[u] becomes max(best[u], row[u]).
  void (*cover16)(const std::uint16_t* row, std::uint16_t* best, std::int64_t n);
  /// out[k * out_stride + i] = (x k) . (row i), over their first `width` values, a multiple of 8,
  /// for `count` rows that start `stride` values apart and `x_count` x that start `x_stride` apart.
  void (*real_dots)(const double* rows, std::int64_t count, std::int64_t stride, std::int64_t width,
                    const double* x, std::int64_t x_count, std::int64_t x_stride, double* out,
                    std::int64_t out_stride);
  /// The same in float32, in the order of 16 interleaved sums, halved until one is left; `width` a
  /// multiple of 16.
  void (*float_dots)(const float* rows, std::int64_t count, std::int64_t stride, std::int64_t width,
                     const float* x, std::int64_t x_count, std::int64_t x_stride, float* out,
                     std::int64_t out_stride);
  /// out[c] = row[c].
  void (*widen)(const std::int16_t* row, std::int64_t d, double* out);
  void (*widen_to_float)(const std::int16_t* row, std::int64_t d, float* out);
  /// Sum of max(0, |values[i]| + more[i])^2, in the order of fixed_order_sum.
  double (*squares)(const float* values, const double* more, std::int64_t count);
  /// y[c] += scales[0] * rows[c], then += scales[1] * rows[stride + c] ... over `count` rows of
  /// `width` values, a multiple of 8; each product is rounded first.
  void (*add_rows)(const double* scales, const double* rows, std::int64_t count,
                   std::int64_t stride, std::int64_t width, double* y);
  /// out[c] = values[0] * table[items[0] * stride + c], then += values[1] * table[items[1] * stride
  /// + c] ... over `count` rows of `width` values, from 0 on; each product is rounded first.
  void (*sum_of_rows)(const float* values, const std::int32_t* items, std::int64_t count,
                      const float* table, std::int64_t stride, std::int64_t width, float* out);
};

}  // namespace smartx
