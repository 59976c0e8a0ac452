// Greedy over every set function, with a brute force of its own.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "smartx/dense_head.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/greedy.hpp"
#include "smartx/knn.hpp"
#include "smartx/log_det.hpp"
#include "smartx/log_det_rows.hpp"
#include "smartx/rng.hpp"
#include "smartx/select.hpp"
#include "smartx/turns.hpp"

namespace {

using namespace smartx;

/// n Q12 rows around `centres` directions; some of them equal.
std::vector<std::int16_t> rows_around(Item n, Item d, Item centres, std::uint64_t seed) {
  std::vector<double> values(static_cast<std::size_t>(n) * d);
  const Draws draws(seed, 1);
  const auto uniform = [&](std::uint64_t i) {
    return static_cast<double>(draws.at(i) >> 11) * 0x1p-53 - 0.5;
  };
  for (Item i = 0; i < n; ++i) {
    const Item centre = static_cast<Item>(draws.below(centres, 1000000 + i));
    const double noise = i % 3 == 0 ? 0.0 : 0.5;  // every third row is its centre: ties
    for (Item c = 0; c < d; ++c) {
      values[i * d + c] = uniform(2000000 + centre * d + c) + noise * uniform(i * d + c) + 0.1;
    }
  }
  std::vector<std::int16_t> rows(values.size());
  const RowFaults faults = quantize(values.data(), n, d, rows.data(), plain());
  CHECK(faults.kind == RowFaults::Kind::kNone);
  return rows;
}

Chosen run(RowsView rows, Objective objective, Optimizer optimizer, Item budget, int threads = 1) {
  Request request;
  request.objective = objective;
  request.budget = budget;
  request.options.optimizer = optimizer;
  request.certificate = true;
  return maximize(rows, request, plain(threads));
}

bool same(const Chosen& a, const Chosen& b) {
  return a.items == b.items && a.gains == b.gains;
}

const Objective kObjectives[] = {objective::FacilityLocation{}, objective::GraphCut{0.4},
                                 objective::GraphCut{1.0}, objective::LogDet{1.0},
                                 objective::LogDet{1e-3}};

/// A whole piece with as many open columns as a list may have, all in front.
TEST(a_list_of_the_largest_size_fits) {
  const Item columns = 1 << 16;
  for (const Level& level : levels()) {
    std::vector<std::uint16_t> values(static_cast<std::size_t>(columns));
    std::fill_n(values.begin(), columns / 32, std::uint16_t{3});
    const std::vector<std::uint16_t> best(values.size() + Kernel16Cover::kPadding, 1);
    Kernel16Cover cover(values.data(), 1, columns, columns, Kernel16Cover::Use::kOnce, *level.ops);
    CHECK(cover.gain(0, best.data()) == 2 * (columns / 32));  // makes the list
    CHECK(cover.work(0) == columns / 32);
    CHECK(cover.gain(0, best.data()) == 2 * (columns / 32));
  }
}

/// Rows that are used up by greedy say what rows that stay say, over more than one piece, and for
/// each level.
TEST(lists_of_open_entries_are_exact) {
  const Item rows = 40;
  for (const Item columns : {1, 33, 5000, 70001}) {
    const Offset stride = (Offset{columns} + 31) / 32 * 32;
    const Draws draws(7, 3);
    std::vector<std::uint16_t> values(static_cast<std::size_t>(rows * stride));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto drawn = draws.at(i);  // a few values of all sizes, ties, the largest
      values[i] = static_cast<std::uint16_t>(drawn % 3 == 0 ? drawn >> 48 : (drawn >> 60) * 4369);
    }
    for (const Level& level : levels()) {
      auto used = values, kept = values;
      using Use = Kernel16Cover::Use;
      const VectorOpLevel& ops = *level.ops;
      Kernel16Cover once(used.data(), rows, columns, stride, Use::kOnce, ops);
      Kernel16Cover again(kept.data(), rows, columns, stride, Use::kAgain, ops);
      std::vector<std::uint16_t> best(static_cast<std::size_t>(columns) + Kernel16Cover::kPadding);
      std::vector<std::uint16_t> plain = best;
      for (Item round = 0; round < rows; ++round) {
        for (Item v = 0; v < rows; ++v) {
          if ((v + round) % 3 == 0) continue;  // some rows are asked later than others
          std::int64_t gain = 0;
          for (Item u = 0; u < columns; ++u)
            gain += std::max(0, values[v * stride + u] - plain[static_cast<std::size_t>(u)]);
          CHECK(once.gain(v, best.data()) == gain);
          CHECK(again.gain(v, plain.data()) == gain);
        }
        once.cover(round, best.data());
        again.cover(round, plain.data());
        CHECK(best == plain);
      }
      CHECK(kept == values);
      CHECK(columns < 33 || used != values);  // lists were made
    }
  }
}

