// The kernels of one SIMD level, as a table of functions; a level is level.cpp compiled again.
#pragma once
#include <cstdint>
#include <vector>

#include "core/chunk.hpp"
#include "core/dtype.hpp"
#include "core/simd_level.hpp"
#include "rules/list.hpp"

namespace steepest {

constexpr int n_rules = STEEPEST_LEVEL::AllRules::size;

// A stage of a step: works on a chunk and leaves the arrays, or chunk.g, changed.
using Stage = void (*)(Chunk& chunk, const Record& record);

struct BlockSum {
  double squares;
  bool finite;  // whether every element is
};

struct Level {
  Stage rule[n_rules][n_dtypes];
  // Writes the rule's Hyper<T> for step t, and brings the scalar that the rule carries up to date.
  void (*fold[n_rules][n_dtypes])(const double* given, int64_t t, double* scalar, void* hyper);
  Stage scale[n_dtypes], decay[n_dtypes], ema[n_dtypes], zero[n_dtypes];
  BlockSum (*block_sum[n_dtypes])(const void* g, int64_t n, Ahead ahead);
};

// By level.cpp, compiled once a level.
const Level& update_kernels(simd::base);
const Level& update_kernels(simd::avx2);
const Level& update_kernels(simd::avx512);

// The level in use: the best that the processor has, or STEEPEST_SIMD; set_level is for tests.
const Level& level();
SimdLevel simd_level();
void set_level(const char* name);
const char* level_in_use();
// The names of the levels that this build and processor have, worst first.
std::vector<const char*> level_names();

}  // namespace steepest
