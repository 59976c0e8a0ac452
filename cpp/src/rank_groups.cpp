#include <algorithm>
#include <cmath>
#include <vector>

#include "smartx/context.hpp"
#include "smartx/kernel.hpp"
#include "smartx/select.hpp"

namespace smartx {

namespace {

struct Group {
  Offset start;
  Item rows;

  double cost() const { return static_cast<double>(rows) * rows; }
};

std::vector<Item> first_of(const Group& group, Span<const bool> first) {
  std::vector<Item> rows;
  for (Item row = 0; first.size > 0 && row < group.rows; ++row)
    if (first[group.start + row]) rows.push_back(row);
  return rows;
}

void rank_one(RowsView rows, const Group& group, const Objective& objective, const GroupRows& known,
              const Context& context, GroupOrders& out) {
  const std::vector<Item> first = first_of(group, known.first);
  const auto firsts = static_cast<Item>(first.size());
  Request request;
  request.objective = objective;
  request.budget = group.rows - firsts;
  if (known.templates.size > 0)
    request.templates = {known.templates.data + group.start, group.rows};
  request.first = {first.data(), firsts};
  const RowsView own{rows.data + group.start * rows.d, group.rows, rows.d};
  const Chosen chosen = maximize(own, request, context);
  const auto order = out.order.begin() + group.start;
  std::copy(chosen.items.begin(), chosen.items.end(), std::copy(first.begin(), first.end(), order));
  std::copy(chosen.gains.begin(), chosen.gains.end(), out.gains.begin() + group.start + firsts);
}

/// How long the groups from `first` on take one on each thread, costliest first, each on the thread
/// that is free first; only the first few can leave threads idle at the end.
double side_by_side(const std::vector<Group>& groups, std::size_t first, double cost, int threads) {
  std::vector<double> busy(static_cast<std::size_t>(threads));
  const std::size_t last = std::min(groups.size(), first + 8 * busy.size());
  for (std::size_t i = first; i < last; ++i)
    *std::min_element(busy.begin(), busy.end()) += groups[i].cost();
  return std::max(cost / threads, *std::max_element(busy.begin(), busy.end()));
}

/// How many of the groups, costliest first, to rank one after another on all threads: those whose
/// kernels must not be held once a thread, and those that would leave the other threads idle.
std::size_t count_alone(const std::vector<Group>& groups, bool has_kernel, int threads,
                        Offset memory) {
  if (threads <= 1) return 0;
  const double gain = std::pow(threads, 0.75);  // of all threads inside one group
  std::size_t most = 0, best = 0;
  while (has_kernel && most < groups.size() &&
         DenseKernel16::bytes(groups[most].rows) > memory / threads)
    ++most;
  double rest = 0.0, done = 0.0, shortest = 0.0;
  for (const Group& group : groups) rest += group.cost();
  const std::size_t last = std::min(groups.size(), most + 2 * static_cast<std::size_t>(threads));
  for (std::size_t alone = 0; alone <= last; ++alone) {
    if (alone >= most) {
      const double time = done / gain + side_by_side(groups, alone, rest, threads);
      if (alone == most || time < shortest) {
        shortest = time;
        best = alone;
      }
    }
    if (alone == groups.size()) break;
    done += groups[alone].cost();
    rest -= groups[alone].cost();
  }
  return best;
}

}  // namespace

GroupOrders rank_groups(RowsView rows, Span<const Offset> sizes, const Objective& objective,
                        const Context& context, Offset memory, const GroupRows& known) {
  GroupOrders out;
  out.order.resize(static_cast<std::size_t>(rows.n));
  out.gains.resize(static_cast<std::size_t>(rows.n));
  std::vector<Group> groups;
  Offset start = 0;
  for (const Offset size : sizes) {
    if (size > 0) groups.push_back({start, static_cast<Item>(size)});
    start += size;
  }
  // Costliest first, so that no thread is left alone with a long one at the end.
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return a.rows > b.rows || (a.rows == b.rows && a.start < b.start);
  });
  const bool has_kernel = std::holds_alternative<objective::FacilityLocation>(objective);
  const std::size_t alone = count_alone(groups, has_kernel, context.threads(), memory);
  with_team(context, [&](const Context& led) {
    for (std::size_t i = 0; i < alone; ++i) rank_one(rows, groups[i], objective, known, led, out);
  });
  parallel_tasks(static_cast<Offset>(groups.size() - alone), context,
                 [&](Offset i, int, const Context& one) {
                   rank_one(rows, groups[alone + i], objective, known, one, out);
                 });
  return out;
}

}  // namespace smartx
