// What every binding shares: numpy arrays as views, results as numpy arrays, and Ctrl-C.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "smartx/context.hpp"
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

/// Asks Python for pending signals, at most every 50 ms. Only the main thread of Python may run
/// their handlers; on others nothing is asked.
class SignalPoll {
 public:
  static bool ask(void* self) { return static_cast<SignalPoll*>(self)->pending(); }

 private:
  using Clock = std::chrono::steady_clock;

  bool pending() {
    const auto now = Clock::now();
    if (!on_main_thread_ || now < next_) return false;
    next_ = now + std::chrono::milliseconds(50);
    py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
  }

  static bool is_main_thread() {
    const py::module_ threading = py::module_::import("threading");
    return threading.attr("main_thread")().is(threading.attr("current_thread")());
  }

  const bool on_main_thread_ = is_main_thread();
  Clock::time_point next_ = Clock::now() + std::chrono::milliseconds(50);
};

/// Releases the GIL. A thread that comes back while the interpreter ends waits for its end: Python
/// would end the thread by unwinding, which no C++ frame survives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
#if PY_VERSION_HEX >= 0x030D0000
    while (Py_IsFinalizing()) std::this_thread::sleep_for(std::chrono::hours(1));
#else
    while (_Py_IsFinalizing()) std::this_thread::sleep_for(std::chrono::hours(1));
#endif
    PyEval_RestoreThread(state_);
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

/// Runs work(context) without the GIL, on that many threads and by the level of that name. Ctrl-C
/// makes the core throw Cancelled, which leaves here as the Python exception that the signal raised
/// (KeyboardInterrupt). `work` must not touch Python objects.
template <class Work>
auto without_gil(int threads, const std::string& level, const Work& work) {
  if (threads < 1) throw std::invalid_argument("threads must be at least 1");
  SignalPoll signals;
  const Stop stop(&SignalPoll::ask, &signals);
  const Context context(threads, stop, level_named(level));
  try {
    const WithoutGil released;
    return work(context);
  } catch (const Cancelled&) {
    throw py::error_already_set();
  }
}

}  // namespace smartx
