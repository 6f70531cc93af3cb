// What kernels do with one element: matrices packed, scaled and taken apart. Index arithmetic is
// 64-bit throughout.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/team.hpp"

namespace steepest::linalg {

// Which variables: those listed, or all where there is no list.
struct Free {
  const int64_t* list;
  int64_t count;
  STEEPEST_HD int64_t operator[](int64_t a) const { return list ? list[a] : a; }
};

// Weighted rows of J; with n + 1 columns the last is the weighted residual. Neighbouring threads
// read neighbouring elements.
template <class T>
struct PackRows {
  const T* J;
  int64_t ld;
  bool row_major;
  const T *f, *jac_weight, *res_weight;  // weights may be null
  int64_t m, n, columns;
  T* to;
  int64_t down, across;

  STEEPEST_HD void operator()(int64_t e) const {
    const int64_t i = row_major ? e / columns : e % m, j = row_major ? e % columns : e / m;
    T value;
    if (j == n) {
      value = (res_weight ? res_weight[i] : T(1)) * f[i];
    } else {
      value = (jac_weight ? jac_weight[i] : T(1)) * (row_major ? J[i * ld + j] : J[j * ld + i]);
    }
    to[i * down + j * across] = value;
  }
};

// Sums of each column over `per` rows at a time; those of the same rows make a row of the result.
enum class Term { element, square };
template <class T>
struct SumRows {
  const T* from;
  int64_t down, across, rows, columns, per;
  Term term;
  const T* weight;    // a row's; may be null
  bool columns_next;  // to each other in memory
  bool accumulate;
  T* to;

  STEEPEST_HD void operator()(int64_t e) const {
    const int64_t chunks = (rows + per - 1) / per;
    const int64_t c = columns_next ? e / columns : e % chunks;
    const int64_t j = columns_next ? e % columns : e / chunks;
    const int64_t end = (c + 1) * per < rows ? (c + 1) * per : rows;
    T sum = accumulate ? to[c * columns + j] : T(0);
    for (int64_t i = c * per; i < end; ++i) {
      const T v = (weight ? weight[i] : T(1)) * from[i * down + j * across];
      sum += term == Term::square ? v * v : v;
    }
    to[c * columns + j] = sum;
  }
};

template <class T>
struct TakeDiagonal {
  const T* from;
  int64_t ld;
  T* to;
  STEEPEST_HD void operator()(int64_t j) const { to[j] = from[j * ld + j]; }
};

// v[i] = w[i] u[i] f[i], or w[i]² v[i] in place.
template <class T>
struct WeighResidual {
  const T *jac_weight, *res_weight, *f;
  T* to;
  STEEPEST_HD void operator()(int64_t i) const { to[i] = jac_weight[i] * res_weight[i] * f[i]; }
};
template <class T>
struct SquareWeights {
  const T* weight;
  T* v;
  STEEPEST_HD void operator()(int64_t i) const { v[i] *= weight[i] * weight[i]; }
};

// The lower triangle, by columns, of a system A x = b, with b as one more row below A. Cholesky of
// the whole puts L in place of A and L⁻¹b in place of b, so that only one triangular solve is left.
// The corner to the right of b is so large that its pivot is positive, whatever b is.
template <class T>
struct Bordered {
  T* to;
  int64_t ld, n;
  static constexpr T corner = std::numeric_limits<T>::max() / 4;

  STEEPEST_HD T& at(int64_t i, int64_t j) const { return to[j * ld + i]; }
  STEEPEST_HD T* right() const { return &at(n, 0); }  // every ld-th number
  STEEPEST_HD void set_right(int64_t j, T value) const {
    at(n, j) = value;
    if (j == 0) at(n, n) = corner;
  }
};

// H scaled to a unit diagonal, and -g in those units; the scales, 0 for a column of zeros; H's
// diagonal. For e below n (n + 1).
template <class T>
struct ScaleUndamped {
  const T *H, *g;
  Bordered<T> system;
  T *scale, *diagonal;

