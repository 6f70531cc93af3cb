// The damped normal equations on a subset of the variables, (H_FF + λ D_F²) d = -r_F, by Cholesky.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "linalg/blas_threads.hpp"
#include "linalg/dense/normal.hpp"
#include "linalg/lapack.hpp"

namespace steepest::linalg {

// Up to this size the loop here factors the matrix, not potrf: n = 4 takes 0.04 µs here and 0.07 by
// potrf, n = 8 takes 0.21 and 0.13 (OpenBLAS 0.3, AVX-512 Xeon). The substitution is always done
// here: up to n = 800 potrs was never faster than the two loops.
constexpr int64_t own_cholesky_n = 6;
// From this size on potrf gains by threads: two take 1.08 of one's time for 256, 0.86 for 500.
constexpr int64_t threaded_cholesky_n = 400;

// λ and D of one damped system; D has one positive number a variable. QR, whose columns are scaled
// to unit norm, takes the system for singular at a pivot of at most `rounding` · n · eps.
template <class T>
struct Damping {
  T lambda;
  const T* D;
  T rounding = 1;
};

// Row-major lower L with L Lᵀ = A in place of A; false at a pivot below `smallest`.
template <class T>
bool factor_own(T* A, int64_t n, T smallest) {
  for (int64_t j = 0; j < n; ++j) {
    T* row = A + j * n;
    for (int64_t k = 0; k < j; ++k) {
      const T* other = A + k * n;
      T sum = row[k];
      for (int64_t l = 0; l < k; ++l) sum -= row[l] * other[l];
      row[k] = sum / other[k];
    }
    T pivot = row[j];
    for (int64_t l = 0; l < j; ++l) pivot -= row[l] * row[l];
    if (!(pivot > smallest)) return false;
    row[j] = std::sqrt(pivot);
  }
  return true;
}

template <class T>
void solve_factored(const T* L, int64_t n, T* b) {
  for (int64_t j = 0; j < n; ++j) {
    T sum = b[j];
    for (int64_t k = 0; k < j; ++k) sum -= L[j * n + k] * b[k];
    b[j] = sum / L[j * n + j];
  }
  for (int64_t j = n - 1; j >= 0; --j) {
    b[j] /= L[j * n + j];
    for (int64_t k = 0; k < j; ++k) b[k] -= L[j * n + k] * b[j];
  }
}

template <class T>
bool factor_lapack(T* A, int64_t n, T smallest) {
  int size = blas_int(n), info = 0;
  const OneBlasThread limit(n < threaded_cholesky_n);
  lapack<T>().potrf(NormalEquations<T>::upper(), &size, A, &size, &info);
  if (info < 0) {
    throw Error(ErrorKind::backend, "LAPACK potrf: illegal argument " + std::to_string(-info));
  }
  if (info > 0) return false;
  for (int64_t j = 0; j < n; ++j) {
    const T root = A[j * n + j];
    if (!(root * root > smallest)) return false;
  }
  return true;
}

template <class T>
class Cholesky {
 public:
  // A device begins the step with λ = 0 here, beside the linearization, which saves a wait; on the
  // host there is none to save.
  void foresee(const NormalEquations<T>&, HostSpace<T>&) {}

  // d on `free`, from the gradient r; false where the matrix is singular, or a pivot not above
  // `smallest`. The matrix is scaled to a unit diagonal first, so a pivot is 1 - R² of its column
  // on the earlier ones: free of units, and comparable with rounding.
  bool solve(const NormalEquations<T>& normal, Damping<T> damping, const std::vector<int64_t>& free,
             const T* r, T* d, T smallest, HostSpace<T>&) {
    const int64_t n = static_cast<int64_t>(free.size());
    scale_.resize(free.size());
    rhs_.resize(free.size());
    L_.resize(static_cast<size_t>(n * n));
    for (size_t a = 0; a < free.size(); ++a) {
      const int64_t j = free[a];
      const T root = std::sqrt(damping.lambda) * damping.D[j];
      const T diagonal = normal.diagonal(j) + root * root;
      if (!(diagonal > 0) && damping.lambda == 0) return false;
      // A column of zeros whose damping underflows: its gradient is zero, so is its step.
      scale_[a] = diagonal > 0 ? 1 / std::sqrt(diagonal) : T(0);
      rhs_[a] = -r[j] * scale_[a];
    }
    gather(normal, free);
    if (!(n <= own_cholesky_n ? factor_own(L_.data(), n, smallest)
                              : factor_lapack(L_.data(), n, smallest))) {
      return false;
    }
    substitute(free, d);
    return true;
  }

  // d for another r, by the factor of the last solve.
  void resolve(const std::vector<int64_t>& free, const T* r, T* d, HostSpace<T>&) {
    for (size_t a = 0; a < free.size(); ++a) rhs_[a] = -r[free[a]] * scale_[a];
    substitute(free, d);
  }

 private:
  void substitute(const std::vector<int64_t>& free, T* d) {
    const int64_t n = static_cast<int64_t>(free.size());
    solve_factored(L_.data(), n, rhs_.data());
    for (size_t a = 0; a < free.size(); ++a) d[free[a]] = rhs_[a] * scale_[a];
  }

  void gather(const NormalEquations<T>& normal, const std::vector<int64_t>& free) {
    const size_t n = free.size();
    for (size_t a = 0; a < n; ++a) {
      const T* row = normal.H() + free[a] * normal.n;
      T* to = L_.data() + a * n;
      for (size_t b = 0; b < a; ++b) to[b] = row[free[b]] * scale_[a] * scale_[b];
      to[a] = 1;
    }
  }

  std::vector<T> L_, scale_, rhs_;
};

}  // namespace steepest::linalg
