// Nearest neighbours, graphs and near duplicates where rows repeat, similarities tie, k is large
// and threads are many: each against its definition.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "check.hpp"
#include "smartx/dot.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/graph.hpp"
#include "smartx/knn.hpp"
#include "smartx/near_duplicates.hpp"
#include "smartx/rng.hpp"

using namespace smartx;

namespace {

/// n rows of d values within +-spread, of which only `distinct` differ.
struct Sample {
  Sample(Item n, Item d, Item distinct, int spread, std::uint64_t seed = 1) : n(n), d(d) {
    const Draws values(seed, 0), rows(seed, 1);
    for (Item i = 0; i < n; ++i) {
      const auto which = i < distinct ? i : static_cast<Item>(rows.below(distinct, i));
      for (Item c = 0; c < d; ++c)
        q.push_back(static_cast<std::int16_t>(
            values.below(2 * spread + 1, static_cast<std::uint64_t>(which) * d + c) - spread));
    }
  }
  RowsView view() const { return {q.data(), n, d}; }
  std::vector<std::int16_t> q;
  Item n, d;
};

/// By sorting all other rows of every row.
Neighbours by_sorting(RowsView rows, Item k) {
  Neighbours out;
  out.n = rows.n;
  out.k = std::min(k, rows.n - 1);
  const std::vector<std::int32_t> all = similarities(rows, rows, plain());
  std::vector<Item> others;
  for (Item i = 0; i < rows.n; ++i) {
    const std::int32_t* const row = all.data() + static_cast<Offset>(i) * rows.n;
    others.clear();
    for (Item j = 0; j < rows.n; ++j)
      if (j != i) others.push_back(j);
    std::partial_sort(others.begin(), others.begin() + out.k, others.end(), [&](Item a, Item b) {
      return row[a] > row[b] || (row[a] == row[b] && a < b);
    });
    for (Item j = 0; j < out.k; ++j) {
      out.items.push_back(others[static_cast<std::size_t>(j)]);
      out.similarities.push_back(row[out.items.back()]);
    }
  }
  return out;
}

void check_neighbours(const Sample& rows, std::initializer_list<Item> ks) {
  for (const Item k : ks) {
    const Neighbours wanted = by_sorting(rows.view(), k);
    for (const Level& level : levels()) {
      for (const int threads : {1, 4}) {
        const Neighbours found = exact_neighbours(rows.view(), k, plain(threads, level));
        CHECK(found.k == wanted.k);
        CHECK(found.items == wanted.items);
        CHECK(found.similarities == wanted.similarities);
      }
    }
  }
}

/// The graph of some entries (row, column, weight), sorted.
using Entries = std::vector<std::array<std::int32_t, 3>>;

Entries entries_of(const GraphView<std::int32_t>& graph) {
  Entries all;
  for (Item v = 0; v < graph.n; ++v)
    graph.each_neighbour(v, [&](Item u, std::int32_t weight) { all.push_back({v, u, weight}); });
  return all;
}

}  // namespace

TEST(neighbours_by_floors_that_are_guessed_are_those_of_sorting) {
  check_neighbours({2000, 16, 2000, 300}, {1, 20, 100});
}

TEST(neighbours_that_tie_at_the_last_place_are_the_lower_rows) {
  check_neighbours({1500, 3, 1500, 1}, {1, 9, 70});
  check_neighbours({1500, 1, 1500, 2}, {1, 9, 70});
  Sample far_apart(1500, 20, 1500, 1);  // many are equal, and the next are far away
  for (std::int16_t& value : far_apart.q) value = static_cast<std::int16_t>(500 * value);
  check_neighbours(far_apart, {1, 9, 70});
}

TEST(neighbours_of_repeated_rows_are_those_of_sorting) {
  for (const Item distinct : {1, 2, 10, 100, 900}) {
    check_neighbours({1000, 8, distinct, 3}, {1, 12, 150});
    check_neighbours({1000, 8, distinct, 200}, {7});
  }
}

