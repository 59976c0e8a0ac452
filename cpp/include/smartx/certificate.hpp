// The data-dependent certificate: how far from optimal a selection can be.
#pragma once

#include <algorithm>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/greedy.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// No set T of as many rows as were chosen has f(T) above f(S) plus this: the sum of the |S|
/// largest remaining gains (with slack() added where f is not monotone), none below zero.
/// Asks for one gain per remaining row.
template <class F>
double certificate_gap(F& f, const std::vector<Item>& chosen, const Context& context,
                       Offset& evaluations) {
  const Item n = f.size();
  std::vector<char> taken(static_cast<std::size_t>(n), 0);
  for (const Item item : chosen) taken[item] = 1;
  std::vector<Item> rest;
  for (Item v = 0; v < n; ++v) {
    if (!taken[v]) rest.push_back(v);
  }
  std::vector<double> gains(rest.size());
  const double slack = f.slack();
  parallel_for(
      static_cast<Offset>(rest.size()), context,
      [&](Offset i) noexcept { gains[i] = std::max(0.0, f.shown(f.gain(rest[i])) + slack); }, 16);
  evaluations += static_cast<Offset>(rest.size());
  std::sort(gains.begin(), gains.end(), [](double a, double b) { return a > b; });
  const auto count = std::min(gains.size(), chosen.size());
  double total = 0.0;
  for (std::size_t i = 0; i < count; ++i) total += gains[i];
  return total;
}

}  // namespace smartx
