// Nesterov's momentum. Nesterov 1983; in the form of Sutskever et al. 2013, equations 3 and 4.
// theta holds the look-ahead point theta + momentum * velocity, so that a step is one pass.
#pragma once
#include "rules/momentum.hpp"

namespace steepest::STEEPEST_LEVEL {

struct Nesterov : Momentum {
  static constexpr const char* name = "nesterov";
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    const T v = s[0] = h.momentum * s[0] - h.lr * g;
    theta += h.momentum * v - h.lr * g;
  }
};

struct NesterovUnscaled : Momentum {
  static constexpr const char* name = "nesterov_unscaled";
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    const T v = s[0] = h.momentum * s[0] + g;
    theta -= h.lr * (g + h.momentum * v);
  }
};

}  // namespace steepest::STEEPEST_LEVEL
