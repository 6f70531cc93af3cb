// One read of the matrix, by pairs of tiles that lie opposite each other and both fit in L1.
#include "linalg/asymmetry.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace steepest::linalg {
namespace {

constexpr int64_t tile = 32;
constexpr int64_t lanes = 8;  // separate maxima, so that the compiler may vectorise

template <class T>
T larger(T x, T y) {
  return x < y ? y : x;
}

template <class T>
T largest(const T (&lane)[lanes]) {
  T found = lane[0];
  for (const T value : lane) found = larger(found, value);
  return found;
}

// Compares the tile of A at (top, left) with the opposite one, which is first turned over.
template <class T>
void compare(const T* a, int64_t n, int64_t lda, int64_t top, int64_t left, Asymmetry& worst) {
  const int64_t height = std::min(tile, n - top), width = std::min(tile, n - left);
  T upper[tile * tile] = {}, lower[tile * tile] = {};
  for (int64_t i = 0; i < height; ++i)
    std::copy_n(a + (top + i) * lda + left, width, upper + i * tile);
  for (int64_t j = 0; j < width; ++j)
    for (int64_t i = 0; i < height; ++i) lower[i * tile + j] = a[(left + j) * lda + top + i];
  T difference[lanes] = {}, magnitude[lanes] = {};
  T zero[lanes] = {};  // turns NaN where an element is not finite
  for (int64_t k = 0; k < tile * tile; k += lanes)
    for (int64_t l = 0; l < lanes; ++l) {
      const T gap = upper[k + l] - lower[k + l];
      difference[l] = larger(difference[l], std::abs(gap));
      magnitude[l] = larger(magnitude[l], std::abs(upper[k + l]));
      zero[l] += gap * 0;
    }
  T all_zero = 0;
  for (const T z : zero) all_zero += z;
  worst.magnitude = static_cast<double>(largest(magnitude) + all_zero);
  worst.difference = static_cast<double>(largest(difference));
  if (!(worst.difference > 0)) return;
  for (int64_t k = 0; k < tile * tile; ++k)
    if (std::abs(upper[k] - lower[k]) == largest(difference)) {
      worst.row = top + k / tile;
      worst.column = left + k % tile;
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
