#include "smartx/dense_head.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "smartx/blocks.hpp"
#include "smartx/facility_location.hpp"
#include "smartx/greedy.hpp"
#include "smartx/turns.hpp"
#include "smartx/vector_ops.hpp"
#include "tiles.hpp"

namespace smartx {

namespace {

constexpr double kUnit = Kernel16Cover::kUnit;

/// Calls body(a, b, values) for every panel a of `down` and b of `across`, values the 16-bit
/// similarities of their rows; all b of one a on one thread.
template <class Body>
void for_each_16_bit_tile(const PackedRows& down, const PackedRows& across, const Context& context,
                          const Body& body) {
  const Item block = panels_in_cache(across);
  const Item blocks = (across.panels() + block - 1) / block;
  for (Item j = 0; j < blocks; ++j) {
    const Item last = std::min((j + 1) * block, across.panels());
    parallel_for(down.panels(), context, [&](Offset a) noexcept {
      Tile tile;
      alignas(64) std::uint16_t values[64 * 64];
      for (Item b = j * block; b < last; ++b) {
        down.level().multiply(down.panel(static_cast<Item>(a)), across.panel(b), down.dimensions(),
                              tile.values);
        down.level().narrow(tile.values, values);
        body(static_cast<Item>(a), b, values);
      }
    });
  }
}

/// The 16-bit kernel of some rows with all: (items, n), rows `stride` values apart.
struct HeadKernel {
  /// `items`: the rows that can be chosen, ascending; row v of the kernel is items[v].
  HeadKernel(RowsView rows, const std::vector<Item>& items, const Context& context)
      : stride((Offset{rows.n} + 31) / 32 * 32) {
    const auto size = static_cast<Item>(items.size());
    values.reset(static_cast<std::uint16_t*>(new_block(size * stride * 2)));
    const PackedRows down({rows, items.data(), size}, context);
    const PackedRows across(rows, context);
    const Item panel = down.level().panel;
    std::uint16_t* const kernel = values.get();
    for_each_16_bit_tile(
        down, across, context, [&](Item a, Item b, const std::uint16_t* tile) noexcept {
          const Offset left = Offset{b} * panel;
          const Offset width = std::min<Offset>(panel, rows.n - left);
          for (Item r = 0; r < panel && a * panel + r < size; ++r)
            std::copy_n(tile + r * panel, width, kernel + (a * panel + r) * stride + left);
        });
  }

  Offset stride;
  std::unique_ptr<std::uint16_t[], FreeBlock> values;

