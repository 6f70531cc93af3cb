// The second derivative of the residuals along a step, from residuals ahead on it.
#pragma once
#include <cstdint>

#include "core/team.hpp"

namespace steepest::linalg {

// f'' = 2/h ((f(x + h s) - f)/h - J s), in place of J s.
template <class T>
struct SecondDerivative {
  const T *f, *ahead;
  T h;
  T* Js;

  STEEPEST_HD void operator()(int64_t i) const { Js[i] = 2 / h * ((ahead[i] - f[i]) / h - Js[i]); }
};

}  // namespace steepest::linalg
