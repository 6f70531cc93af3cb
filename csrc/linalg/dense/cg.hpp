// The damped normal equations by conjugate gradients on products with J: no JᵀJ is formed.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "linalg/dense/cholesky.hpp"
#include "linalg/dense/normal.hpp"
#include "linalg/dense/rows.hpp"
#include "linalg/dense/second_derivative.hpp"
#include "linalg/lapack.hpp"

namespace steepest::linalg {

// A J of at most this many elements is multiplied by the loops here, not by gemv: with 60 elements
// both take 0.04 µs.
constexpr int64_t own_gemv_size = 100;

// J of one point and products with it.
template <class T>
class Operator : public KeptRows<T, HostSpace<T>> {
 public:
  // out = (weighted J)ᵀ (weighted f)
  void gradient(NormalEquations<T>& out, HostSpace<T>& space) {
    std::vector<T>& wf = space.scratch;
    wf.resize(static_cast<size_t>(rows_.m));
    for (int64_t i = 0; i < rows_.m; ++i) {
      const T w = rows_.jac_weight ? rows_.jac_weight[i] * rows_.res_weight[i] : T(1);
      wf[static_cast<size_t>(i)] = w * rows_.f[i];
    }
    gemv(true, wf.data(), out.g());
  }

  // out = Jᵀf'', where f'' is the second derivative of the residuals along s, by f at x and `ahead`
  // at x + h s. False where out is not finite.
  bool curvature(const T* s, T h, const T* f, const T* ahead, T* out, HostSpace<T>& space) {
    std::vector<T>& Js = space.scratch;
    Js.resize(static_cast<size_t>(rows_.m));
    gemv(false, s, Js.data());
    space.each(rows_.m, SecondDerivative<T>{f, ahead, h, Js.data()});
    weighted_transpose(Js.data(), out);
    return std::all_of(out, out + rows_.n, [](T v) { return std::isfinite(v); });
  }

  // out = (weighted J)ᵀ (weighted J) v
  void product(const T* v, T* out, HostSpace<T>&) {
    Jv_.resize(static_cast<size_t>(rows_.m));
    gemv(false, v, Jv_.data());
    weighted_transpose(Jv_.data(), out);
  }

 private:
  // out = (weighted J)ᵀ weights v; v is overwritten
  void weighted_transpose(T* v, T* out) const {
    if (rows_.jac_weight) {
      for (int64_t i = 0; i < rows_.m; ++i) v[i] *= rows_.jac_weight[i] * rows_.jac_weight[i];
    }
    gemv(true, v, out);
  }

  // out = J v or Jᵀ v, without weights
  void gemv(bool transposed, const T* v, T* out) const {
    if (rows_.m * rows_.n <= own_gemv_size) return gemv_own(transposed, v, out);
    // Row-major J is Jᵀ to BLAS, so its product and its transpose's change places.
    char trans = transposed == rows_.row_major ? 'N' : 'T';
    int rows = blas_int(rows_.row_major ? rows_.n : rows_.m);
    int columns = blas_int(rows_.row_major ? rows_.m : rows_.n);
    int stride = blas_int(rows_.ld), one = 1;
    T unit = 1, zero = 0;
    lapack<T>().gemv(&trans, &rows, &columns, &unit, const_cast<T*>(rows_.data), &stride,
                     const_cast<T*>(v), &one, &zero, out, &one);
  }

  void gemv_own(bool transposed, const T* v, T* out) const {
    std::fill_n(out, transposed ? rows_.n : rows_.m, T(0));
    const int64_t down = rows_.row_major ? rows_.ld : 1, across = rows_.row_major ? 1 : rows_.ld;
    for (int64_t i = 0; i < rows_.m; ++i) {
      const T* row = rows_.data + i * down;
      for (int64_t j = 0; j < rows_.n; ++j) {
        if (transposed) {
          out[j] += row[j * across] * v[i];
        } else {
          out[i] += row[j * across] * v[j];
        }
      }
    }
  }

  using KeptRows<T, HostSpace<T>>::rows_;
  std::vector<T> Jv_;
};

// d on `free` with (H_FF + λ D_F²) d = -r_F to a relative residual of `tolerance`, both measured
// in the preconditioner's norm; the preconditioner is the system's diagonal.
// Hestenes and Stiefel, J. Res. NBS 49 (1952) 409-436.
template <class T>
class ConjugateGradients {
 public:
  template <class Operator, class Space>
  void solve(Operator& J, const T* norms2, Damping<T> damping, const std::vector<int64_t>& free,
             int64_t n, const T* r, T tolerance, T* d, Space& space) {
    start(norms2, damping, free, n, r);
    double rz = dot(free, residual_, z_);
    const double enough = static_cast<double>(tolerance) * static_cast<double>(tolerance) * rz;
    for (int64_t iteration = 0; iteration < 2 * n && rz > enough; ++iteration) {
      J.product(p_.data(), Ap_.data(), space);
      for (const int64_t j : free) {
        const T D = damping.D[j];
        Ap_[at(j)] += damping.lambda * D * D * p_[at(j)];
      }
      const double curvature = dot(free, p_, Ap_);
      if (!(curvature > 0)) break;  // rounding, or a direction in the null space of J
      const T alpha = static_cast<T>(rz / curvature);
      for (const int64_t j : free) {
        d_[at(j)] += alpha * p_[at(j)];
        residual_[at(j)] -= alpha * Ap_[at(j)];
        z_[at(j)] = residual_[at(j)] * inverse_[at(j)];
      }
      const double next = dot(free, residual_, z_);
      const T beta = static_cast<T>(next / rz);
      for (const int64_t j : free) p_[at(j)] = z_[at(j)] + beta * p_[at(j)];
      rz = next;
    }
    for (const int64_t j : free) d[j] = d_[at(j)];
  }

 private:
  static size_t at(int64_t j) { return static_cast<size_t>(j); }

  void start(const T* norms2, Damping<T> damping, const std::vector<int64_t>& free, int64_t n,
             const T* r) {
    for (auto* v : {&d_, &residual_, &z_, &p_, &Ap_, &inverse_}) v->assign(at(n), T(0));
    for (const int64_t j : free) {
      const T diagonal = norms2[j] + damping.lambda * damping.D[j] * damping.D[j];
      inverse_[at(j)] = diagonal > 0 ? 1 / diagonal : T(0);
      residual_[at(j)] = -r[j];
      z_[at(j)] = p_[at(j)] = residual_[at(j)] * inverse_[at(j)];
    }
  }

  static double dot(const std::vector<int64_t>& free, const std::vector<T>& a,
                    const std::vector<T>& b) {
    double sum = 0;
    for (const int64_t j : free) {
      sum += static_cast<double>(a[at(j)]) * static_cast<double>(b[at(j)]);
    }
    return sum;
  }

  std::vector<T> d_, residual_, z_, p_, Ap_, inverse_;
};

}  // namespace steepest::linalg
