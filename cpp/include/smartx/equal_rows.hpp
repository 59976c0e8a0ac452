// Which rows of a ground set are equal: what greedy, neighbours and near duplicates do once for all
// of them.
#pragma once

#include <vector>

#include "smartx/context.hpp"
#include "smartx/fixed_point.hpp"
#include "smartx/types.hpp"

namespace smartx {

/// Classes of equal rows, numbered by their lowest row. Where all rows differ, class c is row c and
/// the lists are empty.
class EqualRows {
 public:
  /// All of n rows differ.
  explicit EqualRows(Item n) : rows_(n), classes_(n) {}
  /// Rows of unequal marks (a cost, a template) differ too, where marks are given, (n,).
  EqualRows(RowsView rows, const Context& context, const double* marks = nullptr);

  Item rows() const { return rows_; }
  Item classes() const { return classes_; }
  /// Whether some rows are equal.
  bool any() const { return !first_.empty(); }
  /// The lowest row of a class; ascends.
  Item first(Item c) const { return any() ? first_[c] : c; }
  Item class_of(Item row) const { return any() ? class_of_[row] : row; }
  /// The next row of the same class; -1 where there is none.
  Item after(Item row) const { return any() ? after_[row] : -1; }
  /// Where each class starts if the rows lie class after class: (classes + 1,).
  std::vector<Item> starts() const;
  /// One row of each class, the lowest.
  SomeRows distinct(RowsView rows) const {
    return {rows, any() ? first_.data() : nullptr, classes_};
  }

 private:
  Item rows_, classes_;
  std::vector<Item> first_;             // (classes,)
  std::vector<Item> class_of_, after_;  // (n,)
};

}  // namespace smartx
