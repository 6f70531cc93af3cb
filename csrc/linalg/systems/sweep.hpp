// Relaxation sweeps over a dense, row-major system A X = B, in place in X.
//
// Successive over-relaxation (Young 1954, Trans. AMS 76, 92-111) with its rows taken in blocks:
//   R = B_I - A_I X                       all threads, a few rows at a time: the read of A
//   X_I <- X_I + (D_I/omega + L_I)^-1 R   one thread; L_I is A_II below its diagonal
// Row for row this is SOR, and Gauss-Seidel at omega = 1, for any length of the blocks: they only
// let many threads work on one R. Backward, the order is reversed, and U_I takes the place of L_I.
#pragma once
#include <cstdint>

#include "core/dtype.hpp"
#include "core/simd_level.hpp"

namespace steepest::linalg {

constexpr int64_t sweep_block = 64;  // rows between two meetings of the threads
constexpr int64_t sweep_rows = 8;    // rows that a thread takes at once: x is loaded once for all

struct Sweep {
  const void* a;         // (n, n), rows lda elements apart
  const void* b;         // (n_rhs, n): the right-hand sides lie one after the other
  void* x;               // (n_rhs, n), changed
  const void* x_start;   // (n_rhs, n), a copy of x, or null
  void* start_residual;  // (n_rhs, n): with x_start, B - A x_start from the same read of A
  int64_t n;
  int64_t n_rhs;
  int64_t lda;
  double omega;
  bool backward;
  bool triangle;  // columns not visited yet are left out (x is zero there): a triangular solve
};

// The rows [begin, end) of the task, and room for what the first phase hands to the second. Rows
// and columns are in the order in which they are visited.
struct SweepBlock {
  int64_t begin;
  int64_t end;
  void* r;           // (n_rhs, sweep_block)
  void* transposed;  // A_II: (sweep_block, sweep_block)
  void* steps;       // X - x_start so far: (n_rhs, n)
};
struct SweepKernels {
  void (*subtract)(const Sweep& task, const SweepBlock& block, int64_t first);
  void (*relax)(const Sweep& task, const SweepBlock& block);
};
// By sweep_level.cpp, compiled once a level.
SweepKernels sweep_kernels(DType dtype, simd::base);
SweepKernels sweep_kernels(DType dtype, simd::avx2);
SweepKernels sweep_kernels(DType dtype, simd::avx512);
SweepKernels sweep_kernels(DType dtype, SimdLevel level);

void sweep(DType dtype, const Sweep& task, const SweepKernels& kernel, int threads);

}  // namespace steepest::linalg
