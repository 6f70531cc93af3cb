// AdaMax. Kingma & Ba 2015, Algorithm 2 (arXiv:1412.6980); eps keeps 0 / 0 away, as in PyTorch.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct AdaMax {
  static constexpr const char *name = "adamax", *given = "lr beta1 beta2 eps",
                              *states = "exp_avg exp_inf";
  static constexpr int n_states = 2;  // m, u
  struct Given {
    double lr, beta1, beta2, eps;
  };
  template <class T>
  struct Hyper {
    T alpha, beta1, one_minus_beta1, beta2, eps;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t t) {
    return {T(x.lr / ops::bias<T>(x.beta1, t)), T(x.beta1), ops::one_minus<T>(x.beta1), T(x.beta2),
            T(x.eps)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    const T m = s[0] = h.beta1 * s[0] + h.one_minus_beta1 * g;
    const T u = s[1] = ops::max(h.beta2 * s[1], ops::abs(g) + h.eps);
    theta -= h.alpha * m / u;
  }
};

}  // namespace steepest::STEEPEST_LEVEL
