// What a part of the core must do, and whether all of it holds.
#pragma once
#include <cmath>
#include <cstdio>

inline int failed = 0;

inline void must(bool holds, const char* what) {
  if (holds) return;
  ++failed;
  std::printf("does not hold: %s\n", what);
}

inline bool near(double a, double b) { return std::fabs(a - b) <= 1e-12 * std::fabs(b); }

inline int verdict() {
  if (!failed) std::puts("all hold");
  return failed;
}
