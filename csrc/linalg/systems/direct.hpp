// Cholesky, LU and QR of a dense system by LAPACK: factor A, estimate its condition, substitute.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "linalg/blas_threads.hpp"
#include "linalg/dense/triangle.hpp"
#include "linalg/lapack.hpp"

namespace steepest::linalg {

// Work, n² (n + k), from which LU and Cholesky may gain by threads: at best two took 1.1 of one's
// time for LU of 150, 1.03 for 400, and where the cores were busy a thousand times as long.
constexpr int64_t threaded_direct_work = 64'000'000;

// A (m x n, m = n but for QR) and its k right-hand sides, by columns without gaps. Both are
// overwritten: A by its factor, the first n rows of b by x.
template <class T>
struct DirectSystem {
  T* a;
  bool transposed;  // a holds Aᵀ: the rows of A, read as columns
  T* b;
  int64_t m, n, k;
};

inline Error singular(const char* factor, int order) {
  const std::string at = std::to_string(order - 1);
  return Error(ErrorKind::linalg,
               std::string("A is singular: ") + factor + "[" + at + ", " + at + "] is exactly 0");
}

// The three methods; each returns LAPACK's estimate of A's reciprocal condition number,
// in the 1-norm (for QR that of R).
template <class T>
class Direct {
 public:
  explicit Direct(const DirectSystem<T>& s)
      : s_(s), m_(blas_int(s.m)), n_(blas_int(s.n)), k_(blas_int(s.k)) {}

  // A = L Lᵀ; A is known to be symmetric, so that Aᵀ serves as well.
  T cholesky() {
    limit_threads();
    T norm = norm_of(s_.a, m_), rcond = 0;
    lapack_.potrf(&lower_, &n_, s_.a, &n_, &info_);
    if (info_ > 0) {
      throw Error(ErrorKind::linalg, "A is not positive definite: its leading minor of order " +
                                         std::to_string(info_) +
                                         " is not positive; use method='lu'");
    }
    std::vector<T> work = room(3 * s_.n);
    std::vector<int> integers(static_cast<size_t>(n_));
    lapack_.pocon(&lower_, &n_, s_.a, &n_, &norm, &rcond, work.data(), integers.data(), &info_);
    lapack_.potrs(&lower_, &n_, &k_, s_.a, &n_, s_.b, &n_, &info_);
    return rcond;
  }

  // P A = L U with row exchanges.
  T lu() {
    limit_threads();
    if (s_.transposed) norm_ = 'I';  // of Aᵀ: A's 1-norm
    const T norm = norm_of(s_.a, m_);
    std::vector<int> pivots(static_cast<size_t>(n_));
    lapack_.getrf(&n_, &n_, s_.a, &n_, pivots.data(), &info_);
    if (info_ > 0) throw singular("U", info_);
    const T rcond = rcond_of(s_.a, norm);
    char trans = s_.transposed ? 'T' : 'N';
    lapack_.getrs(&trans, &n_, &k_, s_.a, &n_, pivots.data(), s_.b, &m_, &info_);
    return rcond;
  }

  // A = Q R by Householder reflections; x minimises |A x - b|. A is not transposed.
  T qr() {
    if (s_.m * s_.n * s_.n < threaded_qr_work) limit_.emplace(true);
    norm_of(s_.a, m_);  // refuses inf and NaN
    std::vector<T> tau = room(s_.n), work = room(block * std::max(s_.n, s_.k + block + 1));
    int size = blas_int(static_cast<int64_t>(work.size()));
    lapack_.geqrf(&m_, &n_, s_.a, &m_, tau.data(), work.data(), &size, &info_);
    // R as an LU factorisation with L = I, whose condition LAPACK can estimate
    std::vector<T> r = room(s_.n * s_.n);
    for (int64_t j = 0; j < s_.n; ++j) std::copy_n(s_.a + j * s_.m, j + 1, r.data() + j * s_.n);
    const T rcond = rcond_of(r.data(), norm_of(r.data(), n_));
    char left = 'L', upper = 'U', trans = 'T', plain = 'N';
    lapack_.ormqr(&left, &trans, &m_, &k_, &n_, s_.a, &m_, tau.data(), s_.b, &m_, work.data(),
                  &size, &info_);
    lapack_.trtrs(&upper, &plain, &plain, &n_, &k_, r.data(), &n_, s_.b, &m_, &info_);
    if (info_ > 0) throw singular("R", info_);
    return rcond;
  }

  bool finite() const {
    for (int64_t j = 0; j < s_.k; ++j) {
      const T* x = s_.b + j * s_.m;
      if (!std::all_of(x, x + s_.n, [](T v) { return std::isfinite(v); })) return false;
    }
    return true;
  }

 private:
  // Columns to a block, and so the workspace, for QR: LAPACK's own are at most as many.
  static constexpr int64_t block = 64;

  void limit_threads() {
    if (s_.n * s_.n * (s_.n + s_.k) < threaded_direct_work) limit_.emplace(true);
  }

  static std::vector<T> room(int64_t size) { return std::vector<T>(static_cast<size_t>(size)); }

  // The norm of a, `rows` x n, which must be finite.
  T norm_of(T* a, int rows) {
    std::vector<T> work = room(norm_ == 'I' ? rows : 0);
    const T norm = lapack_.lange(&norm_, &rows, &n_, a, &rows, work.data());
    if (std::isfinite(norm)) return norm;
    throw Error(ErrorKind::value, "A: contains inf or NaN, or overflows; expected finite values");
  }

  // The reciprocal condition number of what has the factors L U, from its norm.
  T rcond_of(T* factors, T norm) {
    std::vector<T> work = room(4 * s_.n);
    std::vector<int> integers(static_cast<size_t>(n_));
    T rcond = 0;
    lapack_.gecon(&norm_, &n_, factors, &n_, &norm, &rcond, work.data(), integers.data(), &info_);
    return rcond;
  }

  const Lapack<T>& lapack_ = lapack<T>();
  DirectSystem<T> s_;
  int m_, n_, k_, info_ = 0;
  char norm_ = '1', lower_ = 'L';
  std::optional<OneBlasThread> limit_;
};

}  // namespace steepest::linalg