TEST(neighbours_of_rows_that_are_shorter_than_their_neighbours) {
  // Own class is not the nearest: (1), (2), (3) ... all point the same way.
  Sample rows(120, 1, 120, 0);
  for (Item i = 0; i < rows.n; ++i) rows.q[static_cast<std::size_t>(i)] = 1 + i % 40;
  check_neighbours(rows, {1, 5, 50, 119});
}

TEST(there_are_at_most_all_others_as_neighbours) {
  check_neighbours({200, 5, 200, 9}, {100, 198, 199, 200, 5000});
  check_neighbours({200, 5, 30, 9}, {29, 30, 31, 198, 199, 5000});
  check_neighbours({1, 5, 1, 9}, {1, 2});
  check_neighbours({2, 5, 1, 9}, {1, 2});
}

TEST(neighbours_do_not_depend_on_how_many_threads) {
  const Sample rows(3000, 6, 3000, 12);
  const Neighbours one = exact_neighbours(rows.view(), 33, plain());
  for (const int threads : {2, 3, 7, 16}) {
    const Neighbours some = exact_neighbours(rows.view(), 33, plain(threads));
    CHECK(some.items == one.items);
    CHECK(some.similarities == one.similarities);
  }
}

TEST(graphs_of_neighbours_are_their_lists_on_any_threads) {
  const Sample rows(700, 4, 600, 30);
  const Neighbours near = exact_neighbours(rows.view(), 11, plain());
  const std::vector<std::int32_t> self = own_similarities(rows.view(), plain(3));
  for (const bool with_self : {false, true}) {
    Entries one_way, both_ways;
    for (Item i = 0; i < near.n; ++i) {
      CHECK(self[static_cast<std::size_t>(i)] ==
            similarity(rows.view().row(i), rows.view().row(i), rows.d));
      if (with_self) one_way.push_back({i, i, self[static_cast<std::size_t>(i)]});
      for (Item j = 0; j < near.k; ++j) {
        const auto e = static_cast<std::size_t>(i * near.k + j);
        one_way.push_back({i, near.items[e], near.similarities[e]});
      }
    }
    both_ways = one_way;
    for (const auto& [i, j, weight] : one_way) both_ways.push_back({j, i, weight});
    for (Entries* entries : {&one_way, &both_ways}) {
      std::sort(entries->begin(), entries->end());
      entries->erase(std::unique(entries->begin(), entries->end()), entries->end());
    }
    for (const int threads : {1, 5}) {
      const std::int32_t* const own = with_self ? self.data() : nullptr;
      const auto graph = directed(near.view(), own, plain(threads));
      CHECK(entries_of(graph.view()) == one_way);
      CHECK(entries_of(symmetrised(near.view(), own, plain(threads)).view()) == both_ways);
      Entries turned;
      for (const auto& [i, j, weight] : one_way) turned.push_back({j, i, weight});
      std::sort(turned.begin(), turned.end());
      CHECK(entries_of(transposed(graph.view(), plain(threads)).view()) == turned);
    }
  }
}

TEST(the_first_fault_of_a_graph_is_named_whoever_finds_it) {
  constexpr Item n = 9000;
  std::vector<Offset> indptr;
  std::vector<Item> indices;
  std::vector<float> weights(2 * n, 1.0F);
  for (Item v = 0; v <= n; ++v) indptr.push_back(2 * v);
  for (Item v = 0; v < n; ++v) indices.insert(indices.end(), {v / 2, n - 1 - v / 3});
  const GraphView<float> graph{n, indptr.data(), indices.data(), weights.data()};
  const auto starts = [&](const char* text) {
    bool all = true;
    for (const int threads : {1, 4}) {
      const std::string fault = graph_fault(graph, 2 * n, plain(threads));
      all = all && (*text == '\0' ? fault.empty() : fault.rfind(text, 0) == 0);
    }
    return all;
  };
  CHECK(starts(""));
  indices[2 * 8000] = n;
  CHECK(starts("row 8000 lists column 9000 of 9000"));
  indices[2 * 5000 + 1] = 2500;
  CHECK(starts("row 5000 lists column 2500 after column 2500"));
  weights[2 * 700] = 1.0F / 0.0F;
  CHECK(starts("row 700, column 350: the weight is not finite"));
  indptr[n] -= 1;
  CHECK(starts("indptr ends at 17999, but there are 18000 entries"));
  indptr[4000] = 1;
  CHECK(starts("indptr falls from 7998 to 1 at row 3999"));
  indptr[0] = 1;
  CHECK(starts("indptr[0] is 1, not 0"));
}

