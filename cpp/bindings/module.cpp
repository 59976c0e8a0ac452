// The table of contents of the extension smartx._core, and how its errors reach Python.
#include "module.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <string>

#include "arrays.hpp"

namespace smartx {

namespace {

namespace py = pybind11;

/// What is refused is an InputError: "place: fault", place the name of an argument, or the fault
/// alone.
void raise_input_error(const std::string& text) {
  const auto in_name = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  const auto end = std::find_if_not(text.begin(), text.end(), in_name);
  const auto name = static_cast<std::size_t>(end - text.begin());
  const bool placed = text.compare(name, 2, ": ") == 0;
  const py::object error = py::module_::import("smartx.errors").attr("InputError");
  const py::object raised = error(placed ? text.substr(name + 2) : text,
                                  py::arg("place") = placed ? text.substr(0, name) : "");
  PyErr_SetObject(error.ptr(), raised.ptr());
}

void translate(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::logic_error& refusal) {  // of the core too, which knows nothing of Python
    raise_input_error(refusal.what());
  }
}

}  // namespace

}  // namespace smartx

PYBIND11_MODULE(_core, module) {
  module.doc() =
      "The C++ core of smartx. Arguments are checked by smartx.engine, which alone imports this.";
  module.attr("__version__") = SMARTX_VERSION;
  smartx::note_main_thread();
  pybind11::register_local_exception_translator(&smartx::translate);
  smartx::bind_similarity(module);
  smartx::bind_selection(module);
  smartx::bind_tokens(module);
}
