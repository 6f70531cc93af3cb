// Adadelta. Zeiler 2012, Algorithm 1 (arXiv:1212.5701), with a rate.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct Adadelta {
  static constexpr const char *name = "adadelta", *given = "lr rho eps",
                              *states = "square_avg acc_delta";
  static constexpr int n_states = 2;  // v, u
  struct Given {
    double lr, rho, eps;
  };
  template <class T>
  struct Hyper {
    T lr, rho, one_minus_rho, eps;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t) {
    return {T(x.lr), T(x.rho), ops::one_minus<T>(x.rho), T(x.eps)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    const T v = s[0] = h.rho * s[0] + h.one_minus_rho * (g * g);
    const T d = ops::sqrt(s[1] + h.eps) / ops::sqrt(v + h.eps) * g;
    s[1] = h.rho * s[1] + h.one_minus_rho * (d * d);
    theta -= h.lr * d;
  }
};

}  // namespace steepest::STEEPEST_LEVEL
