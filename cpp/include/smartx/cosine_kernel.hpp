// The dense kernel of tasks: cosines of their means, in float64.
#pragma once

#include <vector>

#include "smartx/context.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Cosines of M rows of d values, each the sum of fixed_order_sum (real.hpp): (M, M), diagonal
/// computed like the rest. Every row must have a length above 0.
std::vector<double> cosine_kernel(const double* rows, Item count, Item d, const Context& context);

}  // namespace smartx
