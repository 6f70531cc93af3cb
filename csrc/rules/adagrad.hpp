// Adagrad. Duchi, Hazan & Singer 2011, equation 1 with diagonal G; lr_decay as in PyTorch.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct Adagrad {
  static constexpr const char *name = "adagrad", *given = "lr lr_decay eps", *states = "sum";
  static constexpr int n_states = 1;
  struct Given {
    double lr, lr_decay, eps;
  };
  template <class T>
  struct Hyper {
    T alpha, eps;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t t) {
    return {T(x.lr / (1 + static_cast<double>(t - 1) * x.lr_decay)), T(x.eps)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    s[0] += g * g;
    theta -= h.alpha * g / (ops::sqrt(s[0]) + h.eps);
  }
};

}  // namespace steepest::STEEPEST_LEVEL
