// What is computed for each residual, on the host or on a device: its part of the cost, and the
// weights of its row.
#pragma once
#include <cstdint>

#include "linalg/dense/rows.hpp"
#include "linalg/dense/space.hpp"
#include "nlls/loss.hpp"

namespace steepest::nlls {

// f₊² of the trial, and f² - f₊² = (f - f₊)(f + f₊), with f before it; 0 where there is no f.
template <class T>
struct SquaredCosts {
  const T *trial, *before;

  STEEPEST_HD linalg::Sums operator()(int64_t i) const {
    const double b = static_cast<double>(trial[i]);
    if (!before) return {b * b, 0};
    const double a = static_cast<double>(before[i]);
    return {b * b, (a - b) * (a + b)};
  }
};

// Residuals and a loss of them. given: ρ, ρ', ρ'' in three rows of m, for Loss::given. Kind: Loss,
// or a constant: loops on the host then need not ask which it is, and may be vectorised.
template <class T, class Kind = Loss>
struct Scaled {
  Kind loss;
  double f_scale;
  const T *f, *given;
  int64_t m;

  STEEPEST_HD double z(int64_t i) const {
    const double scaled = static_cast<double>(f[i]) / f_scale;
    return scaled * scaled;
  }
  STEEPEST_HD Rho rho_at(int64_t i) const {
    if (loss != Loss::given) return rho(loss, z(i));
    return {static_cast<double>(given[i]), static_cast<double>(given[m + i]),
            static_cast<double>(given[2 * m + i])};
  }
};

// ρ of the trial, which is kept, and of the point before less it; 0 where there is none.
template <class T, class Kind = Loss>
struct RobustCosts {
  Scaled<T, Kind> trial;
  const double* before;
  double* kept;

  STEEPEST_HD linalg::Sums operator()(int64_t i) const {
    // NaN where f is not finite: arctan's and Tukey's losses are.
    const double value = trial.rho_at(i).value + 0 * static_cast<double>(trial.f[i]);
    kept[i] = value;
    return {value, before ? before[i] - value : 0};
  }
};

template <class T, class Kind = Loss>
struct WeighRows {
  Scaled<T, Kind> at;
  double least;  // as of row_weights
  T *jacobian, *residual;

  STEEPEST_HD void operator()(int64_t i) const {
    const Rho r = at.rho_at(i);
    const RowWeights<T> w = row_weights<T>(r.first, r.second, at.z(i), least);
    jacobian[i] = w.jacobian;
    residual[i] = w.residual;
  }
};

// 1 for a residual that is not zero, and 1 for a row of J that is not.
template <class T>
struct NonZero {
  const T *f, *J;
  int64_t n, down, across;

  static NonZero in(const linalg::Rows<T>& rows) {
    return {rows.f, rows.data, rows.n, rows.row_major ? rows.ld : 1, rows.row_major ? 1 : rows.ld};
  }
  STEEPEST_HD linalg::Sums operator()(int64_t i) const {
    bool any = false;
    for (int64_t j = 0; j < n; ++j) any = any || J[i * down + j * across] != 0;
    return {f[i] != 0 ? 1.0 : 0.0, any ? 1.0 : 0.0};
  }
};

// w², and w⁴, of the rows' weights.
template <class T>
struct WeightPowers {
  const T* weight;

  STEEPEST_HD linalg::Sums operator()(int64_t i) const {
    const double square = static_cast<double>(weight[i]) * static_cast<double>(weight[i]);
    return {square, square * square};
  }
};

}  // namespace steepest::nlls
