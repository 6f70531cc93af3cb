// RAdam. Liu et al. 2020, Algorithm 2 (arXiv:1908.03265), switching at rho = 5 as PyTorch does.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct RAdam {
  static constexpr const char *name = "radam", *given = "lr beta1 beta2 eps",
                              *states = "exp_avg exp_avg_sq";
  static constexpr int n_states = 2;  // m, v
  struct Given {
    double lr, beta1, beta2, eps;
  };
  // An unrectified step, theta - alpha m, is the same formula with 0 for the root, and eps = 1.
  template <class T>
  struct Hyper {
    T alpha, beta1, one_minus_beta1, beta2, one_minus_beta2, rectified, eps;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t t) {
    const double c2 = ops::bias<T>(x.beta2, t), rest = ops::bias<T>(x.beta2, 1);
    const double inf = 2 / rest - 1;
    const double rho = inf - 2 * static_cast<double>(t) * (1 - c2) / c2;
    double alpha = x.lr / ops::bias<T>(x.beta1, t);
    const bool rectified = rho > 5;
    if (rectified)
      alpha *= ops::sqrt(c2 * ((rho - 4) * (rho - 2) * inf) / ((inf - 4) * (inf - 2) * rho));
    return {T(alpha),
            T(x.beta1),
            ops::one_minus<T>(x.beta1),
            T(x.beta2),
            ops::one_minus<T>(x.beta2),
            T(rectified ? 1 : 0),
            T(rectified ? x.eps : 1)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    const T m = s[0] = h.beta1 * s[0] + h.one_minus_beta1 * g;
    const T v = s[1] = h.beta2 * s[1] + h.one_minus_beta2 * (g * g);
    theta -= h.alpha * m / ((h.rectified > 0 ? ops::sqrt(v) : h.rectified) + h.eps);  // not 0 * inf
  }
};

}  // namespace steepest::STEEPEST_LEVEL
