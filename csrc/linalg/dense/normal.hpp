// Normal equations: H = JᵀJ and g = Jᵀf, summed over rows in one reading of J.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "linalg/blas_threads.hpp"
#include "linalg/dense/rows.hpp"
#include "linalg/lapack.hpp"

namespace steepest::linalg {

// Up to so many columns, or so much work (rows * n²) in one call, the loop here is taken, not BLAS.
// In µs here, and by OpenBLAS 0.3's syrk + gemv, on an AVX-512 Xeon, J by rows: 4 columns of 50
// rows 0.86 and 1.03, 6 of 2,000 rows 13.6 and 16.8; 8 of 50 rows 1.64 and 1.86, of 200 rows 3.35
// and 3.33, of 2,000 rows 21 and 17.
constexpr int64_t own_gram_n = 6;
constexpr int64_t own_gram_work = 8000;
// The same for JᵀJ v: 16 columns take 0.07 µs here and 0.08 by symv, 24 columns 0.15 and 0.12.
constexpr int64_t own_product_n = 16;
// Rows handed to BLAS at once. With few columns, no more than stay in the cache, so that gemv finds
// there what syrk has read. With many columns gemv takes little of the time, but each call makes
// BLAS's threads wait: few calls are better.
constexpr int64_t blas_chunk(int64_t n) { return n < 128 ? 2048 : 1 << 20; }
constexpr int64_t own_chunk = 64;
// From so many columns syrk gains by threads: two took 1.04 of one's time for 100, 0.82 for 200.
constexpr int64_t threaded_gram_n = 200;

template <class T>
class NormalEquations {
 public:
  // Without the matrix it is the gradient alone.
  NormalEquations(int64_t size, bool with_matrix, HostSpace<T>&)
      : n(size),
        matrix_size_(with_matrix ? n * n : 0),
        values_(static_cast<size_t>(matrix_size_ + 3 * n)) {}

  void clear(HostSpace<T>&) { std::fill(values_.begin(), values_.end(), T(0)); }

  void add(const Rows<T>& rows, HostSpace<T>& space) {
    if (n <= own_gram_n || rows.m * n * n <= own_gram_work) {
      each_chunk_by_columns(
          rows, own_chunk, space,
          [this](const T* J, int64_t ld, const T* f, int64_t m) { add_own(J, ld, f, m); });
    } else if (!rows.row_major && !rows.jac_weight) {
      const int64_t chunk = blas_chunk(n);
      for (int64_t i = 0; i < rows.m; i += chunk) {
        add_blas(rows.at(i), rows.ld, rows.f + i, std::min(chunk, rows.m - i), false);
      }
    } else {
      // Weighted rows are copied chunk by chunk: not more of them than fit in cache.
      const int64_t chunk = rows.jac_weight ? 2048 : blas_chunk(n);
      each_chunk(rows, chunk, space, [this](const T* J, int64_t ld, const T* f, int64_t m) {
        add_blas(J, ld, f, m, true);
      });
    }
  }

  // The gradient alone: the rows' part of Jᵀf.
  void add_gradient(const Rows<T>& rows, HostSpace<T>& space) {
    each_chunk(rows, own_chunk, space, [this](const T* J, int64_t ld, const T* f, int64_t m) {
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) g()[j] += f[i] * J[i * ld + j];
      }
    });
  }

  // The squared norms of the columns before weights: from the rows, or from the diagonal of JᵀJ if
  // there are no weights.
  void add_norms2(const Rows<T>& rows, HostSpace<T>&) {
    add_column_norms2<T>(rows, nullptr, norms2());
  }
  void take_norms2(HostSpace<T>&) {
    for (int64_t j = 0; j < n; ++j) norms2()[j] = diagonal(j);
  }

  // Those of the weighted columns, where there are weights: from the rows, or from the diagonal.
  void add_weighted_norms2(const Rows<T>& rows, HostSpace<T>&) {
    add_column_norms2(rows, rows.jac_weight, norms2() + n);
    weighted_ = true;
  }
  void take_weighted_norms2(HostSpace<T>&) {
    for (int64_t j = 0; j < n; ++j) norms2()[n + j] = diagonal(j);
    weighted_ = true;
  }

  // JᵀJ (row-major, only its lower triangle is read) and Jᵀf summed elsewhere.
  void set(const T* JtJ, const T* Jtf, HostSpace<T>& space) {
    std::copy_n(JtJ, n * n, H());
    std::copy_n(Jtf, n, g());
    take_norms2(space);
  }

  // A device brings to the host here what the solver reads of it.
  void fetch(HostSpace<T>&) {}
  // Lower triangle by rows (to LAPACK: upper triangle by columns).
  const T* H() const { return values_.data(); }
  T* H() { return values_.data(); }
  const T* g() const { return values_.data() + matrix_size_; }
  T* g() { return values_.data() + matrix_size_; }
  const T* norms2() const { return g() + n; }
  T* norms2() { return g() + n; }
  const T* weighted_norms2() const { return norms2() + (weighted_ ? n : 0); }

  std::vector<T> matrix(HostSpace<T>&) const { return {H(), H() + matrix_size_}; }

  // out = H v
  void product(const T* v, T* out, HostSpace<T>&) const {
    if (n > own_product_n) {
      int size = blas_int(n), one = 1;
      T unit = 1, zero = 0;
      lapack<T>().symv(upper(), &size, &unit, const_cast<T*>(H()), &size, const_cast<T*>(v), &one,
                       &zero, out, &one);
      return;
    }
    for (int64_t j = 0; j < n; ++j) {
      const T* row = H() + j * n;
      T sum = row[j] * v[j];
      for (int64_t k = 0; k < j; ++k) {
        sum += row[k] * v[k];
        out[k] += row[k] * v[j];
      }
      out[j] = sum;
    }
  }

  T diagonal(int64_t j) const { return H()[j * n + j]; }

  static char* upper() {
    static char letter = 'U';
    return &letter;
  }

  int64_t n;

 private:
  // Columns J, J + ld, ...
  void add_own(const T* J, int64_t ld, const T* f, int64_t m) {
    for (int64_t j = 0; j < n; ++j) {
      g()[j] += dot(J + j * ld, f, m);
      T* h = H() + j * n;
      for (int64_t k = 0; k <= j; ++k) h[k] += dot(J + j * ld, J + k * ld, m);
    }
  }

  // In four sums, which the compiler may form in one register.
  static T dot(const T* a, const T* b, int64_t m) {
    T s[4] = {};
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
      for (int64_t l = 0; l < 4; ++l) s[l] += a[i + l] * b[i + l];
    }
    for (; i < m; ++i) s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
  }

  void add_blas(const T* J, int64_t ld, const T* f, int64_t m, bool row_major) {
    // Row-major J is, read by columns, Jᵀ: nothing is copied.
    char trans = row_major ? 'N' : 'T';
    int size = blas_int(n), rows = blas_int(m), stride = blas_int(ld), one = 1;
    T unit = 1;
    T *matrix = const_cast<T*>(J), *residual = const_cast<T*>(f);
    const OneBlasThread limit(n < threaded_gram_n);
    lapack<T>().syrk(upper(), &trans, &size, &rows, &unit, matrix, &stride, &unit, H(), &size);
    int *first = row_major ? &size : &rows, *second = row_major ? &rows : &size;
    lapack<T>().gemv(&trans, first, second, &unit, matrix, &stride, residual, &one, &unit, g(),
                     &one);
  }

  int64_t matrix_size_;
  std::vector<T> values_;  // H, g and both norms2 in one piece: a small fit allocates once
  bool weighted_ = false;
};

}  // namespace steepest::linalg
