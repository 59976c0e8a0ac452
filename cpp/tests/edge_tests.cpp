// What keeps lazy greedy exact: which rows are equal, and how far a gain can rise. A limit that is
// too low by a hair shows here long before it changes a selection.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "smartx/candidate.hpp"
#include "smartx/dot.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph_cut.hpp"
#include "smartx/knn.hpp"
#include "smartx/log_det_rows.hpp"
#include "smartx/rng.hpp"
#include "smartx/select.hpp"

namespace {

using namespace smartx;

/// Uniform over -1 .. 1.
double drawn(const Draws& draws, std::uint64_t index) {
  return static_cast<double>(draws.at(index) >> 11) * 0x1p-52 - 1.0;
}

std::vector<std::int16_t> some_rows(Item n, Item d, std::uint64_t seed) {
  const Draws draws(seed, 21);
  std::vector<double> values(static_cast<std::size_t>(n) * d);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = drawn(draws, i) + 0.3;
  std::vector<std::int16_t> rows(values.size());
  CHECK(quantize(values.data(), n, d, rows.data(), plain()).kind == RowFaults::Kind::kNone);
  return rows;
}

/// The bound of every gain of the round before allows the gain now: what all lazy searches rest on.
/// `again`: a row that was added may be added again.
template <class F>
void check_that_bounds_hold(F& f, const std::vector<Item>& additions, bool again) {
  std::vector<Bound<double>> bounds;
  for (Item v = 0; v < f.size(); ++v) bounds.push_back({f.gain(v) - f.risen(), v});
  for (const Item addition : additions) {
    f.add(addition);
    const auto own = [&](const Bound<double>& bound) { return bound.item == addition; };
    if (!again) bounds.erase(std::find_if(bounds.begin(), bounds.end(), own));
    for (Bound<double>& bound : bounds) {
      const double gain = f.gain(bound.item);
      CHECK(gain <= allowed(bound.key, f.risen()));
      bound.key = gain - f.risen();
    }
  }
}

}  // namespace

TEST(classes_of_equal_rows_are_those_of_the_definition) {
  for (const Item d : {1, 3, 7, 8, 9, 33}) {
    for (const Item kinds : {1, 2, 10, 200}) {
      const Item n = 300;
      const auto few = some_rows(kinds, d, 5);
      const Draws draws(3, 22);
      std::vector<std::int16_t> values;
      std::vector<double> costs;
      for (Item i = 0; i < n; ++i) {  // rows that agree in all but the last value among them
        const std::int16_t* row = few.data() + draws.below(kinds, 2 * i) * d;
        values.insert(values.end(), row, row + d);
        if (i % 5 == 0) ++values.back();
        costs.push_back(1.0 + draws.below(2, 2 * i + 1));
      }
      const RowsView rows{values.data(), n, d};
      for (const double* of : std::initializer_list<const double*>{nullptr, costs.data()}) {
        const EqualRows equal(rows, plain(), of);
        Item classes = 0;
        for (Item i = 0; i < n; ++i) {
          const auto same = [&](Item j) {
            return std::equal(rows.row(i), rows.row(i) + d, rows.row(j)) &&
                   (of == nullptr || of[i] == of[j]);
          };
          Item first = 0, after = i + 1;
          while (!same(first)) ++first;
          while (after < n && !same(after)) ++after;
          CHECK(equal.first(equal.class_of(i)) == first);
          CHECK(equal.after(i) == (after < n ? after : -1));
          if (first == i) CHECK(equal.class_of(i) == classes++);
        }
        CHECK(equal.classes() == classes);
        CHECK(equal.rows() == n);
      }
    }
  }
}

TEST(no_gain_of_log_det_rises_by_more_than_is_said) {
  for (const Item d : {1, 5, 16, 17, 40}) {
    for (const double ridge : {1.0, 1e-4, 1e-8, 1e-12}) {
      const Item n = 3 * std::max<Item>(d, 16);
      const auto values = some_rows(n, d, d);
      RowsLogDet f(RowsView{values.data(), n, d}, 2 * n, ridge, plain());
      std::vector<Item> additions;
      for (Item i = 0; i < 2 * n; ++i) additions.push_back(i * 7 % n);  // some twice
      check_that_bounds_hold(f, additions, true);
    }
  }
}

