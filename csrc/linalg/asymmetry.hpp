// How far a matrix is from symmetric.
#pragma once
#include <cstdint>

#include "core/dtype.hpp"

namespace steepest::linalg {

struct Asymmetry {
  double difference;  // the largest |a_ij - a_ji|, found at (row, column)
  double magnitude;   // the largest |a_ij|; NaN where an element is not finite
  int64_t row;
  int64_t column;
};

// a is (n, n), its rows lda elements apart.
Asymmetry asymmetry(DType dtype, const void* a, int64_t n, int64_t lda, int threads);

}  // namespace steepest::linalg
