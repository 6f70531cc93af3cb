// R and Qᵀf of J = QR, updated by blocks of rows, and the damped problem solved by QR of
// [R; √λ D]: the condition number of J counts, not its square.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "linalg/blas_threads.hpp"
#include "linalg/dense/cholesky.hpp"
#include "linalg/dense/rows.hpp"
#include "linalg/lapack.hpp"

namespace steepest::linalg {

// Up to so much work (rows * columns²) the loop here is taken, not geqrf: 16 columns of 32 rows
// 2.7 beside 3.3 µs, of 80 rows 9.2 beside 4.4 (OpenBLAS 0.3, AVX-512 Xeon).
constexpr int64_t own_qr_work = 8000;
// geqrf loses by threads: two took 4 times one's time for 320 x 64, 1.16 for the largest tried.
constexpr int64_t threaded_qr_work = 1'000'000'000;

// The Householder reflection that clears column j of the column-major W (rows x columns) below the
// diagonal, applied to the columns after it; what then lies below the diagonal has no meaning.
template <class T>
void reflect(T* W, int64_t rows, int64_t columns, int64_t j) {
  T* v = W + j * rows;
  T largest = 0;
  for (int64_t i = j; i < rows; ++i) largest = std::max(largest, std::abs(v[i]));
  if (largest == 0) return;
  T norm2 = 0;  // scaled, so that squares neither overflow nor vanish
  for (int64_t i = j; i < rows; ++i) norm2 += (v[i] / largest) * (v[i] / largest);
  const T norm = largest * std::sqrt(norm2);
  const T alpha = v[j] > 0 ? -norm : norm;
  const T head = v[j] - alpha;
  for (int64_t i = j + 1; i < rows; ++i) v[i] /= head;
  const T tau = -head / alpha;
  for (int64_t k = j + 1; k < columns; ++k) {
    T* w = W + k * rows;
    T dot = w[j];
    for (int64_t i = j + 1; i < rows; ++i) dot += v[i] * w[i];
    dot *= tau;
    w[j] -= dot;
    for (int64_t i = j + 1; i < rows; ++i) w[i] -= dot * v[i];
  }
  v[j] = alpha;
}

template <class T>
void triangularize(T* W, int64_t rows, int64_t columns, std::vector<T>& work) {
  const int64_t amount = rows * columns * columns;
  if (amount <= own_qr_work) {
    for (int64_t j = 0; j < columns; ++j) reflect(W, rows, columns, j);
    return;
  }
  int m = blas_int(rows), n = blas_int(columns), info = 0;
  const int64_t block = 64;  // columns of one blocked reflector, at most
  work.resize(static_cast<size_t>(columns + columns * block));
  int length = blas_int(columns * block);
  const OneBlasThread limit(amount < threaded_qr_work);
  lapack<T>().geqrf(&m, &n, W, &m, work.data(), work.data() + columns, &length, &info);
  if (info != 0) {
    throw Error(ErrorKind::backend, "LAPACK geqrf: info " + std::to_string(info));
  }
}

template <class T>
class Triangle {
 public:
  explicit Triangle(int64_t size) : n(size), R(static_cast<size_t>(n * n + n)) {}

  void clear(HostSpace<T>&) { std::fill(R.begin(), R.end(), T(0)); }

  // [R Qᵀf] of the rows so far and of these. A block of four times n rows keeps the repeated
  // triangularization of R's own rows at a sixth of the work.
  void add(const Rows<T>& rows, HostSpace<T>& space) {
    const int64_t chunk = std::min(std::max<int64_t>(4 * n, 64), rows.m);
    each_chunk(rows, chunk, space, [this](const T* J, int64_t ld, const T* f, int64_t m) {
      const int64_t height = n + m;
      W_.assign(static_cast<size_t>(height * (n + 1)), T(0));
      for (int64_t j = 0; j <= n; ++j) {
        T* to = W_.data() + j * height;
        std::copy_n(column(j), std::min(j + 1, n), to);
        for (int64_t i = 0; i < m; ++i) to[n + i] = j < n ? J[i * ld + j] : f[i];
      }
      triangularize(W_.data(), height, n + 1, work_);
      for (int64_t j = 0; j <= n; ++j) {
        std::copy_n(W_.data() + j * height, std::min(j + 1, n), column(j));
      }
    });
  }

