// RMSProp. Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013 (arXiv:1308.0850), equations
// 38 to 45, with the variance w itself as state: never negative, unlike s - a^2 in float32.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct RmsProp {
  static constexpr const char *name = "rmsprop", *given = "lr beta eps momentum",
                              *states = "square_avg";
  static constexpr int n_states = 1;
  struct Given {
    double lr, beta, eps, momentum;
  };
  template <class T>
  struct Hyper {
    T lr, beta, one_minus_beta, eps, momentum;
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t) {
    return {T(x.lr), T(x.beta), ops::one_minus<T>(x.beta), T(x.eps), T(x.momentum)};
  }
  // The direction g / (sqrt(s) + eps), s brought up to date.
  template <class T>
  STEEPEST_HD static T direction(T g, T* s, const Hyper<T>& h) {
    s[0] = h.beta * s[0] + h.one_minus_beta * (g * g);
    return g / (ops::sqrt(s[0]) + h.eps);
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= h.lr * direction(g, s, h);
  }
};

struct RmsPropMomentum : RmsProp {
  static constexpr const char *name = "rmsprop_momentum", *states = "square_avg velocity";
  static constexpr int n_states = 2;
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= h.lr * (s[1] = h.momentum * s[1] + direction(g, s, h));
  }
};

struct RmsPropCentered : RmsProp {
  static constexpr const char *name = "rmsprop_centered", *states = "grad_avg grad_var";
  static constexpr int n_states = 2;
  template <class T>
  STEEPEST_HD static T direction(T g, T* s, const Hyper<T>& h) {
    const T d = g - s[0];
    s[1] = h.beta * (s[1] + h.one_minus_beta * (d * d));
    s[0] += h.one_minus_beta * d;
    return g / (ops::sqrt(s[1]) + h.eps);
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= h.lr * direction(g, s, h);
  }
};

struct RmsPropCenteredMomentum : RmsPropCentered {
  static constexpr const char *name = "rmsprop_centered_momentum",
                              *states = "grad_avg grad_var velocity";
  static constexpr int n_states = 3;
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= h.lr * (s[2] = h.momentum * s[2] + direction(g, s, h));
  }
};

}  // namespace steepest::STEEPEST_LEVEL