  Kernel16View view() { return {values.get(), stride}; }
};

using DenseLocation = FacilityLocation<Kernel16Cover>;
using GraphLocation = FacilityLocation<GraphCover<std::int32_t>>;

void append(Chosen& all, const std::vector<Item>& items, const std::vector<std::int64_t>& gains,
            Offset evaluations, double unit) {
  all.items.insert(all.items.end(), items.begin(), items.end());
  for (const std::int64_t gain : gains) all.gains.push_back(static_cast<double>(gain) * unit);
  all.evaluations += evaluations;
}

/// best[u]: how well the items cover u, in 16 bits.
std::vector<std::uint16_t> coverage(RowsView rows, const PackedRows& all, Span<const Item> items,
                                    const Context& context) {
  const Item panel = all.level().panel;
  std::vector<std::uint16_t> best(static_cast<std::size_t>(all.panels()) * panel);
  const PackedRows chosen({rows, items.data, static_cast<Item>(items.size)}, context);
  for_each_16_bit_tile(all, chosen, context,
                       [&](Item a, Item, const std::uint16_t* values) noexcept {
                         for (Item r = 0; r < panel; ++r) {
                           std::uint16_t& own = best[static_cast<std::size_t>(a) * panel + r];
                           for (Item c = 0; c < panel; ++c)
                             own = std::max(own, values[r * panel + c]);
                         }
                       });
  return best;
}

/// What each row would add to a set that covers as `best` says, in 16-bit units.
std::vector<std::int64_t> all_gains(const PackedRows& all, const std::vector<std::uint16_t>& best,
                                    const Context& context) {
  const Item panel = all.level().panel;
  const std::size_t size = best.size();
  std::vector<std::int64_t> sums(size * static_cast<std::size_t>(context.threads()));
  for_each_tile(all, context, [&](Item a, Item b, const std::int32_t* tile, int hand) noexcept {
    alignas(64) std::uint16_t values[64 * 64];
    all.level().narrow(tile, values);
    std::int64_t* const own = sums.data() + size * static_cast<std::size_t>(hand);
    const std::uint16_t* const down = best.data() + static_cast<std::size_t>(a) * panel;
    const std::uint16_t* const across = best.data() + static_cast<std::size_t>(b) * panel;
    std::int32_t of_columns[64] = {};
    for (Item r = 0; r < panel; ++r) {
      std::int32_t of_row = 0;  // 64 * 65535 fits
      for (Item c = 0; c < panel; ++c) {
        const std::int32_t value = values[r * panel + c];
        of_row += std::max(0, value - across[c]);
        of_columns[c] += std::max(0, value - down[r]);
      }
      own[static_cast<Offset>(a) * panel + r] += of_row;
    }
    if (a == b) return;
    for (Item c = 0; c < panel; ++c) own[static_cast<Offset>(b) * panel + c] += of_columns[c];
  });
  for (std::size_t i = size; i < sums.size(); ++i) sums[i % size] += sums[i];
  sums.resize(size);
  return sums;
}

/// The first rows, chosen among those proposed, ascending, by the dense objective.
void choose_head(RowsView rows, Span<const Item> proposed, Kernel16View kernel, Item head,
                 const Request& request, Turns& turns, const Context& context, Chosen& all) {
  const auto candidates = static_cast<Item>(proposed.size);
  DenseLocation dense(
      {kernel.values, candidates, rows.n, kernel.stride, Kernel16Cover::Use::kOnce, context.ops()},
      kUnit, context);
  if (request.first.size > 0)
    dense.start(coverage(rows, PackedRows(rows, context), request.first, context).data());
  std::vector<Item> templates;
  if (turns.any())
    for (const Item row : proposed) templates.push_back(request.templates[row]);
  turns.renumber(templates.data());
  const EqualRows few(candidates);  // as if all rows differed
  auto chosen = Greedy<DenseLocation>(dense, few, turns, request.options, context).run(head);
  turns.renumber(request.templates.data);
  for (Item& item : chosen.items) item = proposed[item];
  append(all, chosen.items, chosen.gains, chosen.evaluations, kUnit);
}

/// What comes after the proposal.
void head_and_rest(RowsView rows, GraphView<std::int32_t> graph, Span<const Item> proposed,
                   Kernel16View kernel, Item head, const Request& request, const Context& context,
                   Chosen& all) {
  const EqualRows every(rows.n);  // as if all rows differed
  Turns turns = Turns::among(request.templates, request.first);
  head = std::min({head, request.budget, static_cast<Item>(proposed.size)});
  choose_head(rows, proposed, kernel, head, request, turns, context, all);
  const Item left = request.budget - static_cast<Item>(all.items.size());
  if (left > 0) {
    std::vector<Item> already(request.first.begin(), request.first.end());
    already.insert(already.end(), all.items.begin(), all.items.end());
    GraphLocation rest({graph}, 1.0, context);
    const auto chosen = Greedy<GraphLocation>(rest, every, turns, request.options, context)
                            .run(left, {already.data(), static_cast<Offset>(already.size())});
    append(all, chosen.items, chosen.gains, chosen.evaluations, kUnit / 256.0);
  }
}

Chosen with_head(RowsView rows, GraphView<std::int32_t> graph, Item candidates, Item head,
                 const Request& request, const Context& context) {
  Chosen all;
  if (request.budget == 0) return all;
  const EqualRows every(rows.n);  // as if all rows differed
  Turns turns = Turns::among(request.templates, request.first);
  GraphLocation first({graph}, 1.0, context);
  auto proposed =
      Greedy<GraphLocation>(first, every, turns, request.options, context)
          .run(std::min(candidates, rows.n - static_cast<Item>(request.first.size)), request.first);
  all.evaluations += proposed.evaluations;
  std::sort(proposed.items.begin(), proposed.items.end());  // ties go to the lower row
  HeadKernel kernel(rows, proposed.items, context);
  head_and_rest(rows, graph, {proposed.items.data(), static_cast<Offset>(proposed.items.size())},
                kernel.view(), head, request, context, all);
  return all;
}

}  // namespace

Chosen maximize_with_head(RowsView rows, GraphView<std::int32_t> graph, Item candidates, Item head,
                          const Request& request, const Context& context) {
  Chosen all;
  with_team(context, [&](const Context& led) {
    all = with_head(rows, graph, candidates, head, request, led);
  });
  return all;
}

Chosen maximize_with_ready_head(RowsView rows, GraphView<std::int32_t> graph,
                                Span<const Item> proposed, Kernel16View kernel, Item head,
                                const Request& request, const Context& context) {
  Chosen all;
  if (request.budget == 0) return all;
  with_team(context, [&](const Context& led) {
    head_and_rest(rows, graph, proposed, kernel, head, request, led, all);
  });
  return all;
}

Chosen maximize_ready(Kernel16View kernel, Item rows, const Request& request,
                      const Context& context) {
  Chosen all;
  with_team(context, [&](const Context& led) {
    DenseLocation dense(
        {kernel.values, rows, rows, kernel.stride, Kernel16Cover::Use::kOnce, led.ops()}, kUnit,
        led);
    const EqualRows every(rows);  // as if all rows differed
    Turns turns = Turns::among(request.templates, request.first);
    const auto chosen = Greedy<DenseLocation>(dense, every, turns, request.options, led)
                            .run(request.budget, request.first);
    append(all, chosen.items, chosen.gains, chosen.evaluations, kUnit);
  });
  return all;
}

DenseWorth dense_worth(RowsView rows, Span<const Item> items, const Context& context) {
  if (items.size == 0) return {};
  const PackedRows all(rows, context);
  const std::vector<std::uint16_t> best = coverage(rows, all, items, context);
  std::int64_t value = 0;
  for (Item u = 0; u < rows.n; ++u) value += best[u];
  std::vector<std::int64_t> gains = all_gains(all, best, context);
  gains.resize(static_cast<std::size_t>(rows.n));
  for (const Item item : items) gains[item] = 0;
  std::sort(gains.begin(), gains.end(), std::greater<std::int64_t>());
  std::int64_t gap = 0;
  for (Offset i = 0; i < items.size; ++i) gap += gains[i];
  return {static_cast<double>(value) * kUnit, static_cast<double>(gap) * kUnit};
}

}  // namespace smartx
