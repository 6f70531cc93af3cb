// Momentum (heavy ball). Polyak 1964, "Some methods of speeding up the convergence of iteration
// methods"; Momentum keeps the rate in the velocity, MomentumUnscaled outside it, as PyTorch does.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct Momentum {
  static constexpr const char *name = "momentum", *given = "lr momentum", *states = "velocity";
  static constexpr int n_states = 1;
  struct Given {
    double lr, momentum;
  };
  template <class T>
  struct Hyper {
    T lr, momentum;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t) {
    return {T(x.lr), T(x.momentum)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta += s[0] = h.momentum * s[0] - h.lr * g;
  }
};

struct MomentumUnscaled : Momentum {
  static constexpr const char* name = "momentum_unscaled";
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= h.lr * (s[0] = h.momentum * s[0] + g);
  }
};

}  // namespace steepest::STEEPEST_LEVEL