/// A symmetric kernel of both signs.
std::vector<double> signed_kernel(Item n, std::uint64_t seed) {
  const Draws draws(seed, 23);
  std::vector<double> kernel(static_cast<std::size_t>(n) * n);
  for (Item i = 0; i < n; ++i)
    for (Item j = 0; j <= i; ++j)
      kernel[i * n + j] = kernel[j * n + i] = drawn(draws, std::uint64_t(i) * n + j);
  return kernel;
}

TEST(no_gain_of_graph_cut_rises_by_more_than_is_said) {
  for (const Item n : {2, 9, 60}) {
    const auto values = signed_kernel(n, n);
    std::vector<Item> additions;
    for (Item i = 0; i < n; ++i) additions.push_back((i * 7 + 1) % n);  // each once
    for (const double penalty : {0.0, 0.4, 1.0, 1e6}) {
      using Source = DenseCut<double>;
      GraphCut<Source> f(Source(DenseView<double>{values.data(), n}), penalty, 1.0, plain());
      check_that_bounds_hold(f, additions, false);
    }
  }
}

TEST(the_certificate_counts_every_row_that_is_left_and_no_other) {
  const Item n = 60, d = 9;
  auto values = some_rows(n, d, 8);
  for (Item i = n / 2; i < n; i += 2)  // many classes of two
    std::copy_n(values.data() + (i - n / 2) * d, d, values.data() + i * d);
  const RowsView rows{values.data(), n, d};
  const auto exact = similarities(rows, rows, plain());
  const auto covers = [&](Item v, Item u) {
    return std::min((std::max(exact[v * n + u], 0) + 128) >> 8, 65535);
  };
  for (const Item budget : {1, 7, 30, 59}) {
    Request request;
    request.budget = budget;
    request.certificate = true;
    const Chosen chosen = maximize(rows, request, plain());
    std::vector<std::int64_t> gains;
    for (Item v = 0; v < n; ++v) {
      if (std::find(chosen.items.begin(), chosen.items.end(), v) != chosen.items.end()) continue;
      gains.push_back(0);
      for (Item u = 0; u < n; ++u) {
        int best = 0;
        for (const Item item : chosen.items) best = std::max(best, covers(item, u));
        gains.back() += std::max(0, covers(v, u) - best);
      }
    }
    std::sort(gains.begin(), gains.end(), std::greater<std::int64_t>());
    gains.resize(std::min(gains.size(), chosen.items.size()));
    std::int64_t total = 0;
    for (const std::int64_t gain : gains) total += gain;
    const double wanted = static_cast<double>(total) * 256.0 / (kScale * kScale);
    CHECK(std::abs(chosen.gap - wanted) <= 1e-12 * (1.0 + wanted));
  }
  Request all;  // of a function that rows would still add to when they are chosen
  all.objective = objective::LogDet{1e-3};
  all.budget = n;
  all.certificate = true;
  CHECK(maximize(rows, all, plain()).gap == 0.0);
}

TEST(rows_and_their_negatives_tie_and_the_lower_goes_first) {
  const Item n = 80, d = 12;
  auto values = some_rows(n, d, 9);
  for (Item i = 0; i < n / 2; ++i)  // row n - 1 - i is the negative of row i
    for (Item c = 0; c < d; ++c)
      values[(n - 1 - i) * d + c] = static_cast<std::int16_t>(-values[i * d + c]);
  Request request;
  request.objective = objective::LogDet{0.1};
  request.budget = n;
  const Chosen lazy = maximize(RowsView{values.data(), n, d}, request, plain());
  request.options.optimizer = Optimizer::kNaive;
  const Chosen naive = maximize(RowsView{values.data(), n, d}, request, plain());
  CHECK(lazy.items == naive.items);
  CHECK(lazy.gains == naive.gains);
  CHECK(lazy.items[0] < n / 2);  // its negative gains as much
}

