// The data-dependent certificate: how far from optimal a selection can be.
#pragma once

#include <algorithm>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// What each class of equal rows would still add: (classes,).
struct Remaining {
  std::vector<Item> rows;     // that are not chosen
  std::vector<double> gains;  // of one of them, with slack() added, at least 0
  Offset evaluations = 0;
};

/// Asks for one gain per class that is not chosen whole.
template <class F>
Remaining remaining(F& f, const EqualRows& equal, const std::vector<Item>& chosen,
                    const Context& context) {
  Remaining rest;
  rest.rows.assign(static_cast<std::size_t>(equal.classes()), 0);
  rest.gains.resize(rest.rows.size());
  for (Item row = 0; row < equal.rows(); ++row) ++rest.rows[equal.class_of(row)];
  for (const Item row : chosen) --rest.rows[equal.class_of(row)];
  for (const Item rows : rest.rows) rest.evaluations += rows > 0;
  const double slack = f.slack();
  parallel_for(
      equal.classes(), context,
      [&](Offset c) noexcept {
        if (rest.rows[c] > 0)
          rest.gains[c] = std::max(0.0, f.shown(f.gain(static_cast<Item>(c))) + slack);
      },
      4);
  return rest;
}

/// No set T of as many rows as were chosen has f(T) above f(S) plus this: the sum of the |S|
/// largest remaining gains.
template <class F>
double certificate_gap(F& f, const EqualRows& equal, const std::vector<Item>& chosen,
                       const Context& context, Offset& evaluations) {
  const Remaining rest = remaining(f, equal, chosen, context);
  evaluations += rest.evaluations;
  std::vector<double> gains;
  for (Item c = 0; c < equal.classes(); ++c)
    gains.insert(gains.end(), static_cast<std::size_t>(rest.rows[c]), rest.gains[c]);
  std::sort(gains.begin(), gains.end(), [](double a, double b) { return a > b; });
  const auto count = std::min(gains.size(), chosen.size());
  double total = 0.0;
  for (std::size_t i = 0; i < count; ++i) total += gains[i];
  return total;
}

}  // namespace smartx
