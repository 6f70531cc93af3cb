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
  const double* sy;    // (capacity, capacity): s_i . y_j, used for j not older than i
  const double* yy;    // (capacity, capacity): y_i . y_j
  const double* on_g;  // the products of s_i, then y_i, then g itself, with g, `stride` apart
  int64_t stride;
  int64_t capacity;
  int64_t count;
  int64_t newest;
};

struct Direction {
  double scale;      // gamma = s.y / y.y of the newest pair
  double slope;      // d . g
  double magnitude;  // the largest term of that sum: how much of it may be rounding
};

// d = -H g = sum_i (c[i] s_i + c[count + i] y_i) + c[2 count] g, H the inverse Hessian of L-BFGS
// from gamma I. A pair with s.y <= 0 is left out; where all are, gamma is `otherwise`.
Direction two_loop(const PairProducts& pairs, double otherwise, double* c);

}  // namespace steepest::linalg
