#include <algorithm>
#include <functional>

#include "row_products.hpp"
#include "smartx/cut_rows.hpp"

namespace smartx {

double cut_gap(RowsView rows, double penalty, const std::vector<Item>& chosen,
               const Context& context) {
  const std::vector<Item> items = all_items(rows.n);
  std::vector<std::int64_t> inside(static_cast<std::size_t>(rows.d));
  std::vector<char> taken(items.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const std::int16_t* const row = rows.row(chosen[i]);
    for (Item c = 0; c < rows.d; ++c) inside[c] += row[c];
    taken[chosen[i]] = 1;
    if (i % 4096 == 0) context.check();
  }
  std::vector<std::int64_t> row_sum(items.size()), with_chosen(items.size());
  dots_with(rows, sum_rows(rows, context), items, row_sum.data(), context);
  dots_with(rows, inside, items, with_chosen.data(), context);
  std::vector<double> ours, others;
  for (const Item v : items) {
    const double slope =
        static_cast<double>(row_sum[v]) - 2.0 * penalty * static_cast<double>(with_chosen[v]);
    (taken[v] ? ours : others).push_back(slope);
  }
  // The best set of that size by slopes trades our lowest for the others' highest.
  std::sort(ours.begin(), ours.end());
  std::sort(others.begin(), others.end(), std::greater<double>());
  double gap = 0.0;
  for (std::size_t i = 0; i < std::min(ours.size(), others.size()); ++i)
    gap += std::max(0.0, others[i] - ours[i]);
  return gap;
}

}  // namespace smartx