TEST(near_duplicates_among_repeated_rows_are_those_of_the_definition) {
  for (const Item distinct : {1, 3, 40, 400}) {
    Sample rows(600, 7, distinct, 4);
    std::fill(rows.q.begin(), rows.q.begin() + 7, std::int16_t{0});  // near nothing, not even
    std::copy_n(rows.q.begin(), 7, rows.q.begin() + 7 * 300);        // an equal row
    const std::vector<Offset> sizes{10, 0, 90, 500};
    std::vector<Item> order, wanted;
    Offset first = 0;
    for (const Offset size : sizes) {
      for (Item i = 0; i < size; ++i) order.push_back((i * 7 + 3) % static_cast<Item>(size));
      for (Item i = 0; i < size; ++i) {
        Item origin = -1;
        for (Item j = 0; j < i && origin < 0; ++j) {
          const auto row = [&](Item place) {
            const auto in_group = order[static_cast<std::size_t>(first + place)];
            return rows.view().row(static_cast<Item>(first) + in_group);
          };
          const std::int64_t dot = similarity(row(i), row(j), rows.d);
          if (wanted[static_cast<std::size_t>(first + j)] < 0 && dot > 0 &&
              25 * dot * dot >= 16 * norm2(row(i), rows.d) * norm2(row(j), rows.d))
            origin = j;
        }
        wanted.push_back(origin);
      }
      first += size;
    }
    for (const Level& level : levels()) {
      for (const int threads : {1, 3}) {
        const auto found = near_duplicates(
            rows.view(), {sizes.data(), static_cast<Offset>(sizes.size())},
            {order.data(), static_cast<Offset>(order.size())}, 800'000, plain(threads, level));
        CHECK(found.origin == wanted);
      }
    }
  }
}

TEST(sums_of_rows_do_not_depend_on_threads) {
  const Sample rows(10'000, 5, 10'000, 4096);
  for (const int threads : {1, 4})
    CHECK(sum_rows(rows.view(), plain(threads)) == sum_rows(rows.view()));
}

TEST(work_on_neighbours_and_graphs_can_be_stopped) {
  const Sample rows(3000, 4, 2000, 30);
  const Neighbours near = exact_neighbours(rows.view(), 5, plain());
  const auto graph = directed(near.view(), nullptr, plain());
  const Offset size = rows.n;
  std::vector<Item> order;
  for (Item i = 0; i < rows.n; ++i) order.push_back(i);
  for (const int threads : {1, 3}) {
    const auto stopped = [&](const auto& work) {
      const Stop now([](void*) { return true; }, nullptr);
      try {
        work(Context(threads, now, level_named()));
      } catch (const Cancelled&) {
        return true;
      }
      return false;
    };
    CHECK(stopped([&](const Context& c) { exact_neighbours(rows.view(), 5, c); }));
    CHECK(stopped([&](const Context& c) { own_similarities(rows.view(), c); }));
    CHECK(stopped([&](const Context& c) { directed(near.view(), nullptr, c); }));
    CHECK(stopped([&](const Context& c) { symmetrised(near.view(), nullptr, c); }));
    CHECK(stopped([&](const Context& c) { transposed(graph.view(), c); }));
    CHECK(stopped([&](const Context& c) { graph_fault(graph.view(), size * 5, c); }));
    CHECK(stopped([&](const Context& c) { sum_rows(rows.view(), c); }));
    CHECK(stopped([&](const Context& c) {
      near_duplicates(rows.view(), {&size, 1}, {order.data(), size}, 900'000, c);
    }));
  }
}
