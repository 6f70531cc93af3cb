// How far a point is from being stationary.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "nlls/box.hpp"

namespace steepest::nlls {

// optimality: SciPy's, the largest |gⱼ|, each times the distance to the bound that the step -gⱼ
// leads to. cosine: the largest |cos| between f and a column of the (weighted) J, over the
// variables that do not rest on a bound. The cosine does not depend on units, optimality does.
struct Stationarity {
  double optimality, cosine;
};

template <class T>
Stationarity measure(const Box<T>& box, const std::vector<T>& x, const T* g, const T* norms2,
                     double cost) {
  const double f_norm = std::sqrt(2 * cost);
  Stationarity out{0, 0};
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t j = static_cast<int64_t>(i);
    const double size = std::fabs(static_cast<double>(g[i]));
    double distance = 1;
    if (box.bounded()) {
      const T room = g[i] < 0 ? box.upper(j) - x[i] : x[i] - box.lower(j);
      if (std::isfinite(room)) distance = static_cast<double>(room);
    }
    out.optimality = std::fmax(out.optimality, size * distance);
    if (size == 0 || box.rests(x[i], g[i], j)) continue;
    out.cosine = std::fmax(out.cosine, size / (std::sqrt(static_cast<double>(norms2[i])) * f_norm));
  }
  return out;
}

// |D⁻¹g| over the variables that do not rest on a bound.
template <class T>
double scaled_gradient(const Box<T>& box, const std::vector<T>& x, const T* g, const T* D) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (box.rests(x[i], g[i], static_cast<int64_t>(i))) continue;
    sum = std::hypot(sum, static_cast<double>(g[i]) / static_cast<double>(D[i]));
  }
  return sum;
}

}  // namespace steepest::nlls
