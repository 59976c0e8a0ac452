// The tables of the levels that exist, one file each (level_*.cpp); dispatch.cpp chooses.
// Declarations only (see dot_level.hpp).
#pragma once

#include "smartx/dot_level.hpp"
#include "smartx/vector_op_level.hpp"

namespace smartx {

extern const DotLevel kDotGeneric;
extern const VectorOpLevel kVectorGeneric;
#ifdef SMARTX_X86
extern const DotLevel kDotAvx2, kDotAvx512;
extern const VectorOpLevel kVectorAvx2, kVectorAvx512;
#endif
#ifdef SMARTX_NEON
extern const DotLevel kDotNeon;
extern const VectorOpLevel kVectorNeon;
#endif
#ifdef SMARTX_AMX
/// The table of AVX-512 with the tiles of AMX.
DotLevel with_amx(DotLevel avx512);
#endif
#ifdef SMARTX_I8MM
/// The generic table with tiles by 8-bit products.
DotLevel with_i8mm(DotLevel generic);
#endif

}  // namespace smartx