  // out = R v
  void multiply(const T* v, T* out) const {
    std::fill_n(out, n, T(0));
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i <= j; ++i) out[i] += column(j)[i] * v[j];
    }
  }

  // out = RᵀR v
  void product(const T* v, T* out, HostSpace<T>&) {
    Rv_.resize(static_cast<size_t>(n));
    multiply(v, Rv_.data());
    for (int64_t j = 0; j < n; ++j) {
      T sum = 0;
      for (int64_t i = 0; i <= j; ++i) sum += column(j)[i] * Rv_[static_cast<size_t>(i)];
      out[j] = sum;
    }
  }

  // d on `free` that minimizes |R (s + d) + Qᵀf|² + λ |D (s + d)|²; false where it is singular.
  bool solve(Damping<T> damping, const std::vector<int64_t>& free, const T* s, T* d,
             HostSpace<T>&) {
    const int64_t columns = static_cast<int64_t>(free.size()), height = n + columns + 1;
    const T root = std::sqrt(damping.lambda);
    W_.assign(static_cast<size_t>(height * (columns + 1)), T(0));
    scale_.resize(free.size());
    T* rhs = W_.data() + columns * height;
    multiply(s, rhs);
    for (int64_t i = 0; i < n; ++i) rhs[i] += column(n)[i];
    for (int64_t a = 0; a < columns; ++a) {
      const int64_t j = free[static_cast<size_t>(a)];
      T* to = W_.data() + a * height;
      std::copy_n(column(j), j + 1, to);
      to[n + a] = root * damping.D[j];
      rhs[n + a] = root * damping.D[j] * s[j];
      // Unit columns: pivots are then comparable, whatever the parameters' units.
      T norm2 = to[n + a] * to[n + a];
      for (int64_t i = 0; i <= j; ++i) norm2 += to[i] * to[i];
      const T scale = scale_[static_cast<size_t>(a)] = norm2 > 0 ? 1 / std::sqrt(norm2) : T(0);
      for (int64_t i = 0; i <= j; ++i) to[i] *= scale;
      to[n + a] *= scale;
    }
    triangularize(W_.data(), height, columns + 1, work_);
    const T eps = std::numeric_limits<T>::epsilon();
    return substitute(damping.lambda, damping.rounding * static_cast<T>(n) * eps, free, height, d);
  }

  // d with (R_FᵀR_F + λD_F²) d = -r by the triangle of the last solve (semi-normal equations).
  void resolve(const std::vector<int64_t>& free, const T* r, T* d, HostSpace<T>&) {
    const int64_t columns = static_cast<int64_t>(free.size()), height = n + columns + 1;
    T* rhs = W_.data() + columns * height;
    for (int64_t a = 0; a < columns; ++a) {  // Rᵀ rhs = scaled r
      const T* to = W_.data() + a * height;
      T sum = r[free[static_cast<size_t>(a)]] * scale_[static_cast<size_t>(a)];
      for (int64_t i = 0; i < a; ++i) sum -= to[i] * rhs[i];
      rhs[a] = to[a] != 0 ? sum / to[a] : T(0);
    }
    substitute(1, T(0), free, height, d);
  }

  // R by columns, n x n, zero below the diagonal; Qᵀf follows.
  std::vector<T> matrix(HostSpace<T>&) const { return R; }

  int64_t n;

 private:
  // Column j of R; column n is Qᵀf. Packed full, the part below the diagonal stays zero.
  T* column(int64_t j) { return R.data() + j * n; }
  const T* column(int64_t j) const { return R.data() + j * n; }

  bool substitute(T lambda, T smallest, const std::vector<int64_t>& free, int64_t height, T* d) {
    const int64_t columns = static_cast<int64_t>(free.size());
    T* rhs = W_.data() + columns * height;
    for (int64_t a = columns - 1; a >= 0; --a) {
      const T* to = W_.data() + a * height;
      const T scale = scale_[static_cast<size_t>(a)];
      // A column of zeros whose damping underflows takes no step.
      const bool empty = scale == 0 && lambda > 0;
      if (!empty && !(std::abs(to[a]) > smallest)) return false;
      const T y = empty ? T(0) : rhs[a] / to[a];
      for (int64_t i = 0; i < a; ++i) rhs[i] -= y * to[i];
      d[free[static_cast<size_t>(a)]] = -y * scale;
    }
    return true;
  }

  std::vector<T> R, W_, work_, Rv_, scale_;
};

}  // namespace steepest::linalg
