// Graph cut: its epochs, their limit, its certificates, and what it refuses.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "smartx/cosine_kernel.hpp"
#include "smartx/cut_limit.hpp"
#include "smartx/cut_rows.hpp"
#include "smartx/dot.hpp"
#include "smartx/graph_cut.hpp"
#include "smartx/real.hpp"
#include "smartx/rng.hpp"
#include "smartx/select.hpp"

namespace {

using namespace smartx;

struct Random {
  Draws draws;
  std::uint64_t next = 0;

  explicit Random(std::uint64_t seed) : draws(seed, 9) {}
  /// In [-1, 1).
  double real() { return static_cast<double>(draws.at(next++) >> 11) * 0x1p-52 - 1.0; }
  Item below(Item n) { return static_cast<Item>(draws.below(n, next++)); }
};

/// Rows around a mean; `distinct` of them differ (0: all), in no order.
std::vector<std::int16_t> some_rows(Item n, Item d, Item distinct, double mean, Random& random) {
  std::vector<std::int16_t> rows(static_cast<std::size_t>(n) * d);
  const Item bases = distinct == 0 ? n : distinct;
  std::vector<double> values(static_cast<std::size_t>(bases) * d);
  for (Item i = 0; i < bases; ++i)
    for (Item c = 0; c < d; ++c) values[i * d + c] = random.real() + (c == 0 ? mean : 1e-3);
  std::vector<std::int16_t> base(values.size());
  CHECK(quantize(values.data(), bases, d, base.data(), plain()).kind == RowFaults::Kind::kNone);
  for (Item i = 0; i < n; ++i)
    std::copy_n(base.data() + (distinct == 0 ? i : random.below(bases)) * d, d,
                rows.data() + i * d);
  return rows;
}

/// Greedy by the definition, over a matrix of similarities.
Selection<double> by_definition(const std::vector<std::int32_t>& s, Item n, double penalty,
                                Item budget) {
  Selection<double> chosen;
  std::vector<char> taken(static_cast<std::size_t>(n));
  std::vector<std::int64_t> all(taken.size()), inside(taken.size());
  for (Item i = 0; i < n; ++i)
    for (Item j = 0; j < n; ++j) all[i] += s[i * n + j];
  while (static_cast<Item>(chosen.items.size()) < budget) {
    Item best = -1;
    double high = 0.0;
    for (Item v = 0; v < n; ++v) {
      const double gain =
          static_cast<double>(all[v]) - penalty * static_cast<double>(2 * inside[v] + s[v * n + v]);
      if (taken[v] || (best >= 0 && gain <= high)) continue;
      best = v;
      high = gain;
    }
    taken[best] = 1;
    for (Item v = 0; v < n; ++v) inside[v] += s[best * n + v];
    chosen.items.push_back(best);
    chosen.gains.push_back(high);
  }
  return chosen;
}

Selection<double> epochs(RowsView rows, const EqualRows& equal, double penalty, Item budget,
                         Offset candidates, int threads = 1) {
  Turns turns;
  return greedy_cut(rows, equal, turns, penalty, budget, {}, candidates, plain(threads));
}

TEST(epochs_over_classes_of_equal_rows_are_greedy_over_all_rows) {
  Random random(1);
  const Item n = 260;
  for (const Item distinct : {0, 1, 2, 10, 60, 200}) {
    for (const double mean : {0.0, 0.5, 20.0}) {
      for (const Item d : {1, 3, 24}) {
        const auto values = some_rows(n, d, distinct, mean, random);
        const RowsView rows{values.data(), n, d};
        const EqualRows equal(rows, plain()), unasked(n);
        const auto s = similarities(rows, rows, plain());
        for (const double penalty : {0.0, 0.4, 3.0}) {
          const auto expected = by_definition(s, n, penalty, n);
          for (const Offset candidates : {0, 1, 5, 30}) {
            for (const EqualRows* classes : {&equal, &unasked}) {
              for (const int threads : {1, 3}) {
                const auto chosen = epochs(rows, *classes, penalty, n, candidates, threads);
                CHECK(chosen.items == expected.items);
                CHECK(chosen.gains == expected.gains);
              }
            }
          }
        }
      }
    }
  }
}

TEST(of_a_class_of_equal_rows_greedy_asks_once) {
  Random random(2);
  const Item n = 3000, d = 16;
  const auto values = some_rows(n, d, 10, 0.5, random);
  const RowsView rows{values.data(), n, d};
  const EqualRows equal(rows, plain());
  CHECK(epochs(rows, equal, 0.4, n, 0).evaluations <= 100);
  CHECK(epochs(rows, equal, 0.4, n, 3).evaluations <= 10 * n);
}

/// Rows of a plane: the sum of all lies along the first axis. Every gain is made as the definition
/// makes it; g - 2 penalty q . D in exact integers is what the limit must not be below.
struct Plane {
  std::int64_t length;  // of the sum of all rows
  double penalty;

