#include "smartx/equal_rows.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>

#include "smartx/rng.hpp"

namespace smartx {

namespace {

constexpr Item kGlance = 8;  // values of a row that tell nearly all rows apart

std::uint64_t hash_of(const std::int16_t* values, Item count) noexcept {
  std::uint64_t hash = 0;
  for (Item i = 0; i < count; i += 4) {
    std::uint64_t some = 0;
    std::memcpy(&some, values + i, sizeof *values * std::min<Item>(4, count - i));
    hash = (hash ^ some) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  return hash;
}

/// Finds the lowest equal row of every row, by a table of hashes.
class Search {
 public:
  Search(RowsView rows, const double* marks, const Context& context)
      : rows_(rows), marks_(marks), context_(context), lowest_(static_cast<std::size_t>(rows.n)) {}

  std::vector<Item> lowest() {
    const auto glance = [](const std::int16_t* row) { return hash_of(row, kGlance); };
    const auto whole = [this](const std::int16_t* row) { return hash_of(row, rows_.d); };
    if (rows_.d < kGlance || !fill(glance, rows_.n / 4 + 16))
      fill(whole, Offset{rows_.n} * rows_.n);
    return std::move(lowest_);
  }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    Item row = -1;
  };

  /// False where more pairs than that have one hash and are not equal.
  template <class Hash>
  bool fill(const Hash& hash_of_row, Offset patience) {
    constexpr Item kAhead = 8;  // rows lie apart
    int bits = 4;
    while (Offset{1} << bits < Offset{2} * rows_.n) ++bits;
    std::vector<Slot> table(std::size_t{1} << bits);
    const std::size_t mask = table.size() - 1;
    Offset unequal = 0;
    for (Item row = 0; row < rows_.n; ++row) {
      if (row % 4096 == 4095) context_.check();
      __builtin_prefetch(rows_.row(std::min(row + kAhead, rows_.n - 1)));
      std::uint64_t hash = hash_of_row(rows_.row(row));
      if (marks_ != nullptr) hash = mixed(hash + std::hash<double>{}(marks_[row]));
      const auto high = static_cast<std::uint32_t>(hash >> 32);
      std::size_t place = hash & mask;
      for (; table[place].row >= 0; place = (place + 1) & mask) {
        if (table[place].hash != high) continue;
        if (equal(table[place].row, row)) break;
        if (++unequal > patience) return false;
      }
      if (table[place].row < 0) table[place] = {high, row};
      lowest_[row] = table[place].row;
    }
    return true;
  }

  bool equal(Item a, Item b) const noexcept {
    return (marks_ == nullptr || marks_[a] == marks_[b]) &&
           std::memcmp(rows_.row(a), rows_.row(b), sizeof(std::int16_t) * rows_.d) == 0;
  }

  RowsView rows_;
  const double* marks_;
  const Context& context_;
  std::vector<Item> lowest_;
};

}  // namespace

EqualRows::EqualRows(RowsView rows, const Context& context, const double* marks)
    : rows_(rows.n), classes_(rows.n) {
  const std::vector<Item> lowest = Search(rows, marks, context).lowest();
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
