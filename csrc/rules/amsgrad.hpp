// AMSGrad. Reddi, Kale & Kumar 2018, Algorithm 2 (arXiv:1904.09237), with Adam's bias corrections:
// the maximum is taken over v uncorrected, and corrected afterwards.
#pragma once
#include "rules/adam.hpp"

namespace steepest::STEEPEST_LEVEL {

struct AmsGrad : Adam {
  static constexpr const char *name = "amsgrad", *states = "exp_avg exp_avg_sq max_exp_avg_sq";
  static constexpr int n_states = 3;  // m, v, x
  template <class T>
  STEEPEST_HD static T step(T g, T* s, const Hyper<T>& h) {
    const T m = s[0] = h.beta1 * s[0] + h.one_minus_beta1 * g;
    const T v = s[1] = h.beta2 * s[1] + h.one_minus_beta2 * (g * g);
    const T x = s[2] = ops::max(s[2], v);
    return h.alpha * m / (ops::sqrt(x) * h.root + h.eps);
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= step(g, s, h);
  }
};

}  // namespace steepest::STEEPEST_LEVEL
