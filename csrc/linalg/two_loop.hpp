// The L-BFGS direction in the span of the stored pairs: the two-loop recursion on inner products.
//
// Nocedal 1980 (Math. Comp. 35, 773-782); on inner products alone as in Chen, Wang and Zhou 2014
// (Large-scale L-BFGS using MapReduce, NIPS). O(m^2), whatever n is.
#pragma once
#include <cstdint>

namespace steepest::linalg {

// The inner products of `count` pairs (s, y), of which the newest is in place `newest` of a ring
// of `capacity` places.
struct PairProducts {
  const double* sy;  // (capacity, capacity): s_i . y_j, used for j not older than i
  const double* yy;  // (capacity, capacity): y_i . y_j
  const double* sg;  // (count): s_i . g
  const double* yg;  // (count): y_i . g
  int64_t capacity;
  int64_t count;
  int64_t newest;
};

// H g = gamma g + sum_i (on_s[i] s_i + on_y[i] y_i), H the inverse Hessian of L-BFGS scaled by
// gamma = s.y / y.y of the newest pair; returns gamma. A pair with s.y <= 0 is left out; where all
// are, gamma is `scale`.
double two_loop(const PairProducts& pairs, double scale, double* on_s, double* on_y);

}  // namespace steepest::linalg
