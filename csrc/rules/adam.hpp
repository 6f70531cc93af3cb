// Adam. Kingma & Ba 2015, Algorithm 1 (arXiv:1412.6980); letters as there.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct Adam {
  static constexpr const char *name = "adam", *given = "lr beta1 beta2 eps bias_correction",
                              *states = "exp_avg exp_avg_sq";
  static constexpr int n_states = 2;  // m, v
  struct Given {
    double lr, beta1, beta2, eps, bias_correction;
  };
  // alpha = lr / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t): constant over a step, folded once
  template <class T>
  struct Hyper {
    T alpha, beta1, one_minus_beta1, beta2, one_minus_beta2, root, eps;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t t) {
    const bool corrected = x.bias_correction != 0;
    const double alpha = corrected ? x.lr / ops::bias<T>(x.beta1, t) : x.lr;
    const double root = corrected ? 1 / ops::sqrt(ops::bias<T>(x.beta2, t)) : 1;
    return {
        T(alpha), T(x.beta1), ops::one_minus<T>(x.beta1), T(x.beta2), ops::one_minus<T>(x.beta2),
        T(root),  T(x.eps)};
  }
  template <class T>
  STEEPEST_HD static T step(T g, T* s, const Hyper<T>& h) {
    const T m = s[0] = h.beta1 * s[0] + h.one_minus_beta1 * g;
    const T v = s[1] = h.beta2 * s[1] + h.one_minus_beta2 * (g * g);
    return h.alpha * m / (ops::sqrt(v) * h.root + h.eps);
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= step(g, s, h);
  }
};

}  // namespace steepest::STEEPEST_LEVEL
