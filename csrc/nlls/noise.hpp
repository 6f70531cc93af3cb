// The noise of residuals, from differences of growing order along a line: Moré and Wild, SIAM J.
// Sci. Comput. 33 (2011) 1292-1314. A difference of order k of noise alone has binomial(2k, k)
// times its variance, while that of a smooth function falls with each order.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace steepest::nlls {

// f: m residuals each at five points, evenly on a short line. The standard deviation of the noise
// in them; 0 where the line is merely curved, or not finite.
template <class T>
double noise_along(const T* const (&f)[5], int64_t m) {
  double second = 0, fourth = 0;  // mean squares over what noise of variance 1 would give
  for (int64_t i = 0; i < m; ++i) {
    double bend[3];
    for (size_t k = 0; k < 3; ++k) {
      bend[k] = static_cast<double>(f[k][i]) - 2 * static_cast<double>(f[k + 1][i]) +
                static_cast<double>(f[k + 2][i]);
    }
    const double last = bend[0] - 2 * bend[1] + bend[2];
    second += (bend[0] * bend[0] + bend[1] * bend[1] + bend[2] * bend[2]) / 3 / 6;
    fourth += last * last / 70;
  }
  const double noise = std::sqrt(fourth / static_cast<double>(m));
  return fourth > second / 16 && std::isfinite(noise) ? noise : 0;
}

}  // namespace steepest::nlls
