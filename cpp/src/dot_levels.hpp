// The levels that exist; dispatch.cpp chooses. Declarations only (see dot_level.hpp).
#pragma once

#include "smartx/dot_level.hpp"

namespace smartx {

extern const DotLevel kDotGeneric;
#ifdef SMARTX_X86
extern const DotLevel kDotAvx2;
extern const DotLevel kDotAvx512;
#endif

}  // namespace smartx
