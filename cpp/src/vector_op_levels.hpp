// The levels that exist; vector_ops.cpp chooses. Declarations only (see dot_level.hpp).
#pragma once

#include "smartx/vector_op_level.hpp"

namespace smartx {

extern const VectorOpLevel kVectorGeneric;
#ifdef SMARTX_X86
extern const VectorOpLevel kVectorAvx2;
extern const VectorOpLevel kVectorAvx512;
#endif

}  // namespace smartx
