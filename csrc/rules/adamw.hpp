// AdamW, Adam with decoupled decay. Loshchilov & Hutter 2019, Algorithm 2 (arXiv:1711.05101), the
// decay scaled by the rate. 1 - lr * weight_decay is never formed: in float32 it loses a small one.
#pragma once
#include "rules/amsgrad.hpp"

namespace steepest::STEEPEST_LEVEL {

// Adam or AMSGrad with the decay beside its step.
template <class Base>
struct Decoupled : Base {
  static constexpr const char* given = "lr beta1 beta2 eps bias_correction weight_decay";
  struct Given : Base::Given {
    double weight_decay;
  };
  template <class T>
  struct Hyper : Base::template Hyper<T> {
    T decay;  // lr * weight_decay
  };
  template <class T>
  STEEPEST_HD static Hyper<T> fold(const Given& x, int64_t t) {
    return {Base::template fold<T>(x, t), T(x.lr * x.weight_decay)};
  }
  template <class T>
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta -= h.decay * theta + Base::step(g, s, h);
  }
};

struct AdamW : Decoupled<Adam> {
  static constexpr const char* name = "adamw";
};
struct AmsGradW : Decoupled<AmsGrad> {
  static constexpr const char* name = "amsgradw";
};

}  // namespace steepest::STEEPEST_LEVEL
