// Lion. Chen et al. 2023, Algorithm 2 (arXiv:2302.06675), decoupled decay.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct Lion {
  static constexpr const char *name = "lion", *given = "lr beta1 beta2 weight_decay",
                              *states = "exp_avg";
  static constexpr int n_states = 1;
  struct Given {
    double lr, beta1, beta2, weight_decay;
  };
  template <class T>
  struct Hyper {
    T lr, beta1, one_minus_beta1, beta2, one_minus_beta2, weight_decay;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t) {
    return {T(x.lr),
            T(x.beta1),
            ops::one_minus<T>(x.beta1),
            T(x.beta2),
            ops::one_minus<T>(x.beta2),
            T(x.weight_decay)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    const T c = h.beta1 * s[0] + h.one_minus_beta1 * g;
    theta -= h.lr * (ops::sign(c) + h.weight_decay * theta);
    s[0] = h.beta2 * s[0] + h.one_minus_beta2 * g;
  }
};

}  // namespace steepest::STEEPEST_LEVEL
