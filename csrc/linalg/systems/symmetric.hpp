// Whether a small matrix is equal to its transpose.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

namespace steepest::linalg {

// Whether A = Aᵀ (n x n; row and column are its strides) and no product A u, |uᵢ| <= 1, can
// overflow. False for inf and NaN. Half of the reads go down columns: for what fits a cache.
template <class T>
bool safely_symmetric(const T* a, int64_t n, int64_t row, int64_t column) {
  T largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const T here = a[i * row + j * column];
      if (!(here == a[j * row + i * column])) return false;
      largest = std::fabs(here) > largest ? std::fabs(here) : largest;
    }
  }
  return static_cast<double>(largest) <=
         static_cast<double>(std::numeric_limits<T>::max()) / static_cast<double>(n);
}

}  // namespace steepest::linalg
