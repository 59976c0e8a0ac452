// The loops behind VectorOpLevel, for the lanes of any level; templates over a level only, for the
// reason that dot_loops.hpp gives.
#pragma once

#include "smartx/vector_op_level.hpp"

namespace smartx {

/// Plain loops, compiled with the flags of level L. What L defines itself stands before them.
template <class L>
struct PlainOps {
  static std::int64_t gain_of_list16(std::uint32_t* entries, std::int32_t* count,
                                     const std::uint16_t* best) {
    std::int64_t total = 0;
    std::int32_t left = 0;
    for (std::int32_t i = 0; i < *count; ++i) {
      const std::uint32_t entry = entries[i];
      const std::int32_t more =
          static_cast<std::int32_t>(entry & 0xFFFF) - std::int32_t{best[entry >> 16]};
      entries[left] = entry;
      left += more > 0;
      total += more > 0 ? more : 0;
    }
    *count = left;
    return total;
  }

  static void widen(const std::int16_t* row, std::int64_t d, double* out) {
    for (std::int64_t c = 0; c < d; ++c) out[c] = row[c];
  }

  static void widen_to_float(const std::int16_t* row, std::int64_t d, float* out) {
    for (std::int64_t c = 0; c < d; ++c) out[c] = row[c];
  }

  static void add_rows(const double* scales, const double* rows, std::int64_t count,
                       std::int64_t stride, std::int64_t width, double* y) {
    std::int64_t r = 0;
    for (; r + 8 <= count; r += 8) add_some<8>(scales + r, rows + r * stride, stride, width, y);
    for (; r + 2 <= count; r += 2) add_some<2>(scales + r, rows + r * stride, stride, width, y);
    for (; r < count; ++r) add_some<1>(scales + r, rows + r * stride, stride, width, y);
  }

  static void sum_of_rows(const float* values, const std::int32_t* items, std::int64_t count,
                          const float* table, std::int64_t stride, std::int64_t width, float* out) {
    constexpr std::int64_t kLine = 16;  // values of a line of the cache
    constexpr int kSecondLevel = 2;     // of the cache: a quarter faster than into the first
    for (std::int64_t c = 0; c < width; ++c) out[c] = 0.0F;
    std::int64_t e = 0;
    for (; e + 8 <= count; e += 8) {
      for (std::int64_t later = e + 8; later < count && later < e + 16; ++later) {
        const float* row = table + items[later] * stride;
        for (std::int64_t c = 0; c < width; c += kLine)
          __builtin_prefetch(row + c, 0, kSecondLevel);
      }
      add_listed<8>(values + e, items + e, table, stride, width, out);
    }
    for (; e + 2 <= count; e += 2) add_listed<2>(values + e, items + e, table, stride, width, out);
    for (; e < count; ++e) add_listed<1>(values + e, items + e, table, stride, width, out);
  }

  /// Entry of column u of a row: see list16.
  static std::uint32_t entry16(const std::uint16_t* row, std::int64_t u) {
    return static_cast<std::uint32_t>(u) << 16 | row[u];
  }

 private:
  /// R rows at once, so that y is loaded and stored once for them.
  template <int R>
  static void add_some(const double* scales, const double* rows, std::int64_t stride,
                       std::int64_t width, double* __restrict y) {
    for (std::int64_t c = 0; c < width; ++c) {
      double sum = y[c];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum += scales[r] * rows[r * stride + c];
      y[c] = sum;
    }
  }

  /// The same for R rows of a table.
  template <int R>
  static void add_listed(const float* values, const std::int32_t* items, const float* table,
                         std::int64_t stride, std::int64_t width, float* __restrict out) {
    const float* rows[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) rows[r] = table + items[r] * stride;
    for (std::int64_t c = 0; c < width; ++c) {
      float sum = out[c];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum += values[r] * rows[r][c];
      out[c] = sum;
    }
  }
};

/// What lanes V of a Real inherit. They hold V::kParts vectors of V::kLanes sums, which
/// V::combined halves until one is left.
template <class V>
struct Combining {
  /// out[k * out_stride + r] = V::combined(sums[k][r]).
  template <class Vector, int X, int R, int Parts, class Real>
  static void combine(const Vector (&sums)[X][R][Parts], Real* out, std::int64_t out_stride) {
#pragma GCC unroll 8
    for (int k = 0; k < X; ++k)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) out[k * out_stride + r] = V::combined(sums[k][r]);
  }
};

