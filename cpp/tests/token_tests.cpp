// Bags of tokens and products with a table, against plain loops, at every level.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "check.hpp"
#include "smartx/token_table.hpp"

using namespace smartx;

namespace {

/// Texts of up to `longest` tokens, low ones more often; every fifth is empty. Memory of exactly
/// the size that is needed, so that a sanitizer sees a read beyond it.
struct Texts {
  Texts(Item n, Item vocabulary, Item longest) : starts(1, 0), weights(size_of(vocabulary)) {
    std::mt19937 engine(static_cast<std::uint32_t>(n * 31 + vocabulary));
    const auto below = [&](Item end) { return static_cast<Item>(engine() % std::uint32_t(end)); };
    for (Item i = 0; i < n; ++i) {
      for (Item k = i % 5 == 4 ? 0 : 1 + below(longest); k > 0; --k)
        ids.push_back(static_cast<std::uint32_t>(below(1 + below(vocabulary))));
      starts.push_back(static_cast<Offset>(ids.size()));
    }
    for (Item t = 0; t < vocabulary; ++t)
      weights[size_of(t)] = t % 7 == 3 ? 0.0F : static_cast<float>(below(2001) - 1000) / 977.0F;
    ids.shrink_to_fit();
  }
  static std::size_t size_of(Offset count) { return static_cast<std::size_t>(count); }

  TokensView view() const {
    return {static_cast<Item>(starts.size()) - 1, starts.data(), ids.data()};
  }
  TokenWeights worth() const {
    return {{weights.data(), static_cast<Offset>(weights.size())},
            {counts.data(), static_cast<Offset>(counts.size())}};
  }
  Bags bags() const {
    Bags out;
    out.indptr.push_back(0);
    for (Item i = 0; i + 1 < static_cast<Item>(starts.size()); ++i) {
      std::map<std::uint32_t, std::size_t> times;
      for (const std::uint32_t id : view().text(i)) ++times[id];
      double length2 = 0.0;
      for (const auto& [id, count] : times) {
        const float value = weights[id] * counts[std::min(count, counts.size() - 1)];
        if (value == 0.0F) continue;
        out.indices.push_back(static_cast<Item>(id));
        out.weights.push_back(value);
        length2 += static_cast<double>(value) * value;
      }
      for (auto e = size_of(out.indptr.back()); e < out.weights.size(); ++e)
        out.weights[e] = static_cast<float>(out.weights[e] / std::sqrt(length2));
      out.indptr.push_back(static_cast<Offset>(out.weights.size()));
    }
    return out;
  }

  std::vector<std::uint32_t> ids;
  std::vector<Offset> starts;
  std::vector<float> weights, counts = {9.0F, 1.0F, 1.4142135F, 1.75F};
};

template <class Value>
bool same_bits(const std::vector<Value>& a, const std::vector<Value>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Value)) == 0);
}

bool same(const Bags& a, const Bags& b) {
  return a.indptr == b.indptr && a.indices == b.indices && same_bits(a.weights, b.weights);
}

std::vector<float> table_of(Item rows, Item d) {
  std::mt19937 engine(static_cast<std::uint32_t>(rows * 17 + d));
  std::vector<float> values(Texts::size_of(Offset{rows} * d));
  for (float& value : values)
    value = std::ldexp(static_cast<float>(engine() % 20001) - 10000.0F, -int(engine() % 20));
  return values;
}

std::vector<float> product(const Bags& bags, const std::vector<float>& table, Item d) {
  const BagsView view = bags.view();
  std::vector<float> out(Texts::size_of(Offset{view.n} * d), 0.0F);
  for (Item i = 0; i < view.n; ++i)
    view.each_neighbour(i, [&](Item token, float value) {
      for (Item c = 0; c < d; ++c) {
        const float term = value * table[Texts::size_of(Offset{token} * d + c)];
        out[Texts::size_of(Offset{i} * d + c)] += term;
      }
    });
  return out;
}

}  // namespace

