// The L-BFGS direction in the span of the stored pairs: the two-loop recursion on inner products.
//
// Nocedal 1980 (Math. Comp. 35, 773-782); on inner products alone as in Chen, Wang and Zhou 2014
// (Large-scale L-BFGS using MapReduce, NIPS). O(m^2), whatever n is.
#pragma once
#include <cstdint>

namespace steepest::linalg {

// The inner products of `count` pairs (s, y), the oldest first. What is stored of s is d, s = step
// d: the direction that led to it.
struct PairProducts {
  double* sy;      // (capacity, capacity): s_i . y_j, for j not older than i
  double* yy;      // (capacity, capacity): y_i . y_j
  double* steps;   // (capacity,)
  double* ratios;  // (capacity,): s^T (Hessian) s at the newer point over s.y
  int64_t capacity;
  int64_t count;
};

// Products with one vector: of d_i, y_i and, for `two_loop`, g, `stride` apart.
struct Products {
  const double* at;
  int64_t stride;
};

// Adds a pair; the oldest one goes where all places are taken. `on_y`: the products of the d and y
// that there are then with the new y.
void append_pair(PairProducts& pairs, const Products& on_y, double step, double ratio);

struct Direction {
  double scale;      // gamma = s.y / y.y of the newest pair
  double slope;      // d . g
  double magnitude;  // the largest term of that sum: how much of it may be rounding
};

// d = -H g = sum_i (c[i] d_i + c[count + i] y_i) + c[2 count] g, H the inverse Hessian of L-BFGS
// from gamma I, where a pair adds s s^T / (ratio s.y) (Biggs 1971). A pair with s.y <= 0 is
// left out; where all are, gamma is `otherwise`.
Direction two_loop(const PairProducts& pairs, const Products& on_g, double otherwise, double* c);

}  // namespace steepest::linalg
