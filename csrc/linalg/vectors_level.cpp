// The loops of the vector kernels, compiled once per SIMD level.
#include "linalg/vectors.hpp"

namespace steepest::linalg {
namespace {

// 64 bytes whatever the level: narrower processors take them in parts, and round alike.
template <class T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
  static constexpr int64_t width = 64 / sizeof(T);
};

template <class T>
const typename Lanes<T>::Vector& load(const T* p) {
  return *reinterpret_cast<const typename Lanes<T>::Vector*>(p);
}

template <class T>
typename Lanes<T>::Vector& at(T* p) {
  return *reinterpret_cast<typename Lanes<T>::Vector*>(p);
}

template <class T>
double fold(const typename Lanes<T>::Vector& lanes) {
  double sum[Lanes<T>::width];
  for (int64_t i = 0; i < Lanes<T>::width; ++i) sum[i] = static_cast<double>(lanes[i]);
  for (int64_t half = Lanes<T>::width / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) sum[i] += sum[i + half];
  return sum[0];
}

// x . y over a chunk: four sums of lanes hide the latency of an addition.
template <class T>
double dot(const T* x, const T* y, int64_t n) {
  typename Lanes<T>::Vector s[4] = {};
  constexpr int64_t width = Lanes<T>::width;
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width)
    for (int64_t l = 0; l < 4; ++l) s[l] += load(x + i + l * width) * load(y + i + l * width);
  for (; i + width <= n; i += width) s[0] += load(x + i) * load(y + i);
  double tail = 0;
  for (; i < n; ++i) tail += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return fold<T>((s[0] + s[1]) + (s[2] + s[3])) + tail;
}

template <class T>
void inner(const Vectors& rows, const Vectors& columns, int64_t begin, int64_t end, double* sums) {
  for (int64_t first = begin; first < end; first += vector_chunk) {
    const int64_t length = first + vector_chunk < end ? vector_chunk : end - first;
    double* sum = sums;
    for (int64_t i = 0; i < rows.count; ++i)
      for (int64_t j = 0; j < columns.count; ++j)
        *sum++ += dot(static_cast<const T*>(rows.at[i]) + first,
                      static_cast<const T*>(columns.at[j]) + first, length);
  }
}

// sum += c[0] x[0] + c[1] x[1] + ..., added one after the other; x whose c is 0 is not read.
template <class T>
void accumulate(T* __restrict__ sum, const T* const* x, const T* c, int64_t count, int64_t n) {
  if (count == 4 && c[0] != 0 && c[1] != 0 && c[2] != 0 && c[3] != 0) {
    const T *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    for (int64_t i = 0; i < n; ++i)
      sum[i] = (((sum[i] + c[0] * x0[i]) + c[1] * x1[i]) + c[2] * x2[i]) + c[3] * x3[i];
    return;
  }
  for (int64_t k = 0; k < count; ++k)
    if (c[k] != 0)
      for (int64_t i = 0; i < n; ++i) sum[i] += c[k] * x[k][i];
}

template <class T>
void combine(const double* coefficients, const Vectors& rows, const Vectors& outs, int64_t begin,
             int64_t end) {
  constexpr int64_t chunk = vector_chunk / 2;  // four rows and all sums fit in L1
  T sums[max_outs][chunk];
  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t length = first + chunk < end ? chunk : end - first;
    for (int64_t j = 0; j < outs.count; ++j)
      for (int64_t i = 0; i < length; ++i) sums[j][i] = 0;
    for (int64_t row = 0; row < rows.count; row += 4) {
      const int64_t count = row + 4 < rows.count ? 4 : rows.count - row;
      const T* x[4] = {};
      for (int64_t k = 0; k < count; ++k) x[k] = static_cast<const T*>(rows.at[row + k]) + first;
      for (int64_t j = 0; j < outs.count; ++j) {
        T c[4] = {};
        for (int64_t k = 0; k < count; ++k)
          c[k] = static_cast<T>(coefficients[j * rows.count + row + k]);
        accumulate(sums[j], x, c, count, length);
      }
    }
    for (int64_t j = 0; j < outs.count; ++j)
      __builtin_memcpy(static_cast<T*>(outs.at[j]) + first, sums[j],
                       static_cast<size_t>(length) * sizeof(T));
  }
}

