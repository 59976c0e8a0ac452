// The table of contents of the extension smartx._core.
#include "module.hpp"

namespace smartx {

// Empty stand-ins while a file is not yet there; the linker prefers the real ones.
__attribute__((weak)) void bind_similarity(pybind11::module_&) {
}
__attribute__((weak)) void bind_selection(pybind11::module_&) {
}

}  // namespace smartx

PYBIND11_MODULE(_core, module) {
  module.doc() =
      "The C++ core of smartx. Arguments are checked by smartx.engine, which alone imports this.";
  module.attr("__version__") = SMARTX_VERSION;
  smartx::bind_similarity(module);
  smartx::bind_selection(module);
}