  double gain(std::int64_t row_sum, std::int64_t inside) const {
    return static_cast<double>(row_sum) - penalty * static_cast<double>(inside);
  }
};

TEST(no_outsider_is_above_the_limit_and_one_that_moves_away_from_the_rest_is_at_it) {
  Random random(3);
  for (int round = 0; round < 4000; ++round) {
    const Plane plane{1 + random.below(1 << 20), 0.01 * (1 + random.below(300))};
    // The one outsider, across the sum of all as far as any row, and what an epoch chose.
    const std::int64_t along = random.below(2001) - 1000, across = round % 4 * random.below(1000);
    const std::int64_t chosen_along = random.below(60001) - 20000;
    const std::int64_t chosen_across = -random.below(40000);  // against it: the gain rises most
    const std::int64_t row_sum = along * plane.length, before = random.below(1 << 20);
    const double start = plane.gain(row_sum, before);
    const double now =
        plane.gain(row_sum, before + 2 * (along * chosen_along + across * chosen_across));
    const double step = 1e-3 * plane.penalty * random.below(1000);
    Outsiders outsiders;
    outsiders.see(start, static_cast<double>(row_sum), step);
    CutLimit limit(plane.penalty, static_cast<double>(plane.length), static_cast<double>(across));
    const double reach = std::abs(static_cast<double>(row_sum)) +
                         plane.penalty * (static_cast<double>(before) + 2.0 * 4096 * 60000);
    limit.start(outsiders, step, reach);
    const std::int64_t square = chosen_along * chosen_along + chosen_across * chosen_across;
    const double above = limit.above(square, chosen_along * plane.length);
    CHECK(above >= now);
    const double moved = std::sqrt(static_cast<double>(square));
    CHECK(above <= now + 0.14 * plane.penalty * moved + 1e-9 * reach);
  }
}

TEST(no_outsider_of_many_is_above_the_limit) {
  Random random(4);
  for (const Item d : {1, 2, 5, 30}) {
    for (const double mean : {0.0, 0.3, 3.0, 100.0}) {
      const Item n = 120;
      const auto values = some_rows(n, d, 0, mean, random);
      const RowsView rows{values.data(), n, d};
      std::vector<std::int64_t> all = sum_rows(rows, plain()), moved(all.size());
      double square = 0.0, across2 = 0.0, largest = 0.0;
      for (const std::int64_t value : all) square += static_cast<double>(value) * value;
      const double length = std::sqrt(square), penalty = 0.4;
      for (Item v = 0; v < n; ++v) {
        const auto sum = static_cast<double>(dot(rows.row(v), all.data(), d));
        largest = std::max(largest, std::abs(sum));
        across2 = std::max(across2, norm2(rows.row(v), d) - (sum / length) * (sum / length));
      }
      for (const double step : {0.0, 1e-3, 0.05, 1.0}) {
        Outsiders outsiders, others;
        std::vector<double> sums, starts;
        for (Item v = 60; v < n; ++v) {
          sums.push_back(static_cast<double>(dot(rows.row(v), all.data(), d)));
          starts.push_back(sums.back() - penalty * static_cast<double>(norm2(rows.row(v), d)));
          (v % 2 == 0 ? outsiders : others).see(starts.back(), sums.back(), step);
        }
        outsiders.join(others);
        CutLimit limit(penalty, length, std::sqrt(across2 + 0x1p-10));
        limit.start(outsiders, step, largest + penalty * 0x1p24);
        std::fill(moved.begin(), moved.end(), 0);
        for (Item chosen = 0; chosen < 60; ++chosen) {
          for (Item c = 0; c < d; ++c) moved[c] += rows.row(chosen)[c];
          std::int64_t own = 0, with_all = 0;
          for (Item c = 0; c < d; ++c) {
            own += moved[c] * moved[c];
            with_all += moved[c] * all[c];
          }
          const double above = limit.above(own, with_all);
          for (Item v = 60; v < n; ++v) {
            const auto with_moved = static_cast<double>(dot(rows.row(v), moved.data(), d));
            CHECK(above >= starts[v - 60] - 2.0 * penalty * with_moved);
          }
        }
      }
    }
  }
  CutLimit nobody(1.0, 1.0, 1.0);
  nobody.start({}, 0.0, 1.0);
  CHECK(nobody.above(4, 2) == Outsiders::kNone);
}

Chosen cut_of(DenseView<double> kernel, double penalty, Item budget) {
  Request request;
  request.objective = objective::GraphCut{penalty};
  request.budget = budget;
  request.certificate = true;
  return maximize(kernel, request, plain());
}

double value_of(const std::vector<double>& kernel, Item n, unsigned set, double penalty) {
  double value = 0.0;
  for (Item j = 0; j < n; ++j) {
    if ((set >> j & 1) == 0) continue;
    for (Item i = 0; i < n; ++i)
      value += kernel[i * n + j] * (1.0 - penalty * static_cast<double>(set >> i & 1));
  }
  return value;
}

/// The best value of a set of each size.
std::vector<double> best_values(const std::vector<double>& kernel, Item n, double penalty) {
  std::vector<double> best(static_cast<std::size_t>(n) + 1,
                           -std::numeric_limits<double>::infinity());
  for (unsigned set = 0; set < 1U << n; ++set) {
    double& own = best[static_cast<std::size_t>(__builtin_popcount(set))];
    own = std::max(own, value_of(kernel, n, set, penalty));
  }
  return best;
}

double sum_of(const std::vector<double>& gains) {
  double total = 0.0;
  for (const double gain : gains) total += gain;
  return total;
}

/// Kernels of unit vectors, and of no vectors at all: half of their entries are negative.
TEST(no_set_of_a_size_is_above_the_certificate_of_graph_cut) {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    const Item n = 2 + random.below(6), d = 1 + random.below(4);
    std::vector<double> kernel(static_cast<std::size_t>(n) * n), rows;
    if (round % 3 == 0) {
      for (Item i = 0; i < n; ++i)
        for (Item j = 0; j <= i; ++j) kernel[i * n + j] = kernel[j * n + i] = 2.0 * random.real();
    } else {
      for (Item i = 0; i < n * d; ++i) rows.push_back(random.real());
      kernel = cosine_kernel(rows.data(), n, d, plain());
    }
    for (const double penalty : {0.25, 0.5, 1.0, 2.0}) {
      const auto best = best_values(kernel, n, penalty);
      for (Item budget = 1; budget <= n; ++budget) {
        const Chosen chosen = cut_of({kernel.data(), n}, penalty, budget);
        CHECK(sum_of(chosen.gains) + chosen.gap >= best[budget] - 1e-9);
      }
    }
  }
}