TEST(rows_at_right_angles_are_chosen_in_their_order) {
  const Item n = 40;
  std::vector<std::int16_t> values(static_cast<std::size_t>(n) * n);
  for (Item i = 0; i < n; ++i) values[i * n + (i * 7 + 3) % n] = 4088;
  for (const Objective& objective :
       {Objective(objective::FacilityLocation{}), Objective(objective::GraphCut{0.4}),
        Objective(objective::LogDet{0.1})}) {
    Request request;
    request.objective = objective;
    request.budget = n;
    const Chosen chosen = maximize(RowsView{values.data(), n, n}, request, plain());
    for (Item i = 0; i < n; ++i) CHECK(chosen.items[i] == i);
  }
}

/// The variances of all rows after each addition, by the definition of a Cholesky factor. An epoch
/// of 65 rows moves 64 of them into the exact sums at once, and one.
TEST(variances_of_log_det_are_those_of_a_factor_over_several_epochs) {
  for (const Item d : {5, 65}) {
    const Item n = 2 * std::max<Item>(d, 16) + 9;
    const double ridge = 0.01;
    const auto values = some_rows(n, d, 4);
    const RowsView rows{values.data(), n, d};
    const auto exact = similarities(rows, rows, plain());
    const double unit = 1.0 / (kScale * kScale);
    RowsLogDet f(rows, n, ridge, plain());
    std::vector<double> variances;
    std::vector<std::vector<double>> factor;
    for (Item v = 0; v < n; ++v) variances.push_back(exact[v * n + v] * unit + ridge);
    for (Item round = 0; round < n; ++round) {
      const Item item = round * 2 % n;  // n is odd
      std::vector<double> column;
      for (Item v = 0; v < n; ++v) {
        double entry = exact[item * n + v] * unit;
        for (const std::vector<double>& earlier : factor) entry -= earlier[item] * earlier[v];
        column.push_back(entry / std::sqrt(variances[item]));
      }
      f.add(item);
      for (Item v = 0; v < n; ++v) {
        variances[v] -= column[v] * column[v];
        CHECK(std::abs(std::exp(f.shown(f.gain(v))) - variances[v]) <= 1e-8);
      }
      factor.push_back(column);
    }
  }
}

TEST(work_inside_a_task_stops_when_another_task_fails) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(30);
  std::atomic<bool> begun{false}, seen{false};
  bool threw = false;
  try {
    parallel_tasks(2, plain(2), [&](Offset, int hand, const Context& alone) {
      if (hand == 0) {
        while (!begun && Clock::now() < end) std::this_thread::yield();
        throw std::runtime_error("as it is");
      }
      parallel_tasks(1, alone, [&](Offset, int, const Context& inside) {
        begun = true;
        while (!seen && Clock::now() < end) seen = inside.stopped();
      });
    });
  } catch (const std::runtime_error& problem) {
    threw = std::string(problem.what()) == "as it is";
  }
  CHECK(threw);
  CHECK(seen);
}

/// Similarities of few values: one more than a floor is common, and decides.
TEST(neighbours_of_small_whole_numbers_are_the_same_on_all_threads) {
  const Item n = 3000, d = 6;
  const Draws draws(6, 25);
  std::vector<std::int16_t> values(static_cast<std::size_t>(n) * d);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<std::int16_t>(draws.below(8, i) - 3);
  const RowsView rows{values.data(), n, d};
  for (const Item k : {1, 10, 64, 200}) {
    const Neighbours one = exact_neighbours(rows, k, plain());
    for (const int threads : {2, 3}) {
      const Neighbours found = exact_neighbours(rows, k, plain(threads));
      CHECK(found.items == one.items);
      CHECK(found.similarities == one.similarities);
    }
  }
}

/// In round 3 the rows of the second half fall to what those of the first are known to gain.
TEST(a_bound_that_only_equals_the_best_gain_is_looked_at_for_its_lower_row) {
  const Item n = 40;
  std::vector<double> kernel(static_cast<std::size_t>(n) * n);
  for (Item i = 0; i < n; ++i)
    for (Item j = 0; j < n; ++j)
      kernel[i * n + j] = i == j ? 1.0 : (i < n / 2) == (j < n / 2) ? 0.5 : 0.0;
  Request request;
  request.objective = objective::LogDet{0.1};
  request.budget = 3;
  const Chosen lazy = maximize(DenseView<double>{kernel.data(), n}, request, plain());
  CHECK(lazy.items == std::vector<Item>{0, n / 2, 1});
}
