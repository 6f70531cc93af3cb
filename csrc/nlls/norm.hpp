// The norm of a scaled vector on the host.
#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

namespace steepest::nlls {

// |(scale_j v_j)| in double, with scale 1 where it is null. Sums near the ends of the range are
// formed again by hypot, whose squares neither overflow nor vanish.
template <class T>
double norm(const std::vector<T>& v, const T* scale = nullptr) {
  const auto part = [&](size_t j) {
    return (scale ? static_cast<double>(scale[j]) : 1.0) * static_cast<double>(v[j]);
  };
  double sum = 0;
  for (size_t j = 0; j < v.size(); ++j) {
    const double p = part(j);
    sum += p * p;
  }
  if (sum > 1e-250 && sum < 1e250) return std::sqrt(sum);
  sum = 0;
  for (size_t j = 0; j < v.size(); ++j) sum = std::hypot(sum, part(j));
  return sum;
}

}  // namespace steepest::nlls
