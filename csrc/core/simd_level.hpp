// The SIMD levels. Some sources are compiled once for each, and overload a function for its tag;
// std::visit picks the one for the level in use.
#pragma once
#include <variant>

namespace steepest {

namespace simd {  // named as STEEPEST_LEVEL is in their compilation
struct base {};
struct avx2 {};
struct avx512 {};
}  // namespace simd

// One that this build has.
#ifdef STEEPEST_X86_LEVELS
using SimdLevel = std::variant<simd::base, simd::avx2, simd::avx512>;
#else
using SimdLevel = std::variant<simd::base>;
#endif

}  // namespace steepest
