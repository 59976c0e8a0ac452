// Faults of rows, for Python.
#pragma once

#include <pybind11/pybind11.h>

#include "smartx/fixed_point.hpp"

namespace smartx {

/// (kind, count, first few rows); kind is "" where nothing is wrong.
inline pybind11::tuple as_tuple(const RowFaults& faults) {
  const auto kind = [&]() -> const char* {
    switch (faults.kind) {
      case RowFaults::Kind::kNone:
        return "";
      case RowFaults::Kind::kNotFinite:
        return "not finite";
      case RowFaults::Kind::kZero:
        return "zero";
      case RowFaults::Kind::kTooLong:
        return "too long";
    }
    return "";
  };
  pybind11::list first;
  for (const Item row : faults.first) first.append(row);
  return pybind11::make_tuple(kind(), faults.count, first);
}

}  // namespace smartx
