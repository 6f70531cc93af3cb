// The stored pairs (s, y) of L-BFGS by their inner products: the two-loop recursion on these alone.
//
// Nocedal 1980 (Math. Comp. 35, 773-782); on inner products as in Chen, Wang and Zhou 2014
// (Large-scale L-BFGS using MapReduce, NIPS). O(m^2), whatever n is.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace steepest::linalg {

// Products with one vector: of d_i, y_i and, for `direction`, g, `stride` apart.
struct Products {
  const double* at;
  int64_t stride;

  double operator[](int64_t i) const { return at[i * stride]; }
};

// m x m numbers, by row; T is const where they are.
template <class T>
struct Square {
  T* at;
  int64_t m;

  T& operator()(int64_t i, int64_t j) const { return at[i * m + j]; }
};

// An objective and its slope at a point of a line.
struct AtPoint {
  double f, slope;
};

// A line search's first step, and the weak Wolfe conditions under which it is accepted at once.
struct FirstStep {
  AtPoint from;
  double length, c1, c2;
  double roundoff;  // the unit roundoff of f; more where f is noisy

  bool low_enough(double f) const {
    return f < from.f && f <= from.f + c1 * length * from.slope && std::isfinite(f);
  }
  // y.s is then no less than (1 - c2) |from.slope|: more than rounding.
  bool flat_enough(double slope) const { return slope >= c2 * from.slope && std::isfinite(slope); }
};

// The second derivative at the second of two points over its mean between them, by the cubic
// through f and slope at both; 1 where the cubic is not convex there or rounding would show.
double curvature_ratio(const AtPoint& from, const AtPoint& to, double step, double roundoff);

// The rows of a workspace by number; there is room for vectors beside those picked.
struct WorkspaceRows {
  char* first;
  int64_t bytes;  // of a row

  void* at(int64_t i) const { return first + i * bytes; }

  std::vector<void*> at(const std::vector<int64_t>& picks) const {
    std::vector<void*> out;
    out.reserve(picks.size() + 4);
    for (const int64_t i : picks) out.push_back(at(i));
    return out;
  }
};

// Which rows of a workspace hold the vectors of stored pairs, and what is known of their products.
class PairRows {
 public:
  // sums: `matrices` of capacity x capacity, with an entry for each two pairs, then `rows` of
  // capacity, with an entry for each pair.
  PairRows(int64_t capacity, int64_t first_row, int64_t matrices, int64_t rows);

  // The rows of the d_i, then of the y_i, the oldest first.
  std::vector<int64_t> rows() const { return rows(0, {}); }
  // The same once row d is that of the newest pair, whose y is left out.
  std::vector<int64_t> rows_with(int64_t d) const { return rows(count == capacity, {d}); }
  int64_t newest_y() const { return y_rows[at(count - 1)]; }  // where there is one
  int64_t next_y() const { return y_rows[at(count % capacity)]; }

  int64_t capacity, count = 0;
  std::vector<int64_t> d_rows, y_rows;  // the first `count` are in use
  std::vector<double> sums;

 protected:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }

  // Makes row d the d of a new pair; the oldest one goes if all places are taken. Returns the row
  // that is free for the next direction.
  int64_t take(int64_t d);

 private:
  std::vector<int64_t> rows(int64_t first, const std::vector<int64_t>& d) const;

  int64_t matrices_;
};

// Of a pair, d is stored, the direction that led to it, and the step: s = step d.
class Pairs : public PairRows {
 public:
  Pairs(int64_t m, int64_t first_row) : PairRows(m, first_row, 2, 2) {}

  // As `take`. `on_y`: the products of `rows_with(d)` and of the new y with the new y. `ratio`:
  // s^T (Hessian) s at the newer point over s.y.
  int64_t append(const Products& on_y, double step, double ratio, int64_t d);

  // Takes the products of y_j with d_0 .. d_j and y_0 .. y_j.
  void learn(int64_t j, const Products& on_y);

  // d = -H g = sum_i (c[i] d_i + c[count + i] y_i) + c[2 count] g, H the inverse Hessian of L-BFGS
  // from gamma I, where a pair adds s s^T / (ratio s.y) (Biggs 1971). A pair with s.y <= 0 is left
  // out. Returns the slope, d . g.
  double direction(const Products& on_g, double otherwise, double* c) const;

  // All that the second pass of an iteration makes: c has 5 rows of 2 count + 4 coefficients, of
  // the d_i and y_i, the gradient before, x, d and g. They give y, g, the new d as above, the point
  // x + d, and a copy of it for the user.
  double second_pass(const Products& on_g, double otherwise, double* c) const;
};

}  // namespace steepest::linalg
