// Whose turn it is, against the definition: an order is open while it can be ended within the
// quotas.
#include <cstdint>
#include <map>
#include <vector>

#include "check.hpp"
#include "smartx/rng.hpp"
#include "smartx/turns.hpp"

namespace {

using namespace smartx;

/// Whether templates that have given so many rows can give the others and keep to their shares at
/// every place, by trying.
class ByTrying {
 public:
  explicit ByTrying(const std::vector<Item>& sizes) : sizes_(sizes) {
    for (const Item size : sizes) rows_ += size;
  }

  bool keeps(const std::vector<Item>& got) const {
    Offset given = 0;
    for (const Item own : got) given += own;
    for (std::size_t t = 0; t < got.size(); ++t) {
      const Offset share = sizes_[t] * given;  // times rows
      if (got[t] * rows_ <= share - rows_ || got[t] * rows_ >= share + rows_) return false;
    }
    return true;
  }

  bool can_end(const std::vector<Item>& got) {
    const auto known = known_.find(got);
    if (known != known_.end()) return known->second;
    bool can = keeps(got);
    if (can && got != sizes_) {
      can = false;
      for (std::size_t t = 0; t < got.size() && !can; ++t) {
        if (got[t] == sizes_[t]) continue;
        std::vector<Item> next = got;
        ++next[t];
        can = can_end(next);
      }
    }
    known_[got] = can;
    return can;
  }

 private:
  std::vector<Item> sizes_;
  Offset rows_ = 0;
  std::map<std::vector<Item>, bool> known_;
};

TEST(a_template_may_give_where_all_can_still_keep_to_their_shares) {
  const std::vector<std::vector<Item>> cases = {{5},
                                                {1, 1},
                                                {0, 4, 0},
                                                {7, 2},
                                                {3, 3, 3},
                                                {2, 3, 2, 3},
                                                {20, 1, 1, 1, 1},
                                                {12, 1, 1, 1, 1, 1, 1},
                                                {1, 1, 1, 1, 1},
                                                {9, 5, 2, 1, 1},
                                                {8, 4, 2, 1},
                                                {3, 5, 7, 0, 2}};
  for (const auto& sizes : cases) {
    ByTrying trying(sizes);
    Offset rows = 0;
    for (const Item size : sizes) rows += size;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const Draws draws(seed, 1);
      Turns turns(nullptr, sizes);
      std::vector<Item> got(sizes.size(), 0);
      std::vector<char> open(sizes.size(), 0);
      for (Offset s = 0; s < rows; ++s) {
        std::vector<Item> may;
        for (std::size_t t = 0; t < sizes.size(); ++t) {
          std::vector<Item> next = got;
          ++next[t];
          const bool can = got[t] < sizes[t] && trying.can_end(next);
          CHECK(turns.may(static_cast<Item>(t)) == can);
          if (can) may.push_back(static_cast<Item>(t));
        }
        CHECK(!may.empty());
        // By turns at random, the lowest and the highest.
        const auto count = static_cast<std::int64_t>(may.size());
        const auto drawn = draws.below(count, static_cast<std::uint64_t>(s));
        const Item t = may[static_cast<std::size_t>(seed == 0 ? 0 : seed == 1 ? count - 1 : drawn)];
        for (std::size_t u = 0; u < sizes.size(); ++u) open[u] = turns.may(static_cast<Item>(u));
        turns.give(t);
        ++got[t];
        for (const Item u : turns.changed()) open[u] = !open[u];
        for (std::size_t u = 0; s + 1 < rows && u < sizes.size(); ++u)
          CHECK(open[u] == turns.may(static_cast<Item>(u)));
      }
      CHECK(got == sizes);
    }
  }
}

TEST(turns_of_many_rows_keep_to_their_shares) {
  std::vector<Item> sizes = {40000, 3, 1, 9000};
  for (Item t = 0; t < 300; ++t) sizes.push_back(1 + t % 7);
  const ByTrying trying(sizes);
  Offset rows = 0;
  for (const Item size : sizes) rows += size;
  const Draws draws(3, 1);
  Turns turns(nullptr, sizes);
  std::vector<Item> got(sizes.size(), 0);
  for (Offset s = 0; s < rows; ++s) {
    std::vector<Item> may;
    for (Item t = 0; t < turns.templates(); ++t)
      if (turns.may(t)) may.push_back(t);
    CHECK(!may.empty());
    if (may.empty()) return;
    // The largest as late as it may: the hardest case for the shares of the others.
    const Item t = s % 3 == 0
                       ? may[static_cast<std::size_t>(draws.below(
                             static_cast<std::int64_t>(may.size()), static_cast<std::uint64_t>(s)))]
                       : may.back();
    turns.give(t);
    ++got[t];
    if (s % 97 == 0 || s + 1 == rows) CHECK(trying.keeps(got));
  }
  CHECK(got == sizes);
}

}  // namespace
