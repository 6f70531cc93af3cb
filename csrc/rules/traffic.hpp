// The yardstick of the benchmarks: the memory traffic of a rule with n states, and no arithmetic
// beyond one addition to each array that the rule writes.
#pragma once
#include "rules/ops.hpp"

namespace steepest::STEEPEST_LEVEL {

template <int n>
struct Traffic {
  static constexpr const char *given = "lr", *states = "";
  static constexpr int n_states = n;
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
  STEEPEST_HD static void update(T& theta, T g, T* s, const Hyper<T>& h) {
    theta += g;
    for (int i = 0; i < n; ++i) s[i] += h.lr;
  }
};

struct Traffic0 : Traffic<0> {
  static constexpr const char* name = "traffic0";
};
struct Traffic1 : Traffic<1> {
  static constexpr const char *name = "traffic1", *states = "a";
};
struct Traffic2 : Traffic<2> {
  static constexpr const char *name = "traffic2", *states = "a b";
};
struct Traffic3 : Traffic<3> {
  static constexpr const char *name = "traffic3", *states = "a b c";
};
struct Traffic4 : Traffic<4> {
  static constexpr const char *name = "traffic4", *states = "a b c d";
};

}  // namespace steepest::STEEPEST_LEVEL