  STEEPEST_HD T scale_of(int64_t j) const {
    const T norm2 = H[j * system.n + j];
    return norm2 > 0 ? 1 / std::sqrt(norm2) : T(0);
  }
  STEEPEST_HD void operator()(int64_t e) const {
    const int64_t a = e / system.n, b = e % system.n;
    if (a == system.n) {
      system.set_right(b, -g[b] * scale_of(b));
    } else if (b < a) {
      system.at(a, b) = H[e] * scale_of(a) * scale_of(b);
    } else if (b == a) {
      system.at(a, a) = T(1);
      scale[a] = scale_of(a);
      diagonal[a] = H[e];
    }
  }
};

// The same of the free variables, with scales and right-hand side that are given.
template <class T>
struct GatherScaled {
  const T* H;
  int64_t n;
  Free free;
  const T *scale, *right;
  Bordered<T> system;

  STEEPEST_HD void operator()(int64_t e) const {
    const int64_t a = e / free.count, b = e % free.count;
    if (a == free.count) {
      system.set_right(b, right[b]);
    } else if (b <= a) {
      system.at(a, b) = b == a ? T(1) : H[free[a] * n + free[b]] * scale[a] * scale[b];
    }
  }
};

// d on the free variables, from what was solved in scaled ones.
template <class T>
struct ScatterStep {
  const T* from;
  int64_t stride;
  const T* scale;
  Free free;
  T sign;
  T* to;
  STEEPEST_HD void operator()(int64_t a) const { to[free[a]] = sign * from[a * stride] * scale[a]; }
};

// The same, and behind it the factor's diagonal and potrf's info.
template <class T>
struct TakeAnswer {
  ScatterStep<T> step;
  Bordered<T> system;
  const int* info;
  T* roots;
  STEEPEST_HD void operator()(int64_t a) const {
    step(a);
    roots[a] = system.at(a, a);
    if (a == 0) *reinterpret_cast<int*>(roots + system.n) = *info;
  }
};

// The upper triangle of the first rows, zeros below it; both column-major.
template <class T>
struct CopyUpper {
  const T* from;
  int64_t ld_from, rows;
  T* to;
  int64_t ld_to;

  STEEPEST_HD void operator()(int64_t e) const {
    const int64_t i = e % rows, j = e / rows;
    to[j * ld_to + i] = i <= j ? from[j * ld_from + i] : T(0);
  }
};

// The columns of [R; √λ D] on the free variables, of unit norm, and √λ D s below Qᵀf. A column of
// zeros whose damping underflows gets an entry of its own, and with scale 0 takes no step.
template <class T>
struct StackDamping {
  const T* R;  // n x (n + 1) by columns, the last of them Qᵀf
  int64_t n;
  Free free;
  T root;  // of λ
  const T *D, *s, *scale;
  T* to;

  STEEPEST_HD void operator()(int64_t e) const {
    const int64_t height = n + free.count + 1, i = e % height, a = e / height;
    T value = 0;
    if (a == free.count) {
      const int64_t row = i - n;
      if (i < n) {
        value = R[n * n + i];
      } else if (row < free.count) {
        value = root * D[free[row]] * s[free[row]];
      }
    } else if (i < n) {
      value = i <= free[a] ? R[free[a] * n + i] * scale[a] : T(0);
    } else if (i == n + a) {
      value = scale[a] > 0 ? root * D[free[a]] * scale[a] : T(root > 0 ? 1 : 0);
    }
    to[e] = value;
  }
};

// 1 over the norms of those columns; norms2: of R's.
template <class T>
struct ScaleColumns {
  const T* norms2;
  Free free;
  T root;
  const T* D;
  T* scale;

  STEEPEST_HD void operator()(int64_t a) const {
    const T damping = root * D[free[a]], norm2 = norms2[free[a]] + damping * damping;
    scale[a] = norm2 > 0 ? 1 / std::sqrt(norm2) : T(0);
  }
};

// r on the free variables in scaled ones.
template <class T>
struct GatherRight {
  const T *r, *scale;
  Free free;
  T* to;
  STEEPEST_HD void operator()(int64_t a) const { to[a] = r[free[a]] * scale[a]; }
};

}  // namespace steepest::linalg