TEST(no_set_of_a_size_is_above_the_gap_of_rows) {
  Random random(6);
  const double unit = 1.0 / (kScale * kScale);
  double loose = 0.0;
  for (int round = 0; round < 200; ++round) {
    const Item n = 2 + random.below(7), d = 1 + random.below(4);
    const auto values = some_rows(n, d, round % 4 == 0 ? 2 : 0, round % 2, random);
    const RowsView rows{values.data(), n, d};
    const auto s = similarities(rows, rows, plain());
    std::vector<double> kernel(s.begin(), s.end());
    for (double& value : kernel) value *= unit;
    for (const double penalty : {0.0, 0.25, 0.5, 1.0, 2.0}) {
      const auto best = best_values(kernel, n, penalty);
      for (Item budget = 1; budget <= n; ++budget) {
        Request request;
        request.objective = objective::GraphCut{penalty};
        request.budget = budget;
        request.certificate = true;
        const Chosen chosen = maximize(rows, request, plain());
        CHECK(sum_of(chosen.gains) + chosen.gap >= best[budget] - 1e-9);
        if (penalty == 0.0) loose = std::max(loose, chosen.gap);  // f is modular: greedy is best
      }
    }
  }
  CHECK(loose == 0.0);
}

TEST(a_cut_over_classes_of_rows_counts_every_row) {
  Random random(7);
  const Item n = 90, d = 5;
  for (const Level& level : levels()) {
    const auto values = some_rows(n, d, 7, 0.3, random);
    const RowsView rows{values.data(), n, d};
    const Context context = plain(2, level);
    const EqualRows equal(rows, context);
    const auto s = similarities(rows, rows, context);
    GraphCut<RowsCut> f(RowsCut(equal.distinct(rows), context), 0.7, 1.0, context);
    std::vector<std::int64_t> inside(static_cast<std::size_t>(equal.classes()));
    for (int round = 0; round < 40; ++round) {
      for (Item c = 0; c < equal.classes(); ++c) {
        const Item v = equal.first(c);
        std::int64_t row_sum = 0;
        for (Item u = 0; u < n; ++u) row_sum += s[v * n + u];
        CHECK(f.gain(c) == static_cast<double>(row_sum) -
                               0.7 * static_cast<double>(2 * inside[c] + s[v * n + v]));
      }
      const Item added = random.below(equal.classes());
      f.add(added);
      for (Item c = 0; c < equal.classes(); ++c)
        inside[c] += s[equal.first(c) * n + equal.first(added)];
    }
  }
}

