// What keeps lazy greedy exact: which rows are equal, and how far a gain can rise. A limit that is
// too low by a hair shows here long before it changes a selection.
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "check.hpp"
#include "smartx/candidate.hpp"
#include "smartx/equal_rows.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph_cut.hpp"
#include "smartx/log_det_rows.hpp"
#include "smartx/rng.hpp"

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
