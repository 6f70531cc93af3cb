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

// The sum of double lanes, by a tree.
template <class T>
double fold(const double* lanes) {
  double sum[Lanes<T>::width];
  for (int64_t i = 0; i < Lanes<T>::width; ++i) sum[i] = lanes[i];
  for (int64_t half = Lanes<T>::width / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) sum[i] += sum[i + half];
  return sum[0];
}

template <class T>
double fold(const typename Lanes<T>::Vector& lanes) {
  double wide[Lanes<T>::width];
  for (int64_t i = 0; i < Lanes<T>::width; ++i) wide[i] = static_cast<double>(lanes[i]);
  return fold<T>(wide);
}

// lanes[c] += x . y[c] over a chunk, for C columns with one load of x: four sums hide the latency
// of an addition, and a float's sums are short before they are added in double.
template <class T, int C>
void dots(const T* x, const T* const* y, int64_t n, double* lanes) {
  typename Lanes<T>::Vector s[C][4] = {};
  constexpr int64_t width = Lanes<T>::width;
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width)
    for (int64_t l = 0; l < 4; ++l) {
      const typename Lanes<T>::Vector xi = load(x + i + l * width);
      for (int c = 0; c < C; ++c) s[c][l] += xi * load(y[c] + i + l * width);
    }
  for (; i + width <= n; i += width)
    for (int c = 0; c < C; ++c) s[c][0] += load(x + i) * load(y[c] + i);
  for (int c = 0; c < C; ++c, lanes += width) {
    const typename Lanes<T>::Vector sum = (s[c][0] + s[c][1]) + (s[c][2] + s[c][3]);
    for (int64_t l = 0; l < width; ++l) lanes[l] += static_cast<double>(sum[l]);
    for (int64_t t = i; t < n; ++t)
      lanes[t - i] += static_cast<double>(x[t]) * static_cast<double>(y[c][t]);
  }
}

template <class T>
void inner(const Vectors& rows, const Vectors& columns, int64_t begin, int64_t end, double* lanes,
           double* sums) {
  constexpr int64_t chunk = vector_chunk / static_cast<int64_t>(sizeof(T));
  const int64_t count = rows.count * columns.count;
  for (int64_t i = 0; i < count * Lanes<T>::width; ++i) lanes[i] = 0;
  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t length = first + chunk < end ? chunk : end - first;
    double* sum = lanes;
    for (int64_t i = 0; i < rows.count; ++i) {
      const T* x = static_cast<const T*>(rows.at[i]) + first;
      for (int64_t j = 0; j < columns.count; j += 2) {
        const bool two = j + 1 < columns.count;
        const T* y[2] = {static_cast<const T*>(columns.at[j]) + first,
                         static_cast<const T*>(columns.at[two ? j + 1 : j]) + first};
        (two ? dots<T, 2> : dots<T, 1>)(x, y, length, sum);
        sum += (two ? 2 : 1) * Lanes<T>::width;
      }
    }
  }
  for (int64_t i = 0; i < count; ++i) sums[i] = fold<T>(lanes + i * Lanes<T>::width);
}

// The four vectors of a group over a chunk, and their coefficients in one combination.
template <class T>
struct Group {
  const T* x[4];
  int64_t count;
};

// sum += c[0] x[0] + c[1] x[1] + ..., added one after the other; x whose c is 0 is not read.
template <class T>
void accumulate(T* __restrict__ sum, const Group<T>& group, const T* c, int64_t n) {
  const T *x0 = group.x[0], *x1 = group.x[1], *x2 = group.x[2], *x3 = group.x[3];
  const T c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
  if (c0 != 0 && c1 != 0 && c2 != 0 && c3 != 0) {
    for (int64_t i = 0; i < n; ++i)
      sum[i] = (((sum[i] + c0 * x0[i]) + c1 * x1[i]) + c2 * x2[i]) + c3 * x3[i];
    return;
  }
  for (int64_t k = 0; k < group.count; ++k)
    if (c[k] != 0)
      for (int64_t i = 0; i < n; ++i) sum[i] += c[k] * group.x[k][i];
}

// The same for two sums that have the same coefficients, as a direction and the point at its end.
template <class T>
void accumulate_both(T* __restrict__ sum, T* __restrict__ other, const Group<T>& group, const T* c,
                     int64_t n) {
  const T *x0 = group.x[0], *x1 = group.x[1], *x2 = group.x[2], *x3 = group.x[3];
  const T c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
  for (int64_t i = 0; i < n; ++i) {
    const T p0 = c0 * x0[i], p1 = c1 * x1[i], p2 = c2 * x2[i], p3 = c3 * x3[i];
    sum[i] = (((sum[i] + p0) + p1) + p2) + p3;
    other[i] = (((other[i] + p0) + p1) + p2) + p3;
  }
}

template <class T>
void combine(const double* coefficients, const Vectors& rows, const Vectors& outs, int64_t begin,
             int64_t end) {
  constexpr int64_t chunk = vector_chunk / 2 / sizeof(T);  // a group and the sums stay near
  T sums[max_outs][chunk];
  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t length = first + chunk < end ? chunk : end - first;
    for (int64_t j = 0; j < outs.count; ++j)
      for (int64_t i = 0; i < length; ++i) sums[j][i] = 0;
    for (int64_t row = 0; row < rows.count; row += 4) {
      Group<T> group = {{}, row + 4 < rows.count ? 4 : rows.count - row};
      T c[max_outs][4] = {};
      for (int64_t k = 0; k < group.count; ++k) {
        group.x[k] = static_cast<const T*>(rows.at[row + k]) + first;
        for (int64_t j = 0; j < outs.count; ++j)
          c[j][k] = static_cast<T>(coefficients[j * rows.count + row + k]);
      }
      for (int64_t j = 0; j < outs.count; ++j) {
        bool both = j + 1 < outs.count;
        for (int64_t k = 0; k < 4; ++k) both = both && c[j][k] != 0 && c[j][k] == c[j + 1][k];
        if (both) {
          accumulate_both(sums[j], sums[j + 1], group, c[j], length);
          ++j;
        } else {
          accumulate(sums[j], group, c[j], length);
        }
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
