// Plain C++, for every processor. What the other levels do must give the bits of this one.
#include "dot_loops.hpp"
#include "level_tables.hpp"
#include "vector_op_loops.hpp"

namespace smartx {
namespace {

/// Products in the order of Lanes interleaved sums, halved until one is left.
template <int Lanes, class Real>
void dots(const Real* rows, std::int64_t count, std::int64_t stride, std::int64_t width,
          const Real* x, std::int64_t x_count, std::int64_t x_stride, Real* out,
          std::int64_t out_stride) {
  for (std::int64_t k = 0; k < x_count; ++k, x += x_stride, out += out_stride) {
    for (std::int64_t i = 0; i < count; ++i) {
      const Real* row = rows + i * stride;
      Real part[Lanes] = {};
      for (std::int64_t c = 0; c < width; c += Lanes)
        for (int lane = 0; lane < Lanes; ++lane) part[lane] += row[c + lane] * x[c + lane];
      for (int half = Lanes / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; ++lane) part[lane] += part[lane + half];
      out[i] = part[0];
    }
  }
}

struct Generic : PlainDots<Generic>, PlainOps<Generic> {
  static constexpr int kPanel = 16;

  static std::int64_t panel_bytes(std::int32_t d) {
    return (std::int64_t{padded(d)} * kPanel * 2 + 63) / 64 * 64;
  }

  static void pack(const std::int16_t* rows, std::int32_t count, std::int32_t d, void* out) {
    auto* panel = static_cast<std::int16_t*>(out);
    const std::int32_t width = padded(d);
    for (std::int32_t r = 0; r < kPanel; ++r) {
      for (std::int32_t c = 0; c < width; ++c) {
        const bool inside = r < count && c < d;
        panel[std::int64_t{r} * width + c] =
            inside ? rows[std::int64_t{r} * d + c] : std::int16_t{0};
      }
    }
  }

  static void multiply(const void* a, const void* b, std::int32_t d, std::int32_t* tile) {
    const std::int32_t width = padded(d);
    const auto* down = static_cast<const std::int16_t*>(a);
    const auto* across = static_cast<const std::int16_t*>(b);
    for (int r = 0; r < kPanel; ++r) {
      const std::int16_t* x = down + std::int64_t{r} * width;
      for (int c = 0; c < kPanel; c += 4) {
        const std::int16_t* y = across + std::int64_t{c} * width;
        std::int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (std::int32_t q = 0; q < width; ++q) {
          s0 += std::int32_t{x[q]} * std::int32_t{y[q]};
          s1 += std::int32_t{x[q]} * std::int32_t{y[width + q]};
          s2 += std::int32_t{x[q]} * std::int32_t{y[2 * width + q]};
          s3 += std::int32_t{x[q]} * std::int32_t{y[3 * width + q]};
        }
        tile[r * kPanel + c] = s0;
        tile[r * kPanel + c + 1] = s1;
        tile[r * kPanel + c + 2] = s2;
        tile[r * kPanel + c + 3] = s3;
      }
    }
  }

  static void above(const std::int32_t* tile, const std::int32_t* row_floor,
                    const std::int32_t* column_floor, std::uint64_t* row_hits,
                    std::uint64_t* column_hits) {
    for (int r = 0; r < kPanel; ++r) {
      std::uint64_t in_row = 0, in_column = 0;
      for (int c = 0; c < kPanel; ++c) {
        const std::int32_t value = tile[r * kPanel + c];
        in_row |= std::uint64_t{value > row_floor[r]} << c;
        in_column |= std::uint64_t{value > column_floor[c]} << c;
      }
      row_hits[r] = in_row;
      column_hits[r] = in_column;
    }
  }

  static void row_dots(const std::int16_t* a, const std::int16_t* rows, std::int64_t count,
                       std::int32_t d, std::int32_t* out) {
    for (std::int64_t j = 0; j < count; ++j) {
      const std::int16_t* row = rows + j * d;
      std::int32_t total = 0;
      for (std::int32_t c = 0; c < d; ++c) total += std::int32_t{a[c]} * std::int32_t{row[c]};
      out[j] = total;
    }
  }

  static void digit_dots(const std::int16_t* rows, const std::int32_t* items, std::int64_t count,
                         std::int32_t d, const std::int16_t* digits, std::int32_t digit_count,
                         std::int64_t* out) {
    constexpr std::int32_t kChunk = 64;  // 2^12 * sqrt(64) * 2^15 = 2^30: a chunk fits 32 bits
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int16_t* row = rows + std::int64_t{items[i]} * d;
      std::int64_t total = 0;
      for (std::int32_t k = digit_count - 1; k >= 0; --k) {
        const std::int16_t* digit = digits + std::int64_t{k} * d;
        std::int64_t part = 0;
        for (std::int32_t start = 0; start < d; start += kChunk) {
          const std::int32_t stop = d - start < kChunk ? d : start + kChunk;
          std::int32_t chunk = 0;
          for (std::int32_t c = start; c < stop; ++c)
            chunk += std::int32_t{row[c]} * std::int32_t{digit[c]};
          part += chunk;
        }
        total = total * 65536 + part;
      }
      out[i] = total;
    }
  }

  static std::int64_t gain16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                             std::int64_t* open) {
    constexpr std::int64_t kBlock = 32768;  // 32768 * 65535 < 2^31: a block's sum fits 32 bits
    std::int64_t total = 0;
    *open = 0;
    for (std::int64_t start = 0; start < n; start += kBlock) {
      const std::int64_t stop = n - start < kBlock ? n : start + kBlock;
      std::uint32_t block = 0, more = 0;
      for (std::int64_t u = start; u < stop; ++u) {
        block += row[u] > best[u] ? row[u] - best[u] : 0;
        more += row[u] > best[u];
      }
      total += block;
      *open += more;
    }
    return total;
  }

  static void list16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
                     std::uint32_t* entries) {
    for (std::int64_t u = 0; u < n; ++u)
      if (row[u] > best[u]) *entries++ = entry16(row, u);
  }

  static void cover16(const std::uint16_t* row, std::uint16_t* best, std::int64_t n) {
    for (std::int64_t u = 0; u < n; ++u) best[u] = row[u] > best[u] ? row[u] : best[u];
  }

  static constexpr auto real_dots = dots<8, double>;
  static constexpr auto float_dots = dots<16, float>;

  static double squares(const float* values, const double* more, std::int64_t count) {
    double part[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (std::int64_t i = 0; i < count; ++i) {
      const double value = more[i] + __builtin_fabsf(values[i]);
      const double kept = value > 0.0 ? value : 0.0;
      part[i % 8] += kept * kept;
    }
    return ((part[0] + part[4]) + (part[2] + part[6])) +
           ((part[1] + part[5]) + (part[3] + part[7]));
  }

 private:
  /// A panel is its rows, each padded with zeros to a multiple of 16 values.
  static std::int32_t padded(std::int32_t d) { return (d + 15) / 16 * 16; }
};

}  // namespace

const DotLevel kDotGeneric = dot_table<Generic>();
const VectorOpLevel kVectorGeneric = vector_op_table<Generic>();

}  // namespace smartx