/// Products of rows, X of x by R of rows at once, so that every value loaded is used more than
/// once.
template <class V>
struct Products {
  using Real = typename V::Real;

  template <int X, int R>
  void tile(std::int64_t k, std::int64_t i) const {
    typename V::Lanes sums[X][R][V::kParts];
#pragma GCC unroll 8
    for (int a = 0; a < X; ++a)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int part = 0; part < V::kParts; ++part) sums[a][r][part] = V::zero();
    for (std::int64_t c = 0; c < width; c += V::kParts * V::kLanes) {
#pragma GCC unroll 4
      for (int part = 0; part < V::kParts; ++part) {
        const std::int64_t place = c + part * V::kLanes;
        typename V::Lanes value[X];
#pragma GCC unroll 8
        for (int a = 0; a < X; ++a) value[a] = V::kept(x + (k + a) * x_stride + place);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const typename V::Lanes row = V::kept(rows + (i + r) * stride + place);
#pragma GCC unroll 8
          for (int a = 0; a < X; ++a) sums[a][r][part] = V::more(sums[a][r][part], row, value[a]);
        }
      }
    }
    V::combine(sums, out + k * out_stride + i, out_stride);
  }

  /// R rows by all x: the rows stay in the first-level cache.
  template <int R>
  void across(std::int64_t i) const {
    std::int64_t k = 0;
    for (; k + V::kX <= x_count; k += V::kX) tile<V::kX, R>(k, i);
    last<V::kX - 1, R>(k, i);
  }

  void all() const {
    std::int64_t i = 0;
    if (x_count == 1)
      for (; i + 2 * V::kR <= count; i += 2 * V::kR) tile<1, 2 * V::kR>(0, i);
    for (; i + V::kR <= count; i += V::kR) across<V::kR>(i);
    for (; i < count; ++i) across<1>(i);
  }

  const Real* rows;
  std::int64_t count, stride, width;
  const Real* x;
  std::int64_t x_count, x_stride;
  Real* out;
  std::int64_t out_stride;

 private:
  /// The x that are left, X at most.
  template <int X, int R>
  void last(std::int64_t k, std::int64_t i) const {
    if constexpr (X > 0) {
      if (x_count - k == X) return tile<X, R>(k, i);
      last<X - 1, R>(k, i);
    }
  }
};

