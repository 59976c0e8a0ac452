// What the extension is made of: one bind_* function per file of this folder.
#pragma once

#include <pybind11/pybind11.h>

namespace smartx {

/// similarity.cpp: fixed point, nearest neighbours, graphs.
void bind_similarity(pybind11::module_& module);
/// selection.cpp: set functions and greedy.
void bind_selection(pybind11::module_& module);
/// tokens.cpp: bags of tokens, tables with one row per token.
void bind_tokens(pybind11::module_& module);

}  // namespace smartx
