// Fixed point, tiles, neighbours, kernel and graphs at every level, so that sanitizers see them.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "smartx/dot.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/kernel.hpp"
#include "smartx/knn.hpp"
#include "smartx/near_duplicates.hpp"

using namespace smartx;

namespace {

/// Rows of few values, so that ties are many; every third row repeats an earlier one.
struct Rows {
  Rows(Item n, Item d) : q(static_cast<std::size_t>(n) * static_cast<std::size_t>(d)), n(n), d(d) {
    std::uint32_t state = 1 + static_cast<std::uint32_t>(n) * 31 + static_cast<std::uint32_t>(d);
    for (std::size_t i = 0; i < q.size(); ++i) {
      state = state * 1664525u + 1013904223u;
      q[i] = static_cast<std::int16_t>(static_cast<int>(state >> 29) - 3);
      const auto row = i / static_cast<std::size_t>(d);
      if (row % 3 == 2) q[i] = q[i - static_cast<std::size_t>(d) * 2];
    }
  }
  RowsView view() const { return {q.data(), n, d}; }
  std::int32_t product(Item i, Item j) const {
    std::int32_t total = 0;
    for (Item c = 0; c < d; ++c) total += view().row(i)[c] * view().row(j)[c];
    return total;
  }
  std::vector<std::int16_t> q;
  Item n, d;
};

const std::vector<std::pair<Item, Item>>& shapes() {
  static const std::vector<std::pair<Item, Item>> all = {{1, 1},   {2, 3},    {16, 5},  {48, 2},
                                                         {49, 33}, {101, 64}, {150, 9}, {60, 1025}};
  return all;
}

std::vector<Item> nearest(const Rows& rows, Item i) {
  std::vector<Item> others;
  for (Item j = 0; j < rows.n; ++j)
    if (j != i) others.push_back(j);
  std::stable_sort(others.begin(), others.end(),
                   [&](Item a, Item b) { return rows.product(i, a) > rows.product(i, b); });
  return others;
}

}  // namespace

TEST(similarities_of_every_level_are_exact) {
  for (const Level& level : levels()) {
    for (const auto& [n, d] : shapes()) {
      const Rows rows(n, d);
      const auto found = similarities(rows.view(), rows.view(), plain(2, level));
      for (Item i = 0; i < n; ++i)
        for (Item j = 0; j < n; ++j)
          CHECK(found[static_cast<std::size_t>(i) * static_cast<std::size_t>(n) +
                      static_cast<std::size_t>(j)] == rows.product(i, j));
    }
  }
}

TEST(neighbours_of_every_level_are_those_of_a_stable_sort) {
  for (const Level& level : levels()) {
    for (const auto& [n, d] : shapes()) {
      const Rows rows(n, d);
      for (const Item k : {1, 7, 1000}) {
        for (const int threads : {1, 3}) {
          const Neighbours found = exact_neighbours(rows.view(), k, plain(threads, level));
          CHECK(found.k == std::min(k, n - 1));
          for (Item i = 0; i < n; ++i) {
            const auto wanted = nearest(rows, i);
            CHECK(std::equal(wanted.begin(), wanted.begin() + found.k,
                             found.items.begin() + static_cast<Offset>(i) * found.k));
          }
        }
      }
    }
  }
}

TEST(neighbours_of_many_blocks_survive_trimming_and_joining) {
  const Rows rows(400, 6);
  const Rows wide(300, 5000);  // few panels fit the cache, so there are many blocks
  for (const Rows* some : {&rows, &wide}) {
    const Neighbours one = exact_neighbours(some->view(), 4, plain(1, levels().front()));
    for (const Level& level : levels()) {
      for (const int threads : {1, 2, 5}) {
        const Neighbours found = exact_neighbours(some->view(), 4, plain(threads, level));
        CHECK(found.items == one.items);
        CHECK(found.similarities == one.similarities);
      }
    }
  }
}

