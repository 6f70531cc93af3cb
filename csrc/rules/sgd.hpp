// Stochastic gradient descent. Robbins & Monro 1951.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct Sgd {
  static constexpr const char *name = "sgd", *given = "lr", *states = "";
  static constexpr int n_states = 0;
  struct Given {
    double lr;
  };
  template <class T>
  struct Hyper {
    T lr;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t) {
    return {T(x.lr)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T*, const Hyper<T>& h) {
    theta -= h.lr * g;
  }
};

}  // namespace steepest::STEEPEST_LEVEL
