// The loops of a sweep, compiled once per SIMD level. Sums run over a fixed number of lanes, so
// every level gives the same bits.
#include "linalg/sweeps/sweep.hpp"

namespace steepest::linalg {
namespace {

// 32 bytes: wide enough for the memory, and eight sums fit the registers of every level.
template <class T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(32), aligned(alignof(T)), may_alias));
  static constexpr int64_t width = 32 / sizeof(T);
};

template <class T>
const typename Lanes<T>::Vector& load(const T* p) {
  return *reinterpret_cast<const typename Lanes<T>::Vector*>(p);
}

// The sums of sweep_rows products, each over lanes and a tail.
template <class T>
struct Sums {
  typename Lanes<T>::Vector lanes[sweep_rows] = {};
  T tail[sweep_rows] = {};

  T total(int64_t row) const {
    T lane[Lanes<T>::width];
    __builtin_memcpy(lane, &lanes[row], sizeof lane);
    for (int64_t half = Lanes<T>::width / 2; half > 0; half /= 2)
      for (int64_t i = 0; i < half; ++i) lane[i] += lane[i + half];
    return lane[0] + tail[row];
  }
};

// ax += rows . x over the columns [begin, end).
template <class T>
void multiply(const T* const (&rows)[sweep_rows], const T* x, int64_t begin, int64_t end,
              Sums<T>& ax) {
  Sums<T> s = ax;
  int64_t j = begin;
  for (; j + Lanes<T>::width <= end; j += Lanes<T>::width)
    for (int64_t g = 0; g < sweep_rows; ++g) s.lanes[g] += load(rows[g] + j) * load(x + j);
  for (; j < end; ++j)
    for (int64_t g = 0; g < sweep_rows; ++g) s.tail[g] += rows[g][j] * x[j];
  ax = s;
}

// As multiply, for two vectors with one read of the rows.
template <class T>
void multiply_two(const T* const (&rows)[sweep_rows], const T* x, const T* y, int64_t begin,
                  int64_t end, Sums<T>& ax, Sums<T>& ay) {
  Sums<T> s = ax, t = ay;
  int64_t j = begin;
  for (; j + Lanes<T>::width <= end; j += Lanes<T>::width)
    for (int64_t g = 0; g < sweep_rows; ++g) {
      s.lanes[g] += load(rows[g] + j) * load(x + j);
      t.lanes[g] += load(rows[g] + j) * load(y + j);
    }
  for (; j < end; ++j)
    for (int64_t g = 0; g < sweep_rows; ++g) {
      s.tail[g] += rows[g][j] * x[j];
      t.tail[g] += rows[g][j] * y[j];
    }
  ax = s;
  ay = t;
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

namespace STEEPEST_LEVEL {
SweepKernels sweep_kernels(DType dtype);
SweepKernels sweep_kernels(DType dtype) {
  if (dtype == DType::float32) return {subtract<float>, relax<float>};
  return {subtract<double>, relax<double>};
}
}  // namespace STEEPEST_LEVEL

}  // namespace steepest::linalg
