// The loops of a sweep, compiled once per SIMD level. Sums run over a fixed number of lanes, so
// every level gives the same bits.
#include "linalg/systems/sweep.hpp"

namespace steepest::linalg {
namespace {

#ifdef __AVX__
constexpr int64_t register_bytes = 32;
#else
constexpr int64_t register_bytes = 16;
#endif

// 32 bytes: wide enough for the memory, and eight sums fit the registers of every level. Where a
// register holds less, a part at a time, on columns that stay in the first cache.
template <class T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(register_bytes)));
  static constexpr int64_t width = 32 / sizeof(T), parts = 32 / register_bytes;
};

// Copied, as clang 14 and 16 take a Vector& for aligned, whatever the type says.
template <class T>
typename Lanes<T>::Vector load(const T* p) {
  typename Lanes<T>::Vector v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

constexpr int64_t cached = 256;  // columns of sweep_rows rows that the first cache holds

// The sums of sweep_rows products, each over lanes and a tail.
template <class T>
struct Sums {
  typename Lanes<T>::Vector lanes[sweep_rows][Lanes<T>::parts] = {};
  T tail[sweep_rows] = {};

  T total(int64_t row) const {
    T lane[Lanes<T>::width];
    __builtin_memcpy(lane, &lanes[row], sizeof lane);
    for (int64_t half = Lanes<T>::width / 2; half > 0; half /= 2)
      for (int64_t i = 0; i < half; ++i) lane[i] += lane[i + half];
    return lane[0] + tail[row];
  }
};

// sums[v] += rows . x[v] over the columns [begin, end), for N vectors.
template <int64_t N, class T>
void multiply(const T* const (&rows)[sweep_rows], const T* const (&x)[N], int64_t begin,
              int64_t end, Sums<T>* const (&sums)[N]) {
  constexpr int64_t width = Lanes<T>::width, parts = Lanes<T>::parts;
  const int64_t whole = begin + (end > begin ? end - begin : 0) / width * width;
  const int64_t chunk = parts == 1 ? whole : cached;
  for (int64_t at = begin; at < whole; at += chunk) {
    const int64_t next = at + chunk < whole ? at + chunk : whole;
    for (int64_t part = 0; part < parts; ++part) {
      typename Lanes<T>::Vector s[N][sweep_rows];
      for (int64_t v = 0; v < N; ++v)
        for (int64_t g = 0; g < sweep_rows; ++g) s[v][g] = sums[v]->lanes[g][part];
      for (int64_t j = at + part * (width / parts); j < next; j += width)
        for (int64_t g = 0; g < sweep_rows; ++g)
          for (int64_t v = 0; v < N; ++v) s[v][g] += load(rows[g] + j) * load(x[v] + j);
      for (int64_t v = 0; v < N; ++v)
        for (int64_t g = 0; g < sweep_rows; ++g) sums[v]->lanes[g][part] = s[v][g];
    }
  }
  for (int64_t j = whole; j < end; ++j)
    for (int64_t g = 0; g < sweep_rows; ++g)
      for (int64_t v = 0; v < N; ++v) sums[v]->tail[g] += rows[g][j] * x[v][j];
}

template <class T>
void multiply(const T* const (&rows)[sweep_rows], const T* x, int64_t begin, int64_t end,
              Sums<T>& ax) {
  multiply<1>(rows, {x}, begin, end, {&ax});
}

// As multiply, for two vectors with one read of the rows from memory.
template <class T>
void multiply_two(const T* const (&rows)[sweep_rows], const T* x, const T* y, int64_t begin,
                  int64_t end, Sums<T>& ax, Sums<T>& ay) {
  if constexpr (Lanes<T>::parts == 1) {
    multiply<2>(rows, {x, y}, begin, end, {&ax, &ay});
  } else {
    for (int64_t at = begin; at < end; at += cached) {
      const int64_t next = at + cached < end ? at + cached : end;
      multiply(rows, x, at, next, ax);
      multiply(rows, y, at, next, ay);
    }
  }
}

// The row of A that is visited at place `at` of the block.
int64_t row_at(const Sweep& task, const SweepBlock& block, int64_t at) {
  return task.backward ? block.end - 1 - at : block.begin + at;
}

// r = B - A X in the rows at places [first, first + sweep_rows), and the residual at x_start:
// B - A x_start = r + A (X - x_start), where only visited columns differ.
template <class T>
void subtract(const Sweep& task, const SweepBlock& block, int64_t first) {
  const int64_t n = task.n, length = block.end - block.begin;
  const int64_t last = first + sweep_rows < length ? first + sweep_rows : length;
  const T* rows[sweep_rows];
  for (int64_t g = 0; g < sweep_rows; ++g) {
    const int64_t at = first + g < last ? first + g : last - 1;  // short: the last row again
    rows[g] = static_cast<const T*>(task.a) + row_at(task, block, at) * task.lda;
  }
  for (int64_t k = 0; k < task.n_rhs; ++k) {
    const T* x = static_cast<const T*>(task.x) + k * n;
    const T* steps = static_cast<const T*>(block.steps) + k * n;
    const int64_t visited_begin = task.backward ? block.end : 0;
    const int64_t visited_end = task.backward ? n : block.begin;
    Sums<T> ax, asteps;
    if (!task.triangle && task.backward) multiply(rows, x, 0, block.end, ax);
    if (task.x_start)
      multiply_two(rows, x, steps, visited_begin, visited_end, ax, asteps);
    else
      multiply(rows, x, visited_begin, visited_end, ax);
    if (!task.triangle && !task.backward) multiply(rows, x, block.begin, n, ax);
    for (int64_t at = first; at < last; ++at) {
      const int64_t row = row_at(task, block, at);
      const T r = static_cast<const T*>(task.b)[k * n + row] - ax.total(at - first);
      static_cast<T*>(block.r)[k * sweep_block + at] = r;
      if (task.x_start)
        static_cast<T*>(task.start_residual)[k * n + row] = r + asteps.total(at - first);
    }
  }
  for (int64_t at = 0; at < last; ++at)
    for (int64_t g = 0; g < sweep_rows; ++g)
      static_cast<T*>(block.transposed)[at * sweep_block + first + g] =
          rows[g][row_at(task, block, at)];
}

// X_I <- X_I + (D_I/omega + L_I)^-1 r by substitution, a column at a time: r is consumed.
template <class T>
void relax(const Sweep& task, const SweepBlock& block) {
  const int64_t length = block.end - block.begin;
  const T omega = static_cast<T>(task.omega);
  for (int64_t k = 0; k < task.n_rhs; ++k) {
    T* __restrict__ r = static_cast<T*>(block.r) + k * sweep_block;
    for (int64_t at = 0; at < length; ++at) {
      const T* __restrict__ column = static_cast<const T*>(block.transposed) + at * sweep_block;
      const int64_t place = k * task.n + row_at(task, block, at);
      const T step = omega * r[at] / column[at];
      static_cast<T*>(task.x)[place] += step;
      if (task.x_start) static_cast<T*>(block.steps)[place] = step;
      // from a whole vector on: what it writes before `at` is not read again
      const int64_t next = (at + 1) / Lanes<T>::width * Lanes<T>::width;
      for (int64_t i = next; i < sweep_block; ++i) r[i] -= step * column[i];
    }
  }
}

}  // namespace

SweepKernels sweep_kernels(DType dtype, simd::STEEPEST_LEVEL) {
  if (dtype == DType::float32) return {subtract<float>, relax<float>};
  return {subtract<double>, relax<double>};
}

}  // namespace steepest::linalg