TEST(lazy_is_naive_bit_for_bit_over_rows) {
  for (const Item n : {1, 2, 3, 17, 90}) {
    for (const Item d : {1, 5, 33}) {
      const auto values = rows_around(n, d, 6, 7 * n + d);
      const RowsView rows{values.data(), n, d};
      for (const Objective& s : kObjectives) {
        const Chosen naive = run(rows, s, Optimizer::kNaive, n);
        CHECK(same(naive, run(rows, s, Optimizer::kLazy, n)));
        CHECK(same(naive, run(rows, s, Optimizer::kLazy, n, 3)));
        CHECK(same(naive, run(rows, s, Optimizer::kNaive, n, 3)));
        CHECK(static_cast<Item>(naive.items.size()) == n);
      }
    }
  }
}

TEST(lazier_than_lazy_is_stochastic_bit_for_bit) {
  const auto values = rows_around(120, 9, 8, 3);
  const RowsView rows{values.data(), 120, 9};
  for (const Objective& s : kObjectives) {
    for (const Item budget : {0, 1, 20, 60, 120}) {
      CHECK(same(run(rows, s, Optimizer::kStochastic, budget),
                 run(rows, s, Optimizer::kLazierThanLazy, budget)));
    }
  }
}

TEST(ranking_many_groups_is_ranking_each) {
  const Item n = 60, d = 12;
  const auto values = rows_around(n, d, 5, 11);
  const RowsView rows{values.data(), n, d};
  const std::vector<Offset> sizes{1, 0, 2, 30, 1, 26};
  for (const Objective& s : kObjectives) {
    for (const int threads : {1, 4}) {
      const GroupOrders orders =
          rank_groups(rows, {sizes.data(), static_cast<Offset>(sizes.size())}, s, plain(threads));
      Offset start = 0;
      for (const Offset size : sizes) {
        const RowsView own{rows.row(static_cast<Item>(start)), static_cast<Item>(size), d};
        const Chosen alone = run(own, s, Optimizer::kNaive, static_cast<Item>(size));
        CHECK(std::equal(alone.items.begin(), alone.items.end(), orders.order.begin() + start));
        CHECK(std::equal(alone.gains.begin(), alone.gains.end(), orders.gains.begin() + start));
        start += size;
      }
    }
  }
}

TEST(a_cancelled_run_throws) {
  const auto values = rows_around(200, 8, 5, 1);
  const std::vector<Offset> sizes(100, 2);
  const Stop always([](void*) { return true; }, nullptr);
  bool threw = false;
  try {
    rank_groups({values.data(), 200, 8}, {sizes.data(), 100}, {},
                Context(1, always, level_named()));
  } catch (const Cancelled&) {
    threw = true;
  }
  CHECK(threw);
}

TEST(bounds_of_log_det_are_never_below_the_gain_and_close_to_it) {
  for (const Item d : {1, 5, 16, 33, 70}) {
    for (const double ridge : {1e-4, 1e-2, 1.0, 1e6}) {
      const Item n = 3 * d + 40;
      const auto values = rows_around(n, d, 9, 11 * d);
      const RowsView rows{values.data(), n, d};
      RowsLogDet f(rows, n, ridge, plain());
      std::vector<double> bound(static_cast<std::size_t>(n));
      for (Item round = 0; round < n; ++round) {
        std::vector<Item> asked;  // some never, some now and then, so that notes differ in age
        for (Item v = round; v < n; v += 1 + round % 4) asked.push_back(v);
        f.bounds(asked.data(), static_cast<Item>(asked.size()), bound.data());
        for (std::size_t i = 0; i < asked.size(); ++i) {
          const double gain = f.gain(asked[i]);
          CHECK(bound[i] >= gain);
          CHECK(bound[i] <= gain + 1e-3 * 1.01 / ridge);
          if (round % 16 == 0) CHECK(f.weigh(asked[i]) == gain);
        }
        f.add(round);
      }
    }
  }
}

/// Templates of unequal shares, and every seventh row in S from the start.
struct Shares {
  explicit Shares(Item n) {
    for (Item row = 0; row < n; ++row) {
      templates.push_back(row % 5 == 0 ? n - 1 : row % 3);
      if (row % 7 == 2) first.push_back(row);
    }
  }
  Request request(const Objective& objective, Optimizer optimizer) const {
    Request request;
    request.objective = objective;
    request.options.optimizer = optimizer;
    request.budget = static_cast<Item>(templates.size() - first.size());
    request.templates = {templates.data(), static_cast<Offset>(templates.size())};
    request.first = {first.data(), static_cast<Offset>(first.size())};
    return request;
  }
  /// All rows but those that come first, once, each in the turn of its template.
  bool keeps_to(const std::vector<Item>& items) const {
    Turns turns = Turns::among({templates.data(), static_cast<Offset>(templates.size())},
                               {first.data(), static_cast<Offset>(first.size())});
    std::vector<char> seen(templates.size(), 0);
    for (const Item row : first) seen[row] = 1;
    for (const Item row : items) {
      if (seen[row] || !turns.may_give(row)) return false;
      seen[row] = 1;
      turns.give(turns.of(row));
    }
    return items.size() + first.size() == templates.size();
  }

