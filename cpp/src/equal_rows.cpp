#include "smartx/equal_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "smartx/rng.hpp"

namespace smartx {

namespace {

constexpr Item kGlance = 16;  // values of a row that tell nearly all rows apart

std::uint64_t hash_of(const std::int16_t* values, Item count) noexcept {
  std::uint64_t hash = 0;
  for (Item i = 0; i < count; i += 4) {
    std::uint64_t some = 0;
    std::memcpy(&some, values + i, sizeof *values * std::min<Item>(4, count - i));
    hash = (hash ^ some) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  return mixed(hash);
}

/// The lowest equal row of every row, by one table of hashes over their first values.
class Table {
 public:
  Table(RowsView rows, const double* costs, const Context& context)
      : rows_(rows), costs_(costs), context_(context) {
    while (size_ < 2 * static_cast<std::size_t>(rows.n)) size_ *= 2;
    lowest_.resize(static_cast<std::size_t>(rows.n));
  }

  std::vector<Item> lowest() {
    if (!fill(std::min(kGlance, rows_.d))) fill(rows_.d);
    return std::move(lowest_);
  }

 private:
  /// False where many rows share their first `values` values and are not equal.
  bool fill(Item values) {
    std::vector<Item> table(size_, -1);
    std::vector<std::uint64_t> hashes(lowest_.size());
    parallel_for(rows_.n, context_, [&](Offset i) noexcept { hashes[i] = hash(i, values); }, 4096);
    Offset unequal = 0;
    for (Item row = 0; row < rows_.n; ++row) {
      std::size_t place = hashes[row] & (size_ - 1);
      for (; table[place] >= 0; place = (place + 1) & (size_ - 1)) {
        const Item other = table[place];
        if (hashes[other] != hashes[row]) continue;
        if (equal(other, row)) break;
        if (++unequal > rows_.n / 4 && values < rows_.d) return false;
      }
      if (table[place] < 0) table[place] = row;
      lowest_[row] = table[place];
      if (row % 4096 == 0) context_.check();
    }
    return true;
  }

  std::uint64_t hash(Offset i, Item values) const noexcept {
    constexpr Item kAhead = 8;  // rows lie apart
    const auto row = static_cast<Item>(i);
    if (row + kAhead < rows_.n) __builtin_prefetch(rows_.row(row + kAhead));
    std::uint64_t of_cost = 0;
    if (costs_ != nullptr) std::memcpy(&of_cost, costs_ + i, sizeof of_cost);
    return hash_of(rows_.row(row), values) + mixed(of_cost);
  }

  bool equal(Item a, Item b) const noexcept {
    return (costs_ == nullptr || costs_[a] == costs_[b]) &&
           std::memcmp(rows_.row(a), rows_.row(b), sizeof(std::int16_t) * rows_.d) == 0;
  }

  RowsView rows_;
  const double* costs_;
  Context context_;
  std::size_t size_ = 16;
  std::vector<Item> lowest_;
};

}  // namespace

EqualRows::EqualRows(RowsView rows, const Context& context, const double* costs)
    : rows_(rows.n), classes_(rows.n) {
  const std::vector<Item> lowest = Table(rows, costs, context).lowest();
  Item classes = 0;
  for (Item row = 0; row < rows.n; ++row) classes += lowest[row] == row;
  if (classes == rows.n) return;
  classes_ = classes;
  class_of_.resize(lowest.size());
  after_.assign(lowest.size(), -1);
  std::vector<Item> last;  // of each class
  for (Item row = 0; row < rows.n; ++row) {
    if (lowest[row] == row) {
      class_of_[row] = static_cast<Item>(first_.size());
      first_.push_back(row);
      last.push_back(row);
    } else {
      const Item c = class_of_[row] = class_of_[lowest[row]];
      after_[last[c]] = row;
      last[c] = row;
    }
  }
}

std::vector<Item> EqualRows::starts() const {
  std::vector<Item> starts(static_cast<std::size_t>(classes_) + 1, 0);
  for (Item row = 0; row < rows_; ++row) ++starts[class_of(row) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  return starts;
}

}  // namespace smartx
