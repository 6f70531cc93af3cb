// The vector kernels under the full-batch methods. All are bound by memory: each reads what
// it is given once, for all that it computes.
//
// Results are bitwise the same for any number of threads and any SIMD level: sums run over a fixed
// number of lanes, over fixed blocks that are joined in order.
#pragma once
#include <cstdint>
#include <vector>

#include "core/dtype.hpp"
#include "core/simd_level.hpp"

namespace steepest::linalg {

// Vectors of n elements of one dtype, anywhere in memory.
struct Vectors {
  void* const* at;
  int64_t count;
};

Vectors view(const std::vector<void*>& pointers);

// Of a symmetric (n, n) matrix, by rows, the lower triangle.
struct SymmetricMatrix {
  void* a;
  int64_t n;
};

// What one thread does, compiled once per SIMD level.
struct VectorKernels {
  // sums[i, j] = the products over the elements [begin, end); lanes: room for max_lanes each
  void (*inner)(const Vectors& rows, const Vectors& columns, int64_t begin, int64_t end,
                double* lanes, double* sums);
  // streamed: the outs are written past the caches
  void (*combine)(const double* coefficients, const Vectors& rows, const Vectors& outs,
                  int64_t begin, int64_t end, bool streamed);
  // out[j][0:last] = what the rows [first, last) of the triangle give, mirrored part included
  void (*symmetric_product)(const SymmetricMatrix& a, int64_t first, int64_t last,
                            const Vectors& columns, const Vectors& outs);
  void (*rank_two)(const SymmetricMatrix& a, int64_t first, int64_t last, const void* u,
                   const void* v);
  // out += factor part over n elements
  void (*axpy)(double factor, const void* part, void* out, int64_t n);
};

constexpr int64_t vector_chunk = 8192;        // bytes that stay in L1 while all rows pass over them
constexpr int64_t vector_block = 16384;       // elements that a thread takes at once
constexpr int64_t streamed_above = 32 << 20;  // bytes of a pass, of which little stays in a cache
constexpr int64_t max_lanes = 16;
constexpr int64_t max_outs = 5;

// By vectors_level.cpp, compiled once a level.
VectorKernels vector_kernels(DType dtype, simd::base);
VectorKernels vector_kernels(DType dtype, simd::avx2);
VectorKernels vector_kernels(DType dtype, simd::avx512);
VectorKernels vector_kernels(DType dtype, SimdLevel level);

// How a pass runs: its kernels and, at most, so many threads.
struct Pass {
  DType dtype;
  VectorKernels kernel;
  int threads;
};

// a - b, formed block by block.
struct Difference {
  void* a;
  void* b;
};

// products[i, j] = rows[i] . columns[j], summed in double; products is (rows, columns), row-major.
// A null pointer among rows and columns stands for `formed`.
void inner(const Pass& pass, const Vectors& rows, const Vectors& columns, int64_t n,
           double* products, const Difference& formed = {});

// out[j] = sum_i coefficients[j, i] rows[i], summed in the order of the rows; a row whose
// coefficient is zero is not read. An out may be one of the rows: sums up to its own have its old
// value, those of later outs the new one. At most max_outs.
void combine(const Pass& pass, const double* coefficients, const Vectors& rows, const Vectors& outs,
             int64_t n);

// x <- x + alpha p and r <- r - alpha q; returns r . r, summed as by `inner`.
double advance(const Pass& pass, double alpha, void* p, void* q, void* x, void* r, int64_t n);

// out[j] = A columns[j]; no out may be one of the columns.
void symmetric_product(const Pass& pass, const SymmetricMatrix& a, const Vectors& columns,
                       const Vectors& outs);

// A <- A + u v' + v u'.
void rank_two(const Pass& pass, const SymmetricMatrix& a, const void* u, const void* v);

}  // namespace steepest::linalg
