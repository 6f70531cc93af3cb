// NAdam, Adam with Nesterov's momentum. Dozat 2016, Algorithm 2, with its momentum schedule.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

struct NAdam {
  static constexpr const char *name = "nadam", *given = "lr beta1 beta2 eps momentum_decay",
                              *states = "exp_avg exp_avg_sq", *scalar = "mu_product";
  static constexpr int n_states = 2;  // m, v
  struct Given {
    double lr, beta1, beta2, eps, momentum_decay;
  };
  template <class T>
  struct Hyper {
    T of_m, of_g, beta1, one_minus_beta1, beta2, one_minus_beta2, root, eps;
  };
  // mu_t = beta1 (1 - 0.96^(t psi) / 2); ln 0.96 = -0.0408...
  template <class T>
  STEEPEST_HD static double mu(const Given& x, int64_t t) {
    const double decay = static_cast<double>(t) * x.momentum_decay;
    return static_cast<double>(T(x.beta1)) * (1 - 0.5 * ops::exp(decay * -0.040821994520255166));
  }
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t t, double& mu_product) {
    const double now = mu<T>(x, t), next = mu<T>(x, t + 1);
    mu_product *= now;
    const double root = 1 / ops::sqrt(ops::bias<T>(x.beta2, t));
    return {T(x.lr * next / (1 - mu_product * next)),
            T(x.lr * (1 - now) / (1 - mu_product)),
            T(x.beta1),
            ops::one_minus<T>(x.beta1),
            T(x.beta2),
            ops::one_minus<T>(x.beta2),
            T(root),
            T(x.eps)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    const T m = s[0] = h.beta1 * s[0] + h.one_minus_beta1 * g;
    const T v = s[1] = h.beta2 * s[1] + h.one_minus_beta2 * (g * g);
    theta -= (h.of_m * m + h.of_g * g) / (ops::sqrt(v) * h.root + h.eps);
  }
};

}  // namespace steepest::STEEPEST_LEVEL