TEST(the_kernel_and_the_smallest_similarity_are_their_formulas) {
  for (const Level& level : levels()) {
    for (const auto& [n, d] : shapes()) {
      const Rows rows(n, d);
      const DenseKernel16 kernel = DenseKernel16::build(rows.view(), plain(2, level));
      std::int32_t low = std::numeric_limits<std::int32_t>::max();
      for (Item i = 0; i < n; ++i) {
        for (Item j = 0; j < n; ++j) {
          const std::int32_t s = rows.product(i, j);
          if (i != j) low = std::min(low, s);
          CHECK(kernel.row(i)[j] == std::min(65535, (std::max(0, s) + 128) >> 8));
        }
        for (Offset j = n; j < kernel.stride(); ++j) CHECK(kernel.row(i)[j] == 0);
      }
      CHECK(min_similarity(rows.view(), plain(2, level)) == (n < 2 ? 0 : low));
    }
  }
}

TEST(near_duplicates_of_every_level_are_those_of_the_definition) {
  for (const auto& [n, d] : shapes()) {
    const Rows rows(n, d);
    std::vector<Item> order;
    for (Item i = n - 1; i >= 0; --i) order.push_back(i);
    for (const std::int64_t millionths : {500'000, 1'000'000}) {
      std::vector<Item> wanted;
      for (Item i = 0; i < n; ++i) {
        Item origin = -1;
        for (Item j = 0; j < i && origin < 0; ++j) {
          const Item a = order[static_cast<std::size_t>(i)], b = order[static_cast<std::size_t>(j)];
          const long double bar = static_cast<long double>(millionths) / kCosineUnit;
          const long double norms = static_cast<long double>(rows.product(a, a)) *
                                    static_cast<long double>(rows.product(b, b));
          const auto dot = static_cast<long double>(rows.product(a, b));
          if (wanted[static_cast<std::size_t>(j)] < 0 && dot > 0 && dot * dot >= bar * bar * norms)
            origin = j;
        }
        wanted.push_back(origin);
      }
      const Offset size = n;
      for (const Level& level : levels()) {
        for (const int threads : {1, 3}) {
          const NearDuplicates found = near_duplicates(rows.view(), {&size, 1}, {order.data(), n},
                                                       millionths, plain(threads, level));
          CHECK(found.origin == wanted);
          for (Item i = 0; i < n; ++i)
            CHECK((found.cosine[static_cast<std::size_t>(i)] > 0) ==
                  (wanted[static_cast<std::size_t>(i)] >= 0));
        }
      }
    }
  }
}

TEST(row_dots_agree_with_similarity) {
  for (const Level& level : levels()) {
    for (const auto& [n, d] : shapes()) {
      const Rows rows(n, d);
      std::vector<std::int32_t> found(static_cast<std::size_t>(n));
      level.dot->row_dots(rows.view().row(0), rows.q.data(), n, d, found.data());
      for (Item j = 0; j < n; ++j)
        CHECK(found[static_cast<std::size_t>(j)] ==
              similarity(rows.view().row(0), rows.view().row(j), d));
    }
  }
}

TEST(quantize_reports_faults_and_never_exceeds_the_bound) {
  for (const Item d : {1, 7, 8, 768, 1025}) {
    std::vector<double> values(static_cast<std::size_t>(d) * 3, 1.0);
    std::vector<std::int16_t> q(values.size());
    CHECK(quantize(values.data(), 3, d, q.data(), plain(2)).kind == RowFaults::Kind::kNone);
    CHECK(norm2(q.data(), d) <= kMaxNorm2);
    values[static_cast<std::size_t>(d)] = std::nan("");
    const RowFaults faults = quantize(values.data(), 3, d, q.data(), plain());
    CHECK(faults.kind == RowFaults::Kind::kNotFinite);
    CHECK(faults.first == std::vector<Item>{1});
  }
}

TEST(a_symmetrised_graph_equals_its_transpose) {
  const Rows rows(150, 9);
  const Neighbours near = exact_neighbours(rows.view(), 6, plain());
  std::vector<std::int32_t> self;
  for (Item i = 0; i < rows.n; ++i) self.push_back(rows.product(i, i));
  const auto graph = symmetrised(near.view(), self.data(), plain(2));
  const auto turned = transposed(graph.view(), plain(3));
  CHECK(graph_fault(graph.view(), graph.view().entries(), plain(2)).empty());
  CHECK(graph.indptr == turned.indptr);
  CHECK(graph.indices == turned.indices);
  CHECK(graph.weights == turned.weights);
}
