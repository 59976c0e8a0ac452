// One instruction set: all that the core asks of it.
#pragma once

#include <string>
#include <vector>

#include "smartx/dot_level.hpp"
#include "smartx/vector_op_level.hpp"

namespace smartx {

/// Every level gives the same bits.
struct Level {
  const char* name;
  const DotLevel* dot;
  const VectorOpLevel* ops;
};

/// The levels that this processor runs, slowest first. The first is "generic".
const std::vector<Level>& levels();
/// The level of that name ("generic", "avx2", "avx512", "amx", "neon", "i8mm"); throws
/// std::invalid_argument where the name is unknown or the processor cannot run it. "" means the
/// default of this process: the one named by the environment variable SMARTX_SIMD if that is set,
/// else the fastest.
const Level& level_named(const std::string& name = "");

}  // namespace smartx
