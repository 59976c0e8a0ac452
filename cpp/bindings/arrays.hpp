// What every binding shares: numpy arrays as views, results as numpy arrays, and Ctrl-C.
#pragma once

#include <pthread.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif

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

/// The thread that runs Python's signal handlers. A forked child has one thread: the one that
/// forked.
inline std::atomic<unsigned long> main_thread{0};

inline void note_main_thread() {
  const py::module_ threading = py::module_::import("threading");
  main_thread = threading.attr("main_thread")().attr("ident").cast<unsigned long>();
  pthread_atfork(nullptr, nullptr, [] { main_thread = PyThread_get_thread_ident(); });
}

/// Whether the interpreter ends; whoever holds the GIL then is the thread that ends it.
inline bool ending() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

/// Asks Python for pending signals, at most every 50 ms, on its main thread alone: another one that
/// takes the GIL while the interpreter ends does not come back.
class SignalPoll {
 public:
  static bool ask(void* self) { return static_cast<SignalPoll*>(self)->pending(); }

 private:
  using Clock = std::chrono::steady_clock;

  bool pending() {
    if (!may_ask_) return false;
    const auto now = Clock::now();
    if (now < next_) return false;
    next_ = now + std::chrono::milliseconds(50);
    py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
  }

  const bool may_ask_ = PyThread_get_thread_ident() == main_thread && !ending();
  Clock::time_point next_ = Clock::now() + std::chrono::milliseconds(50);
};

/// Releases the GIL. A thread that comes back while another ends the interpreter stays here until
/// the process is gone: Python would end it by unwinding, and the frames above hold Python objects.
class WithoutGil {
 public:
  WithoutGil() : ends_it_(ending()), state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    if (!ends_it_ && ending()) stay();
#ifdef __GLIBCXX__
    try {
      PyEval_RestoreThread(state_);
    } catch (const abi::__forced_unwind&) {  // it began to end while this thread waited for the GIL
      stay();
    }
#else
    PyEval_RestoreThread(state_);
#endif
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  [[noreturn]] static void stay() {
    while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }

  const bool ends_it_;  // this thread, for example in a __del__
  PyThreadState* state_;
};

/// Runs work(context) without the GIL, on that many threads and by the level of that name. Ctrl-C
/// makes the core throw Cancelled, which leaves here as the Python exception that the signal raised
/// (KeyboardInterrupt). `work` must not touch Python objects.
template <class Work>
auto without_gil(int threads, const std::string& level, const Work& work) {
  if (threads < 1 || threads > 1024)
    throw std::invalid_argument("threads: their number is not from 1 to 1024");
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