  std::vector<Item> templates, first;
};

TEST(lazy_is_naive_where_templates_keep_to_their_shares) {
  for (const Item n : {1, 12, 300}) {
    for (const Item d : {6, 500}) {
      const auto values = rows_around(n, d, 6, 31);
      const RowsView rows{values.data(), n, d};
      const Shares shares(n);
      for (const Objective& objective : kObjectives) {
        const Chosen naive = maximize(rows, shares.request(objective, Optimizer::kNaive), plain());
        CHECK(shares.keeps_to(naive.items));
        for (const int threads : {1, 3}) {
          const Request lazy = shares.request(objective, Optimizer::kLazy);
          CHECK(same(naive, maximize(rows, lazy, plain(threads))));
        }
      }
    }
  }
}

TEST(a_dense_head_keeps_to_the_shares_of_templates) {
  const Item n = 300, d = 12;
  const auto values = rows_around(n, d, 6, 41);
  const RowsView rows{values.data(), n, d};
  const auto neighbours = exact_neighbours(rows, 8, plain());
  const auto graph = symmetrised(neighbours.view(), nullptr, plain());
  const Shares shares(n);
  const Request lazy = shares.request(objective::FacilityLocation{}, Optimizer::kLazy);
  for (const Item candidates : {3, 40, n}) {
    const Item head = candidates / 3;
    const Chosen one = maximize_with_head(rows, graph.view(), candidates, head, lazy, plain());
    CHECK(shares.keeps_to(one.items));
    CHECK(same(one, maximize_with_head(rows, graph.view(), candidates, head, lazy, plain(3))));
  }
}

TEST(a_dense_head_of_all_rows_is_the_dense_greedy) {
  const Item n = 90;
  const auto values = rows_around(n, 33, 6, 17);
  const RowsView rows{values.data(), n, 33};
  std::vector<Offset> indptr{0};  // every row knows itself alone, so the head decides
  std::vector<Item> indices;
  std::vector<std::int32_t> weights;
  for (Item v = 0; v < n; ++v) {
    indices.push_back(v);
    weights.push_back(static_cast<std::int32_t>(norm2(rows.row(v), rows.d)));
    indptr.push_back(v + 1);
  }
  const GraphView<std::int32_t> graph{n, indptr.data(), indices.data(), weights.data()};
  for (const int threads : {1, 3}) {
    Request request;
    request.budget = n;
    const Chosen dense = maximize(rows, request, plain(threads));
    CHECK(same(dense, maximize_with_head(rows, graph, n, n, request, plain(threads))));
    double value = 0.0;
    for (const double gain : dense.gains) value += gain;
    const Span<const Item> items{dense.items.data(), static_cast<Offset>(n)};
    const DenseWorth worth = dense_worth(rows, items, plain(threads));
    CHECK(std::abs(worth.value - value) <= 1e-9 * value);
    CHECK(worth.gap == 0.0);
  }
}

TEST(with_costs_that_are_all_one_the_limit_is_a_budget) {
  const auto values = rows_around(60, 9, 6, 5);
  const RowsView rows{values.data(), 60, 9};
  const std::vector<double> ones(60, 1.0);
  for (const Objective& s : kObjectives) {
    const Item budget = std::holds_alternative<objective::FacilityLocation>(s) ? 60 : 20;
    for (const int threads : {1, 3}) {
      Request request;
      request.objective = s;
      request.costs = {ones.data(), static_cast<double>(budget)};
      const Chosen chosen = maximize(rows, request, plain(threads));
      const Chosen plain = run(rows, s, Optimizer::kLazy, budget, threads);
      CHECK(chosen.items == plain.items);
    }
  }
}

TEST(a_kernel_without_positive_variance_is_refused_with_its_row) {
  const std::vector<double> kernel{1.0, 2.0, 2.0, 1.0};
  Request request;
  request.objective = objective::LogDet{0.5};
  request.budget = 2;
  Item row = -1;
  try {
    maximize(DenseView<double>{kernel.data(), 2}, request, plain());
  } catch (const NotPositiveDefinite& problem) {
    row = problem.item;
  }
  CHECK(row == 1);
}

TEST(draws_are_those_of_the_python_side) {
  CHECK(Draws(7, 5).at(0) == 0x8b76d6143d34732aULL);
  CHECK(Draws(7, 5).at(1) == 0xae0f6c2fb2ac393bULL);
  CHECK(Draws(static_cast<std::uint64_t>(-1), 3).at(std::uint64_t{1} << 32) ==
        0x0b913a5b9f651ffeULL);
}

TEST(our_logarithm_is_the_logarithm) {
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    CHECK(std::abs(natural_log(x) - std::log(x)) <= 4e-16 * std::max(1.0, std::abs(std::log(x))));
  }
  CHECK(natural_log(1.0) == 0.0);
}

}  // namespace
