// Log-determinant over rows and kernels: its bounds, epochs, classes of equal rows, both sides.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "smartx/candidate.hpp"
#include "smartx/greedy.hpp"
#include "smartx/log_det.hpp"
#include "smartx/log_det_gram.hpp"
#include "smartx/log_det_greedy.hpp"
#include "smartx/log_det_rows.hpp"
#include "smartx/rng.hpp"

namespace {

using namespace smartx;
using Kernel = KernelLogDet<GramEntries>;

/// n Q12 rows, of which `distinct` differ, around a common direction.
std::vector<std::int16_t> some_rows(Item n, Item d, Item distinct, std::uint64_t seed = 1) {
  const Draws draws(seed, 1);
  std::vector<double> values(static_cast<std::size_t>(n) * d);
  for (Item i = 0; i < n; ++i) {
    const auto like = static_cast<std::uint64_t>(
        i < distinct ? i : draws.below(distinct, (std::uint64_t{1} << 40) + i));
    for (Item c = 0; c < d; ++c)
      values[Offset{i} * d + c] =
          0.2 + static_cast<double>(draws.at(like * d + c) >> 11) * 0x1p-53 - 0.5;
  }
  std::vector<std::int16_t> rows(values.size());
  CHECK(quantize(values.data(), n, d, rows.data(), plain()).kind == RowFaults::Kind::kNone);
  return rows;
}

bool same(const Selection<double>& a, const Selection<double>& b) {
  return a.items == b.items && a.gains == b.gains;
}

template <class F>
Selection<double> naive(F f, const EqualRows& equal, const Context& context = plain()) {
  GreedyOptions options;
  options.optimizer = Optimizer::kNaive;
  Turns turns;
  return Greedy<F>(f, equal, turns, options, context).run(equal.rows());
}

template <class F>
Selection<double> lazy(F f, const EqualRows& equal, const Context& context = plain()) {
  Turns turns;
  return greedy_log_det(f, equal, turns, equal.rows(), {}, context);
}

TEST(lazy_log_det_is_naive_over_classes_and_over_all_rows_on_either_side) {
  for (const Item d : {3, 24, 40}) {
    for (const Item distinct : {1, 2, 9, 30, 90}) {
      const Item n = 90;
      const auto values = some_rows(n, d, distinct);
      const RowsView rows{values.data(), n, d};
      const EqualRows classes(rows, plain()), all(n);
      CHECK(classes.classes() <= distinct);
      for (const double ridge : {1e-12, 1e-6, 1e-2, 1.0, 1e12}) {
        const auto expected = naive(RowsLogDet(rows, n, ridge, plain()), all);
        const Kernel kernel(GramEntries(classes.distinct(rows), plain()), ridge, plain());
        const auto from_kernel = naive(kernel, classes);
        for (const double variance : from_kernel.gains) CHECK(variance >= ridge);
        for (const Level& level : levels()) {
          for (const int threads : {1, 3}) {
            const Context context = plain(threads, level);
            const RowsLogDet f(classes.distinct(rows), n, ridge, context);
            CHECK(same(lazy(f, classes, context), expected));
            CHECK(same(naive(f, classes, context), expected));
            const Kernel own(GramEntries(classes.distinct(rows), context), ridge, context);
            CHECK(same(lazy(own, classes, context), from_kernel));
          }
        }
      }
    }
  }
}

/// At every place of the order both sides know the same gain, but for rounding.
TEST(gains_over_the_kernel_of_rows_are_those_over_the_rows) {
  for (const Item distinct : {7, 60}) {
    const Item n = 60, d = 16;  // more than three epochs
    const auto values = some_rows(n, d, distinct);
    const RowsView rows{values.data(), n, d};
    const EqualRows classes(rows, plain());
    for (const double ridge : {1e-6, 1e-2, 1.0, 1e6}) {
      RowsLogDet by_rows(classes.distinct(rows), n, ridge, plain());
      Kernel by_kernel(GramEntries(classes.distinct(rows), plain()), ridge, plain());
      for (Item row = 0; row < n; ++row) {
        for (Item c = row % 3; c < classes.classes(); c += 3) {
          const double a = by_rows.shown(by_rows.gain(c));
          const double b = by_kernel.shown(by_kernel.gain(c));
          CHECK(std::abs(a - b) <= 1e-12 / ridge + 1e-12);
        }
        by_rows.add(classes.class_of(row));
        by_kernel.add(classes.class_of(row));
      }
    }
  }
}

TEST(rows_of_a_kernel_are_exact_before_and_after_all_are_known) {
  const Item n = 70, d = 130;
  const auto values = some_rows(n, d, n);
  const RowsView rows{values.data(), n, d};
  for (const Level& level : levels()) {
    GramEntries gram(rows, plain(2, level));
    for (Item i = 0; i < n; ++i) {
      gram.prepare(i);
      for (Item j = 0; j < n; ++j)
        CHECK(gram.at(i, j) == similarity(rows.row(i), rows.row(j), d) * (1.0 / (kScale * kScale)));
    }
  }
}

/// What rounding may raise at a new epoch is allowed for; and it does raise some.
TEST(no_gain_rises_by_more_than_it_is_said_to) {
  Offset rose = 0;
  for (const Item distinct : {2, 20, 80}) {
    const Item n = 80, d = 9;
    const auto values = some_rows(n, d, distinct);
    const RowsView rows{values.data(), n, d};
    for (const double ridge : {1e-12, 1e-9, 1e-4, 1.0}) {
      RowsLogDet f(rows, n, ridge, plain());
      std::vector<double> keys(static_cast<std::size_t>(n));
      for (Item v = 0; v < n; ++v) keys[v] = f.gain(v) - f.risen();
      for (Item round = 0; round < n; ++round) {
        f.add(round);
        for (Item v = 0; v < n; ++v) {
          const double gain = f.gain(v);
          CHECK(gain <= allowed(keys[v], f.risen()));
          rose += gain > keys[v];
          keys[v] = std::min(keys[v], gain - f.risen());
        }
      }
      CHECK(f.risen() > 0.0);
    }
  }
  CHECK(rose > 0);
}

/// Rows whose values are all alike round all to one side, in float32 and when they are added up.
TEST(bounds_of_log_det_hold_where_rounding_errors_add_up) {
  for (const Item d : {16, 48, 256, 1024}) {
    const Item n = 24;
    std::vector<std::int16_t> values(static_cast<std::size_t>(n) * d);
    const auto most = static_cast<std::int16_t>(std::sqrt(0x1p24 / d) - 1);
    for (Item i = 0; i < n; ++i)
      for (Item c = 0; c < d; ++c)
        values[Offset{i} * d + c] =
            static_cast<std::int16_t>(c % 8 < i / 3 ? most : most - 1 - i % 3);
    const RowsView rows{values.data(), n, d};
    for (const double ridge : {1e-3, 0.7, 3.0, 1e6}) {
      RowsLogDet f(rows, 3 * d, ridge, plain());
      std::vector<Item> all(static_cast<std::size_t>(n));
      for (Item v = 0; v < n; ++v) all[v] = v;
      std::vector<double> bound(all.size());
      const Item rounds = d > 256 ? 40 : 2 * d + 5;
      for (Item round = 0; round < rounds; ++round) {
        if (round < 20 || round % 7 == 0) {
          f.bounds(all.data(), n, bound.data());
          for (Item v = 0; v < n; ++v) {
            CHECK(bound[v] >= f.gain(v));
            CHECK(bound[v] <= f.gain(v) + 1e-3 * 1.01 / ridge);
            const double gain = f.weigh(v);  // from now on the bound is the gain, rounded up
            f.bounds(&v, 1, &bound[v]);
            CHECK(bound[v] >= gain && bound[v] <= gain * (1.0 + 0x1p-30));
          }
        }
        f.add(round % n);
      }
    }
  }
}

TEST(ridges_that_lazy_greedy_cannot_serve_are_refused) {
  const auto values = some_rows(5, 8, 5);
  const RowsView rows{values.data(), 5, 8};
  for (const double ridge : {0.0, -1.0, 1e-310, 9e-13, 1.1e12, std::nan("")}) {
    int refused = 0;
    try {
      RowsLogDet(rows, 5, ridge, plain());
    } catch (const std::invalid_argument&) {
      ++refused;
    }
    try {
      Kernel(GramEntries(rows, plain()), ridge, plain());
    } catch (const std::invalid_argument&) {
      ++refused;
    }
    CHECK(refused == 2);
  }
}

/// Asked to stop at any of its polls, a selection stops there.
TEST(log_det_stops_wherever_it_asks) {
  const Item n = 90, d = 8;
  const auto values = some_rows(n, d, 60);
  const RowsView rows{values.data(), n, d};
  const EqualRows classes(rows, plain());
  struct Countdown {
    Offset left = 0, asked = 0;
    static bool ask(void* self) {
      auto* own = static_cast<Countdown*>(self);
      return ++own->asked > own->left;
    }
  };
  const auto run = [&](Offset polls, bool by_rows) {
    Countdown countdown{polls};
    const Stop stop(&Countdown::ask, &countdown);
    const Context context(1, stop, level_named());
    try {
      if (by_rows) {
        lazy(RowsLogDet(classes.distinct(rows), n, 1e-3, context), classes, context);
      } else {
        lazy(Kernel(GramEntries(classes.distinct(rows), context), 1e-3, context), classes, context);
      }
    } catch (const Cancelled&) {
      CHECK(countdown.asked == polls + 1);
      return true;
    }
    return false;
  };
  for (const bool by_rows : {true, false}) {
    Offset polls = 0;
    while (run(polls, by_rows)) ++polls;
    CHECK(polls >= 3 * n);  // bounds, gain and addition of every round, at least
  }
}

}  // namespace