template <class Work>
bool refused(const Work& work) {
  try {
    work();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

TEST(what_no_float_holds_is_refused) {
  Random random(8);
  const Item n = 20;
  const auto values = some_rows(n, 4, 0, 0.3, random);
  const RowsView rows{values.data(), n, 4};
  for (const Optimizer optimizer : {Optimizer::kLazy, Optimizer::kNaive}) {
    for (const double penalty : {1e302, std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()}) {
      Request request;
      request.objective = objective::GraphCut{penalty};
      request.budget = n;
      request.options.optimizer = optimizer;
      CHECK(refused([&] { maximize(rows, request, plain()); }));
    }
    Request request;
    request.objective = objective::GraphCut{1e280};
    request.budget = n;
    request.options.optimizer = optimizer;
    const Chosen chosen = maximize(rows, request, plain());
    CHECK(std::isfinite(sum_of(chosen.gains)) && chosen.items.size() == 20);
  }
  for (const double large : {1e308, -1e308}) {
    const std::vector<double> kernel{1.0, large, large, large, 1.0, large, large, large, 1.0};
    CHECK(refused([&] { cut_of({kernel.data(), 3}, 0.4, 3); }));
    Request request;
    request.budget = 3;
    const auto cover = [&] { maximize(DenseView<double>{kernel.data(), 3}, request, plain()); };
    CHECK(refused(cover) == (large > 0.0));  // what is negative covers nothing
  }
  const std::vector<double> mixed{1e308, -1e308, -1e308, 1e308};
  CHECK(refused([&] { cut_of({mixed.data(), 2}, 0.4, 2); }));
}

TEST(a_kernel_of_tasks_is_the_fixed_order_sum_of_each_pair) {
  Random random(9);
  for (const Item n : {1, 2, 63, 64, 65, 150}) {
    for (const Item d : {1, 7, 8, 33, 1500}) {
      if (n > 65 && d > 33) continue;
      std::vector<double> rows(static_cast<std::size_t>(n) * d), units(rows.size());
      for (double& value : rows) value = random.real() * 1e-200;
      for (Item i = 0; i < n; ++i) {
        double largest = 0.0;
        for (Item c = 0; c < d; ++c) largest = std::max(largest, std::abs(rows[i * d + c]));
        const auto scaled = [&](Offset c) { return rows[i * d + c] / largest; };
        const double norm =
            std::sqrt(fixed_order_sum(d, [&](Offset c) { return scaled(c) * scaled(c); }));
        for (Item c = 0; c < d; ++c) units[i * d + c] = scaled(c) / norm;
      }
      for (const Level& level : levels()) {
        const auto kernel = cosine_kernel(rows.data(), n, d, plain(n == 150 ? 3 : 1, level));
        for (Item i = 0; i < n; ++i)
          for (Item j = 0; j < n; ++j)
            CHECK(kernel[i * n + j] == fixed_order_sum(d, [&](Offset c) {
                    return units[i * d + c] * units[j * d + c];
                  }));
      }
    }
  }
}

}  // namespace
