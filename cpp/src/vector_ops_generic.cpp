// The inner loops in plain C++, for every processor.
#include "vector_op_levels.hpp"

namespace smartx {
namespace {

#include "vector_ops_lists.inc"
#include "vector_ops_plain.inc"

void digit_dots(const std::int16_t* rows, const std::int32_t* items, std::int64_t count,
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

std::int64_t gain16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
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

void list16(const std::uint16_t* row, const std::uint16_t* best, std::int64_t n,
            std::uint32_t* entries) {
  for (std::int64_t u = 0; u < n; ++u)
    if (row[u] > best[u]) *entries++ = entry16(row, u);
}

void cover16(const std::uint16_t* row, std::uint16_t* best, std::int64_t n) {
  for (std::int64_t u = 0; u < n; ++u) best[u] = row[u] > best[u] ? row[u] : best[u];
}

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

void add_rows(const double* scales, const double* rows, std::int64_t count, std::int64_t stride,
              std::int64_t width, double* y) {
  for (std::int64_t r = 0; r < count; ++r)
    for (std::int64_t c = 0; c < width; ++c) y[c] += scales[r] * rows[r * stride + c];
}

}  // namespace

const VectorOpLevel kVectorGeneric = {"generic",      digit_dots,     gain16,  list16,
                                      gain_of_list16, cover16,        dots<8>, dots<16>,
                                      widen,          widen_to_float, squares, add_rows};

}  // namespace smartx
