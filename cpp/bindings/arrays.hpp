// What every binding shares: numpy arrays as views, results as numpy arrays, and Ctrl-C.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "smartx/types.hpp"

namespace smartx {

namespace py = pybind11;

/// "(3, 384) int64": an array as an error message names it.
inline std::string described(const py::array& array) {
  return std::string(py::str(array.attr("shape"))) + " " + std::string(py::str(array.dtype()));
}

/// Throws unless `array` holds adjacent values of exactly type T in `dimensions` dimensions:
/// nothing is cast or copied on the way into the core. `name` is the argument, for the message.
template <class T>
void check_array(const py::array& array, const char* name, py::ssize_t dimensions) {
  const auto fail = [&](const std::string& wanted) {
    throw py::type_error(std::string(name) + ": expected " + wanted + ", got an array of " +
                         described(array));
  };
  if (!py::isinstance<py::array_t<T>>(array))
    fail(std::string(py::str(py::dtype::of<T>())) + " values");
  if (array.ndim() != dimensions) fail(std::to_string(dimensions) + " dimension(s)");
  if ((array.flags() & py::array::c_style) == 0) fail("adjacent values in C order");
}

/// A checked one-dimensional array, as a view. The array must outlive the view.
template <class T>
Span<const T> vector_view(const py::array& array, const char* name) {
  check_array<T>(array, name, 1);
  return {static_cast<const T*>(array.data()), array.shape(0)};
}

/// A view of rows of equal length that somebody else owns.
template <class T>
struct MatrixView {
  const T* data = nullptr;
  Offset rows = 0;
  Offset columns = 0;
};

/// A checked two-dimensional array, as a view. The array must outlive the view.
template <class T>
MatrixView<T> matrix_view(const py::array& array, const char* name) {
  check_array<T>(array, name, 2);
  return {static_cast<const T*>(array.data()), array.shape(0), array.shape(1)};
}

/// `count` as an Item; throws where a ground set is too large for one.
inline Item checked_size(Offset count, const char* name) {
  if (count > 2147483647) {
    throw std::length_error(std::string(name) + ": " + std::to_string(count) +
                            " rows are more than 2^31 - 1");
  }
  return static_cast<Item>(count);
}

/// A vector as a numpy array that owns it: no copy. `shape` must hold as many values.
template <class T>
py::array_t<T> hand_over(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  const T* data = owned->data();
  py::capsule owner(owned.get(), [](void* held) { delete static_cast<std::vector<T>*>(held); });
  owned.release();
  return py::array_t<T>(std::move(shape), data, owner);
}

template <class T>
py::array_t<T> hand_over(std::vector<T>&& values) {
  const auto size = static_cast<py::ssize_t>(values.size());
  return hand_over(std::move(values), std::vector<py::ssize_t>{size});
}

/// Asks Python for pending signals, at most every 50 ms: what a Cancel of ours polls.
class SignalPoll {
 public:
  Cancel cancel() { return {&SignalPoll::poll, this}; }

 private:
  using Clock = std::chrono::steady_clock;

  static bool poll(void* context) {
    auto& self = *static_cast<SignalPoll*>(context);
    const auto now = Clock::now();
    if (self.interrupted_ || now < self.next_) return self.interrupted_;
    self.next_ = now + std::chrono::milliseconds(50);
    py::gil_scoped_acquire gil;
    self.interrupted_ = PyErr_CheckSignals() != 0;
    return self.interrupted_;
  }

  Clock::time_point next_ = Clock::now() + std::chrono::milliseconds(50);
  bool interrupted_ = false;  // the Python exception is set and stays so
};

/// Runs work(cancel) without the GIL. Ctrl-C makes the core throw Cancelled, which leaves here as
/// the Python exception that the signal raised (KeyboardInterrupt). `work` must not touch Python
/// objects.
template <class Work>
auto without_gil(const Work& work) {
  SignalPoll signals;
  const Cancel cancel = signals.cancel();
  try {
    py::gil_scoped_release released;
    return work(cancel);
  } catch (const Cancelled&) {
    throw py::error_already_set();
  }
}

}  // namespace smartx
