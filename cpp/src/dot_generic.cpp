// Exact tiles in plain C++, for every processor.
#include "dot_levels.hpp"

namespace smartx {
namespace {

constexpr int kPanel = 16;

#include "dot_keep.inc"
#include "dot_plain.inc"

// A panel is its rows, each padded with zeros to a multiple of 16 values.
std::int32_t padded(std::int32_t d) {
  return (d + 15) / 16 * 16;
}

std::int64_t panel_bytes(std::int32_t d) {
  return (std::int64_t{padded(d)} * kPanel * 2 + 63) / 64 * 64;
}

void pack(const std::int16_t* rows, std::int32_t count, std::int32_t d, void* out) {
  auto* panel = static_cast<std::int16_t*>(out);
  const std::int32_t width = padded(d);
  for (std::int32_t r = 0; r < kPanel; ++r) {
    for (std::int32_t c = 0; c < width; ++c) {
      const bool inside = r < count && c < d;
      panel[std::int64_t{r} * width + c] = inside ? rows[std::int64_t{r} * d + c] : std::int16_t{0};
    }
  }
}

void multiply(const void* a, const void* b, std::int32_t d, std::int32_t* tile) {
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

void above(const std::int32_t* tile, const std::int32_t* row_floor,
           const std::int32_t* column_floor, std::uint64_t* row_hits, std::uint64_t* column_hits) {
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

void row_dots(const std::int16_t* a, const std::int16_t* rows, std::int64_t count, std::int32_t d,
              std::int32_t* out) {
  for (std::int64_t j = 0; j < count; ++j) {
    const std::int16_t* row = rows + j * d;
    std::int32_t total = 0;
    for (std::int32_t c = 0; c < d; ++c) total += std::int32_t{a[c]} * std::int32_t{row[c]};
    out[j] = total;
  }
}

}  // namespace

const DotLevel kDotGeneric = {"generic",   kPanel,     panel_bytes, pack,   multiply, above,
                              count_above, keep_above, ranks,       narrow, lowest,   row_dots};

}  // namespace smartx
