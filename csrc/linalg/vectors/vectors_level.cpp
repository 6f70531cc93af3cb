// The loops of the vector kernels, compiled once per SIMD level.
#include "linalg/vectors/vectors.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <utility>

namespace steepest::linalg {
namespace {

// 64 bytes at every level: narrower registers take them in parts, and the rounding is the same.
template <class T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(64)));
  static constexpr int64_t width = 64 / sizeof(T);
};

// Copied, as clang 14 and 16 take a Vector& for aligned, whatever the type says.
template <class T>
typename Lanes<T>::Vector load(const T* p) {
  typename Lanes<T>::Vector v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
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

// Two sums over lanes, which are added up in double after each chunk, before those of floats lose
// digits. Two variables, because the compiler keeps an array of them in memory.
template <class T>
struct Sums {
  using Vector = typename Lanes<T>::Vector;
  Vector even = {}, odd = {};

  void into(double* lanes) const {
    const Vector sum = even + odd;
    for (int64_t l = 0; l < Lanes<T>::width; ++l) lanes[l] += static_cast<double>(sum[l]);
  }
};

// lanes += x . y over the elements from i on, fewer than the lanes.
template <class T>
void add_tail(const T* x, const T* y, int64_t i, int64_t n, double* lanes) {
  for (int64_t l = 0; i < n; ++i, ++l)
    lanes[l] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
}

// Two rows over a chunk, and the two that are read after them. A chunk is too short for the
// processor to recognise a stream; fetching the next two ahead saves a fifth of the time with two
// columns.
template <class T>
struct RowPair {
  const T *u, *v, *next_u, *next_v;
};

// The products of rows u, v with columns y, z over a chunk, each of which is loaded once. They are
// added to the lanes on_u of u . y and u . z, and to the lanes on_v of v . y and v . z. Without
// `two`, z is not read.
template <class T, bool two>
void tile(const RowPair<T>& rows, const T* y, const T* z, int64_t n, double* on_u, double* on_v) {
  const T *u = rows.u, *v = rows.v;
  using Vector = typename Lanes<T>::Vector;
  constexpr int64_t width = Lanes<T>::width;
  Sums<T> uy, uz, vy, vz;
  int64_t i = 0;
  for (; i + 2 * width <= n; i += 2 * width) {
    __builtin_prefetch(rows.next_u + i);
    __builtin_prefetch(rows.next_u + i + width);
    __builtin_prefetch(rows.next_v + i);
    __builtin_prefetch(rows.next_v + i + width);
    const Vector u0 = load(u + i), v0 = load(v + i), y0 = load(y + i);
    uy.even += u0 * y0;
    vy.even += v0 * y0;
    const Vector u1 = load(u + i + width), v1 = load(v + i + width), y1 = load(y + i + width);
    uy.odd += u1 * y1;
    vy.odd += v1 * y1;
    if (two) {
      const Vector z0 = load(z + i), z1 = load(z + i + width);
      uz.even += u0 * z0;
      vz.even += v0 * z0;
      uz.odd += u1 * z1;
      vz.odd += v1 * z1;
    }
  }
  for (; i + width <= n; i += width) {
    uy.even += load(u + i) * load(y + i);
    vy.even += load(v + i) * load(y + i);
    if (two) uz.even += load(u + i) * load(z + i);
    if (two) vz.even += load(v + i) * load(z + i);
  }
  uy.into(on_u);
  vy.into(on_v);
  add_tail(u, y, i, n, on_u);
  add_tail(v, y, i, n, on_v);
  if (two) {
    uz.into(on_u + width);
    vz.into(on_v + width);
    add_tail(u, z, i, n, on_u + width);
    add_tail(v, z, i, n, on_v + width);
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
    // The chunk of row i. Beyond the last row, what is read next: the next chunk of row 0 or, where
    // there is none, the last row's once more.
    const auto row = [&](int64_t i) {
      const bool next = i >= rows.count && first + chunk < end;
      const int64_t at = i < rows.count ? i : next ? 0 : rows.count - 1;
      return static_cast<const T*>(rows.at[at]) + first + (next ? chunk : 0);
    };
    for (int64_t i = 0; i < rows.count; i += 2) {
      const bool pair = i + 1 < rows.count;  // else the row is its own partner, for nothing
      const RowPair<T> at = {row(i), row(pair ? i + 1 : i), row(i + 2), row(i + 3)};
      for (int64_t j = 0; j < columns.count; j += 2) {
        double unused[2 * Lanes<T>::width] = {};
        double* on_u = lanes + (i * columns.count + j) * Lanes<T>::width;
        double* on_v = pair ? on_u + columns.count * Lanes<T>::width : unused;
        const T* y = static_cast<const T*>(columns.at[j]) + first;
        if (j + 1 < columns.count)
          tile<T, true>(at, y, static_cast<const T*>(columns.at[j + 1]) + first, length, on_u,
                        on_v);
        else
          tile<T, false>(at, y, nullptr, length, on_u, on_v);
      }
    }
  }
  for (int64_t i = 0; i < count; ++i) sums[i] = fold<T>(lanes + i * Lanes<T>::width);
}

// sum <- ((sum + c[0] x[0]) + c[1] x[1]) + ... + c[K-1] x[K-1] over a chunk; `fresh`: from 0.
template <class T, int K, bool fresh>
void accumulate(T* __restrict__ sum, const T* const* vectors, const T* coefficients, int64_t n) {
  const T* x[K];
  T c[K];
  for (int k = 0; k < K; ++k) {
    x[k] = vectors[k];
    c[k] = coefficients[k];
  }
  for (int64_t i = 0; i < n; ++i) {
    T value = fresh ? T(0) : sum[i];
    for (int k = 0; k < K; ++k) value += c[k] * x[k][i];
    sum[i] = value;
  }
}

// Of `count` vectors the first 8, 4, 2 or 1. Returns how many.
template <class T, bool fresh>
int64_t accumulate_some(T* sum, const T* const* x, const T* c, int64_t count, int64_t n) {
  if (count >= 8) return accumulate<T, 8, fresh>(sum, x, c, n), 8;
  if (count >= 4) return accumulate<T, 4, fresh>(sum, x, c, n), 4;
  if (count >= 2) return accumulate<T, 2, fresh>(sum, x, c, n), 2;
  return accumulate<T, 1, fresh>(sum, x, c, n), 1;
}

// to <- from, past the caches where `streamed`: a store that misses them reads its line first.
template <class T>
void put(T* to, const T* from, int64_t n, [[maybe_unused]] bool streamed) {
#ifdef __SSE2__
  if (streamed) {
    for (; n > 0 && reinterpret_cast<uintptr_t>(to) % sizeof(__m128i) != 0; --n) *to++ = *from++;
    constexpr int64_t width = sizeof(__m128i) / sizeof(T);
    for (; n >= width; n -= width, to += width, from += width)
      _mm_stream_si128(reinterpret_cast<__m128i*>(to),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
#endif
  __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
}

template <class T>
void combine(const double* coefficients, const Vectors& rows, const Vectors& outs, int64_t begin,
             int64_t end, bool streamed) {
  constexpr int64_t chunk = vector_chunk / 2 / sizeof(T);  // eight vectors and the sums stay near
  constexpr int64_t group = 8;
  T sums[max_outs][chunk];
  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t length = first + chunk < end ? chunk : end - first;
    // A row's chunk; of a row that is an earlier out, its new values.
    const auto at = [&](int64_t row, int64_t out) -> const T* {
      for (int64_t j = out - 1; j >= 0; --j)
        if (rows.at[row] == outs.at[j]) return sums[j];
      return static_cast<const T*>(rows.at[row]) + first;
    };
    for (int64_t j = 0; j < outs.count; ++j) {
      const T* x[group];
      T c[group];
      int64_t held = 0;
      bool fresh = true;
      const auto some = [&](int64_t from) {
        const bool first_time = std::exchange(fresh, false);
        return first_time
                   ? accumulate_some<T, true>(sums[j], x + from, c + from, held - from, length)
                   : accumulate_some<T, false>(sums[j], x + from, c + from, held - from, length);
      };
      for (int64_t row = 0; row < rows.count; ++row) {
        const T factor = static_cast<T>(coefficients[j * rows.count + row]);
        if (factor == 0) continue;
        x[held] = at(row, j);
        c[held++] = factor;
        if (held == group) held -= some(0);
      }
      for (int64_t k = 0; k < held;) k += some(k);
      if (fresh) __builtin_memset(sums[j], 0, static_cast<size_t>(length) * sizeof(T));
    }
    for (int64_t j = 0; j < outs.count; ++j)
      put(static_cast<T*>(outs.at[j]) + first, sums[j], length, streamed);
  }
#ifdef __SSE2__
  if (streamed) _mm_sfence();
#endif
}

// Rows i .. i+3 of the triangle, columns [0, i): dots with x, and their mirror image added to y.
template <class T>
void four_rows(const T* const (&a)[4], int64_t n, const T* x, const T (&xi)[4], T* y,
               T (&dots)[4]) {
  constexpr int64_t width = Lanes<T>::width;
  typename Lanes<T>::Vector s[4] = {};
  int64_t j = 0;
  for (; j + width <= n; j += width) {
    typename Lanes<T>::Vector mirrored = load(y + j);
    const typename Lanes<T>::Vector xj = load(x + j);
    for (int64_t r = 0; r < 4; ++r) {
      s[r] += load(a[r] + j) * xj;
      mirrored += load(a[r] + j) * xi[r];
    }
    __builtin_memcpy(y + j, &mirrored, sizeof mirrored);
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
void symmetric_product(const SymmetricMatrix& a, int64_t first, int64_t last,
                       const Vectors& columns, const Vectors& outs) {
  const T* top = static_cast<const T*>(a.a);
  for (int64_t k = 0; k < columns.count; ++k)
    __builtin_memset(outs.at[k], 0, static_cast<size_t>(last) * sizeof(T));
  for (int64_t i = first; i < last; i += 4) {
    const int64_t count = i + 4 < last ? 4 : last - i;
    const T* rows[4];
    for (int64_t r = 0; r < 4; ++r) rows[r] = top + (i + (r < count ? r : count - 1)) * a.n;
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
void rank_two(const SymmetricMatrix& a, int64_t first, int64_t last, const void* u, const void* v) {
  const T* __restrict__ ut = static_cast<const T*>(u);
  const T* __restrict__ vt = static_cast<const T*>(v);
  for (int64_t i = first; i < last; ++i) {
    T* __restrict__ row = static_cast<T*>(a.a) + i * a.n;
    const T ui = ut[i], vi = vt[i];
    for (int64_t j = 0; j <= i; ++j) row[j] += ui * vt[j] + vi * ut[j];
  }
}

template <class T>
void axpy(double factor, const void* part, void* out, int64_t n) {
  const T c = static_cast<T>(factor);
  T* __restrict__ sum = static_cast<T*>(out);
  const T* __restrict__ term = static_cast<const T*>(part);
  for (int64_t i = 0; i < n; ++i) sum[i] += c * term[i];
}

}  // namespace

VectorKernels vector_kernels(DType dtype, simd::STEEPEST_LEVEL) {
  if (dtype == DType::float32)
    return {inner<float>, combine<float>, symmetric_product<float>, rank_two<float>, axpy<float>};
  return {inner<double>, combine<double>, symmetric_product<double>, rank_two<double>,
          axpy<double>};
}

}  // namespace steepest::linalg