// Rows i .. i+3 of the triangle, columns [0, i): dots with x, and their mirror image added to y.
template <class T>
void four_rows(const T* const (&a)[4], int64_t n, const T* x, const T (&xi)[4], T* y,
               T (&dots)[4]) {
  constexpr int64_t width = Lanes<T>::width;
  typename Lanes<T>::Vector s[4] = {};
  int64_t j = 0;
  for (; j + width <= n; j += width) {
    typename Lanes<T>::Vector mirrored = at(y + j);
    const typename Lanes<T>::Vector xj = load(x + j);
    for (int64_t r = 0; r < 4; ++r) {
      s[r] += load(a[r] + j) * xj;
      mirrored += load(a[r] + j) * xi[r];
    }
    at(y + j) = mirrored;
  }
  for (int64_t r = 0; r < 4; ++r) {
    double tail = fold<T>(s[r]);
    for (int64_t t = j; t < n; ++t) {
      tail += static_cast<double>(a[r][t]) * static_cast<double>(x[t]);
      y[t] += a[r][t] * xi[r];
    }
    dots[r] = static_cast<T>(tail);
  }
}

template <class T>
void symmetric_product(const Triangle& a, int64_t first, int64_t last, const Vectors& columns,
                       const Vectors& outs) {
  const T* top = static_cast<const T*>(a.a);
  for (int64_t k = 0; k < columns.count; ++k)
    __builtin_memset(outs.at[k], 0, static_cast<size_t>(last) * sizeof(T));
  for (int64_t i = first; i < last; i += 4) {
    const int64_t count = i + 4 < last ? 4 : last - i;
    const T* rows[4];
    for (int64_t r = 0; r < 4; ++r) rows[r] = top + (i + (r < count ? r : count - 1)) * a.ld;
    for (int64_t k = 0; k < columns.count; ++k) {
      const T* x = static_cast<const T*>(columns.at[k]);
      T* y = static_cast<T*>(outs.at[k]);
      T xi[4], dots[4];
      for (int64_t r = 0; r < 4; ++r) xi[r] = r < count ? x[i + r] : T(0);
      four_rows(rows, i, x, xi, y, dots);
      for (int64_t r = 0; r < count; ++r) {  // the small triangle on the diagonal
        y[i + r] += dots[r] + rows[r][i + r] * xi[r];
        for (int64_t t = 0; t < r; ++t) {
          y[i + r] += rows[r][i + t] * xi[t];
          y[i + t] += rows[r][i + t] * xi[r];
        }
      }
    }
  }
}

template <class T>
void rank_two(const Triangle& a, int64_t first, int64_t last, const void* u, const void* v) {
  const T* __restrict__ ut = static_cast<const T*>(u);
  const T* __restrict__ vt = static_cast<const T*>(v);
  for (int64_t i = first; i < last; ++i) {
    T* __restrict__ row = static_cast<T*>(a.a) + i * a.ld;
    const T ui = ut[i], vi = vt[i];
    for (int64_t j = 0; j <= i; ++j) row[j] += ui * vt[j] + vi * ut[j];
  }
}

template <class T>
void add(void* out, const void* part, int64_t n) {
  T* __restrict__ sum = static_cast<T*>(out);
  const T* __restrict__ term = static_cast<const T*>(part);
  for (int64_t i = 0; i < n; ++i) sum[i] += term[i];
}

}  // namespace

namespace STEEPEST_LEVEL {
VectorKernels vector_kernels(DType dtype);
VectorKernels vector_kernels(DType dtype) {
  if (dtype == DType::float32)
    return {inner<float>, combine<float>, symmetric_product<float>, rank_two<float>, add<float>};
  return {inner<double>, combine<double>, symmetric_product<double>, rank_two<double>, add<double>};
}
}  // namespace STEEPEST_LEVEL

}  // namespace steepest::linalg
