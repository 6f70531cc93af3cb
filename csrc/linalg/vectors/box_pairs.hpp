// The stored pairs (s, y) of L-BFGS in a box, by their inner products: the step that solves
// B_FF d = -g on the free variables F, with B = L-BFGS's matrix from all pairs as they are.
//
// Byrd, Lu, Nocedal and Zhu 1995 (SIAM J. Sci. Comput. 16, 1190-1208), (3.2) and section 5.1. The
// pairs are not cut to F: their y also shows steps of variables that have been held since.
#pragma once
#include <cstdint>
#include <vector>

#include "linalg/vectors/pairs.hpp"

namespace steepest::linalg {

// A row d holds s itself.
class BoxPairs : public PairRows {
 public:
  BoxPairs(int64_t m, int64_t first_row) : PairRows(m, first_row, 3, 1) {}

  // As `take`. `on_y` and `on_s`: the products of `rows_with(d)` and of the new y with the new y on
  // the free variables, and with the new s on the held.
  int64_t append(const Products& on_y, const Products& on_s, int64_t d);

  // Takes the products of y_j on the free variables, and of s_j on the held, with s_0 .. s_j and
  // y_0 .. y_j.
  void learn(int64_t j, const Products& on_y, const Products& on_s);

  // gamma = s.y / y.y of the newest pair with s.y > 0, y.y over the free variables alone; where
  // there is none, `otherwise`.
  double scale(double otherwise) const;

  // d_F = sum_i (c[i] s_i + c[count + i] y_i) + c[2 count] g. Pairs with s.y <= 0 are left out, and
  // where rounding makes B_FF singular the oldest ones. Returns gamma.
  double direction(const Products& on_g, double otherwise, double* c) const;

 private:
  bool solve(const std::vector<int64_t>& used, double gamma, const Products& on_g, double* c) const;
};

}  // namespace steepest::linalg
