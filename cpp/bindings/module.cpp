// The table of contents of the extension smartx._core.
#include "module.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() =
      "The C++ core of smartx. Arguments are checked by smartx.engine, which alone imports this.";
  module.attr("__version__") = SMARTX_VERSION;
  smartx::bind_similarity(module);
  smartx::bind_selection(module);
}