/// The loops over the 16- and 32-bit lanes V and the lanes Doubles and Floats.
template <class L, class V, class Doubles, class Floats>
struct LaneOps : PlainOps<L> {
  static void digit_dots(const std::int16_t* rows, const std::int32_t* items, std::int64_t count,
                         std::int32_t d, const std::int16_t* digits, std::int32_t digit_count,
                         std::int64_t* out) {
    constexpr std::int64_t kDigit = 65536;
    constexpr std::int64_t kAhead = 6;  // rows fetched beforehand: they lie apart
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int16_t* row = rows + std::int64_t{items[i]} * d;
      if (i + kAhead < count) {
        const std::int16_t* later = rows + std::int64_t{items[i + kAhead]} * d;
        for (std::int32_t c = 0; c < d; c += 32) __builtin_prefetch(later + c);
      }
      std::int64_t total = 0;
      std::int32_t k = digit_count;
      for (; k >= 3; k -= 3)
        total = total * kDigit * kDigit * kDigit +
                some_digits<3>(row, d, digits + std::int64_t{k - 3} * d);
      if (k == 2) total = total * kDigit * kDigit + some_digits<2>(row, d, digits);
      if (k == 1) total = total * kDigit + some_digits<1>(row, d, digits);
      out[i] = total;
    }
  }

  /// Differences are below 2^16: their low and high bytes are added apart, in 64 bits a lane.
  static std::int64_t gain16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                             std::int64_t* open) {
    typename V::Lanes low = V::zero(), high = V::zero();
    std::int64_t u = 0, zeros = 0;  // V::kZeroBits for each term that is 0
    for (; u + 2 * V::kLanes <= n; u += 2 * V::kLanes) {
      __builtin_prefetch(row + u + 2048);
      const typename V::Lanes more = V::above16(V::at(row + u), V::at(best + u));
      low = V::add_low_bytes(low, more);
      high = V::add_high_bytes(high, more);
      zeros += __builtin_popcount(V::zeros16(more));
    }
    std::int64_t total = V::sum64(low) + 256 * V::sum64(high);
    std::int64_t count = u - zeros / V::kZeroBits;
    for (; u < n; ++u) {
      total += row[u] > best[u] ? row[u] - best[u] : 0;
      count += row[u] > best[u];
    }
    *open = count;
    return total;
  }

  static void cover16(const std::uint16_t* row, std::uint16_t* best, std::int64_t n) {
    std::int64_t u = 0;
    for (; u + 2 * V::kLanes <= n; u += 2 * V::kLanes)
      V::put(best + u, V::larger16(V::at(row + u), V::at(best + u)));
    for (; u < n; ++u) best[u] = row[u] > best[u] ? row[u] : best[u];
  }

  static void real_dots(const double* rows, std::int64_t count, std::int64_t stride,
                        std::int64_t width, const double* x, std::int64_t x_count,
                        std::int64_t x_stride, double* out, std::int64_t out_stride) {
    Products<Doubles>{rows, count, stride, width, x, x_count, x_stride, out, out_stride}.all();
  }

  static void float_dots(const float* rows, std::int64_t count, std::int64_t stride,
                         std::int64_t width, const float* x, std::int64_t x_count,
                         std::int64_t x_stride, float* out, std::int64_t out_stride) {
    Products<Floats>{rows, count, stride, width, x, x_count, x_stride, out, out_stride}.all();
  }

  static double squares(const float* values, const double* more, std::int64_t count) {
    typename Doubles::Lanes sums[Doubles::kParts];
    for (auto& sum : sums) sum = Doubles::zero();
    const auto add_eight = [&](const float* v, const double* m) {
#pragma GCC unroll 4
      for (int part = 0; part < Doubles::kParts; ++part) {
        const int lane = part * Doubles::kLanes;
        const typename Doubles::Lanes kept = Doubles::positive_sum(m + lane, v + lane);
        sums[part] = Doubles::more(sums[part], kept, kept);
      }
    };
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) add_eight(values + i, more + i);
    if (i < count) {
      float v[8] = {};
      double m[8] = {};
      for (int lane = 0; i < count; ++i, ++lane) {
        v[lane] = values[i];
        m[lane] = more[i];
      }
      add_eight(v, m);
    }
    return Doubles::combined(sums);
  }

 private:
  /// row . (K digits), which are 2^16 times as much from one to the next.
  template <int K>
  static std::int64_t some_digits(const std::int16_t* row, std::int32_t d,
                                  const std::int16_t* digits) {
    constexpr std::int32_t kStep = 2 * V::kLanes;
    constexpr std::int32_t kChunk = 128 * V::kLanes;  // 2^12 * sqrt(128 a lane) * 2^15 < 2^31
    typename V::Lanes total = V::zero();              // of 64 bits
    for (std::int32_t c = 0; c < d;) {
      const std::int32_t stop = d - c < kChunk ? d : c + kChunk;
      typename V::Lanes sums[K];
#pragma GCC unroll 3
      for (int k = 0; k < K; ++k) sums[k] = V::zero();
      for (; c + kStep <= stop; c += kStep) {
        const typename V::Lanes x = V::kept(row + c);
#pragma GCC unroll 3
        for (int k = 0; k < K; ++k)
          sums[k] = V::add_products(sums[k], x, V::at(digits + std::int64_t{k} * d + c));
      }
      if (c < stop) {
        const typename V::Lanes x = V::end_of(row, d, d - c);
#pragma GCC unroll 3
        for (int k = 0; k < K; ++k)
          sums[k] = V::add_products(sums[k], x, V::end_of(digits + std::int64_t{k} * d, d, d - c));
        c = d;
      }
#pragma GCC unroll 3
      for (int k = 0; k < K; ++k) total = V::add_widened(total, sums[k], 16 * k);
    }
    return V::sum64(total);
  }
};

/// The table of level L.
template <class L>
constexpr VectorOpLevel vector_op_table() {
  VectorOpLevel table{};
  table.digit_dots = L::digit_dots;
  table.gain16 = L::gain16;
  table.list16 = L::list16;
  table.gain_of_list16 = L::gain_of_list16;
  table.cover16 = L::cover16;
  table.real_dots = L::real_dots;
  table.float_dots = L::float_dots;
  table.widen = L::widen;
  table.widen_to_float = L::widen_to_float;
  table.squares = L::squares;
  table.add_rows = L::add_rows;
  table.sum_of_rows = L::sum_of_rows;
  return table;
}

}  // namespace smartx