TEST(bags_of_tokens_are_their_definition) {
  for (const Item vocabulary : {1, 2, 63, 64, 65, 4095, 4096, 4097, 100'000}) {
    const Texts texts(150, vocabulary, 300);
    for (const int threads : {1, 3})
      CHECK(same(token_bags(texts.view(), texts.worth(), plain(threads)), texts.bags()));
  }
}

TEST(products_with_a_table_have_the_same_bits_at_every_level) {
  for (const Item d : {1, 3, 4, 8, 15, 16, 17, 33, 64, 100, 384, 387}) {
    const Item vocabulary = 120;
    const Texts texts(40, vocabulary, 60);
    const Bags bags = texts.bags();
    const std::vector<float> table = table_of(vocabulary, d);
    const std::vector<float> wanted = product(bags, table, d);
    std::vector<float> centre(Texts::size_of(d), 0.25F), moved = wanted;
    for (std::size_t k = 0; k < moved.size(); ++k) moved[k] += 0.25F;
    const Item n = texts.view().n;
    std::vector<std::int16_t> rows(moved.size());
    CHECK(quantize(moved.data(), n, d, rows.data(), plain()).count == 0);
    for (const Level& level : levels()) {
      for (const int threads : {1, 3}) {
        const Context context = plain(threads, level);
        std::vector<float> found(wanted.size(), -1.0F);
        CHECK(bags_times(bags.view(), {table.data(), vocabulary, d}, found.data(), context) == n);
        CHECK(same_bits(found, wanted));
        std::vector<std::int16_t> q(rows.size(), -1);
        CHECK(embed_tokens(texts.view(), texts.worth(), {table.data(), vocabulary, d},
                           centre.data(), q.data(), context)
                  .count == 0);
        CHECK(q == rows);
      }
    }
  }
}

TEST(turned_bags_list_the_texts_of_every_token) {
  const Item vocabulary = 300;
  const Bags bags = Texts(200, vocabulary, 40).bags();
  std::map<std::pair<Item, Item>, float> entries;  // (token, text)
  for (Item i = 0; i < bags.view().n; ++i)
    bags.view().each_neighbour(i, [&](Item t, float value) { entries[{t, i}] = value; });
  for (const int threads : {1, 4}) {
    const Bags turned = transposed(bags.view(), vocabulary, plain(threads));
    CHECK(turned.view().n == vocabulary);
    CHECK(turned.indices.size() == entries.size());
    auto next = entries.begin();
    for (Item t = 0; t < vocabulary; ++t)
      turned.view().each_neighbour(t, [&](Item i, float value) {
        CHECK(next->first == std::pair{t, i});
        CHECK(next++->second == value);
      });
  }
  CHECK(graph_fault(bags.view(), vocabulary, bags.view().entries(), plain()).empty());
  const Item highest = *std::max_element(bags.indices.begin(), bags.indices.end());
  CHECK(!graph_fault(bags.view(), highest, bags.view().entries(), plain()).empty());
}

TEST(texts_and_rows_at_fault_are_named) {
  Texts texts(40, 50, 9);
  CHECK(first_unknown(texts.view(), 50, plain(2)) == 40);
  texts.ids[Texts::size_of(texts.starts[11])] = 50;
  texts.ids[Texts::size_of(texts.starts[30])] = 0xFFFFFFFF;
  CHECK(first_unknown(texts.view(), 50, plain(2)) == 11);
  texts.ids[Texts::size_of(texts.starts[11])] = 49;
  texts.ids[Texts::size_of(texts.starts[30])] = 49;
  texts.weights[49] = 1.0F;
  std::vector<float> table(50 * 3, 1.0F), out(40 * 3);
  table[49 * 3 + 2] = std::numeric_limits<float>::quiet_NaN();
  const Bags bags = texts.bags();
  Item with = 40;  // the first text that has token 49
  for (Item i = 39; i >= 0; --i)
    bags.view().each_neighbour(i, [&](Item t, float) {
      if (t == 49) with = i;
    });
  CHECK(with <= 11);
  CHECK(bags_times(bags.view(), {table.data(), 50, 3}, out.data(), plain(2)) == with);
  const std::vector<float> centre(3, 0.0F);
  std::vector<std::int16_t> q(out.size());
  const RowFaults faults = embed_tokens(texts.view(), texts.worth(), {table.data(), 50, 3},
                                        centre.data(), q.data(), plain(2));
  CHECK(faults.kind == RowFaults::Kind::kNotFinite);
  CHECK(!faults.first.empty() && faults.first[0] == with);
}

TEST(work_on_tokens_can_be_stopped) {
  const Texts texts(1000, 500, 20);
  const Bags bags = texts.bags();
  const std::vector<float> table = table_of(500, 8), centre(8, 1.0F);
  std::vector<float> out(1000 * 8);
  std::vector<std::int16_t> q(out.size());
  const TableView rows{table.data(), 500, 8};
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
    CHECK(stopped([&](const Context& c) { first_unknown(texts.view(), 500, c); }));
    CHECK(stopped([&](const Context& c) { token_bags(texts.view(), texts.worth(), c); }));
    CHECK(stopped([&](const Context& c) { transposed(bags.view(), 500, c); }));
    CHECK(stopped([&](const Context& c) { bags_times(bags.view(), rows, out.data(), c); }));
    CHECK(stopped([&](const Context& c) {
      embed_tokens(texts.view(), texts.worth(), rows, centre.data(), q.data(), c);
    }));
  }
}
