// One read of the matrix, by pairs of tiles that lie opposite each other and both fit in L1.
#include "linalg/asymmetry.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace steepest::linalg {
namespace {

constexpr int64_t tile = 32;

template <class T>
void compare(const T* a, int64_t n, int64_t lda, int64_t top, int64_t left, Asymmetry& worst) {
  const int64_t bottom = std::min(top + tile, n), right = std::min(left + tile, n);
  T difference = 0, magnitude = 0, zero = 0;  // zero turns NaN where an element is not finite
  for (int64_t i = top; i < bottom; ++i)
    for (int64_t j = left; j < right; ++j) {
      const T upper = a[i * lda + j], lower = a[j * lda + i];
      difference = std::max(difference, std::abs(upper - lower));
      magnitude = std::max(magnitude, std::max(std::abs(upper), std::abs(lower)));
      zero += (upper - upper) + (lower - lower);
    }
  worst.magnitude = std::max(worst.magnitude, static_cast<double>(magnitude)) + double(zero);
  if (!(static_cast<double>(difference) > worst.difference)) return;
  worst.difference = static_cast<double>(difference);
  for (int64_t i = top; i < bottom; ++i)
    for (int64_t j = left; j < right; ++j)
      if (std::abs(a[i * lda + j] - a[j * lda + i]) == difference) {
        worst.row = i;
        worst.column = j;
        return;
      }
}

// The larger of two; a NaN magnitude stays.
void join(Asymmetry& worst, const Asymmetry& other) {
  if (!std::isnan(worst.magnitude))
    worst.magnitude =
        std::isnan(other.magnitude) ? other.magnitude : std::max(worst.magnitude, other.magnitude);
  if (other.difference > worst.difference) {
    const double magnitude = worst.magnitude;
    worst = other;
    worst.magnitude = magnitude;
  }
}

}  // namespace

Asymmetry asymmetry(DType dtype, const void* a, int64_t n, int64_t lda, int threads) {
  const int64_t strips = (n + tile - 1) / tile;
  std::vector<Asymmetry> found(static_cast<size_t>(strips), Asymmetry{0, 0, 0, 0});
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (int64_t s = 0; s < strips; ++s)
    visit(dtype, [&](auto element) {
      using T = decltype(element);
      Asymmetry mine{0, 0, 0, 0};
      for (int64_t left = s * tile; left < n; left += tile) {
        Asymmetry one{0, 0, 0, 0};
        compare(static_cast<const T*>(a), n, lda, s * tile, left, one);
        join(mine, one);
      }
      found[static_cast<size_t>(s)] = mine;
    });
  Asymmetry worst{0, 0, 0, 0};
  for (const Asymmetry& one : found) join(worst, one);
  return worst;
}

}  // namespace steepest::linalg
