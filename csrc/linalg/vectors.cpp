// The vector kernels over threads: blocks of elements, or ranges of rows of equal area.
#include "linalg/vectors.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/error.hpp"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace steepest::linalg {

namespace base {
VectorKernels vector_kernels(DType dtype);
}
#ifdef STEEPEST_X86_LEVELS
namespace avx2 {
VectorKernels vector_kernels(DType dtype);
}
namespace avx512 {
VectorKernels vector_kernels(DType dtype);
}
#endif

namespace {

// The best level that the processor has, or STEEPEST_SIMD.
VectorKernels kernels(DType dtype) {
#ifdef STEEPEST_X86_LEVELS
  static const std::string wanted = [] {
    const char* text = std::getenv("STEEPEST_SIMD");
    return std::string(text ? text : "");
  }();
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (has_avx512 && (wanted.empty() || wanted == "avx512")) return avx512::vector_kernels(dtype);
  if (__builtin_cpu_supports("avx2") && wanted != "base") return avx2::vector_kernels(dtype);
#endif
  return base::vector_kernels(dtype);
}

// Threads for a pass over so many bytes: below some hundred kilobytes a team costs more than it
// brings.
int threads_for(int64_t bytes) {
#ifdef _OPENMP
  constexpr int64_t bytes_a_thread = 256 << 10;
  const int64_t useful = std::max<int64_t>(1, bytes / bytes_a_thread);
  return static_cast<int>(std::min<int64_t>(omp_get_max_threads(), useful));
#else
  static_cast<void>(bytes);
  return 1;
#endif
}

// The rows of a triangle in ranges of about equal area; they depend on n alone, as results must
// not depend on threads.
std::vector<int64_t> ranges(int64_t n) {
  constexpr int64_t area = 1 << 17, most = 64;
  const int64_t count = std::clamp<int64_t>(n * n / 2 / area, 1, most);
  std::vector<int64_t> starts;
  for (int64_t k = 0; k <= count; ++k) {
    const double share = static_cast<double>(k) / static_cast<double>(count);
    const auto row = static_cast<int64_t>(std::sqrt(share) * static_cast<double>(n));
    starts.push_back(k == count ? n : row / 4 * 4);
  }
  return starts;
}

}  // namespace

void inner(DType dtype, const Vectors& rows, const Vectors& columns, int64_t n, double* products) {
  const VectorKernels kernel = kernels(dtype);
  const auto size = static_cast<size_t>(rows.count * columns.count);
  const int64_t blocks = (n + vector_block - 1) / vector_block;
  if (blocks <= 1) {
    std::vector<double> lanes(size * max_lanes);
    return kernel.inner(rows, columns, 0, n, lanes.data(), products);
  }
  std::vector<double> sums(static_cast<size_t>(blocks) * size);
  const int threads = threads_for((rows.count + columns.count) * n * size_of(dtype));
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    std::vector<double> lanes(size * max_lanes);
#pragma omp for schedule(static)
    for (int64_t b = 0; b < blocks; ++b)
      kernel.inner(rows, columns, b * vector_block, std::min((b + 1) * vector_block, n),
                   lanes.data(), sums.data() + static_cast<size_t>(b) * size);
  }
  for (size_t i = 0; i < size; ++i) {
    products[i] = 0;
    for (size_t b = 0; b < static_cast<size_t>(blocks); ++b) products[i] += sums[b * size + i];
  }
}

void combine(DType dtype, const double* coefficients, const Vectors& rows, const Vectors& outs,
             int64_t n) {
  if (outs.count > max_outs)
    throw Error(ErrorKind::value, "combine: " + std::to_string(outs.count) +
                                      " outs; allowed are at most " + std::to_string(max_outs));
  const VectorKernels kernel = kernels(dtype);
  const int64_t blocks = (n + vector_block - 1) / vector_block;
  const int threads = threads_for((rows.count + outs.count) * n * size_of(dtype));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int64_t b = 0; b < blocks; ++b)
    kernel.combine(coefficients, rows, outs, b * vector_block, std::min((b + 1) * vector_block, n));
}

void symmetric_product(DType dtype, const Triangle& a, const Vectors& columns,
                       const Vectors& outs) {
  const VectorKernels kernel = kernels(dtype);
  const std::vector<int64_t> starts = ranges(a.n);
  const auto n_ranges = static_cast<int64_t>(starts.size()) - 1;
  if (n_ranges == 1) return kernel.symmetric_product(a, 0, a.n, columns, outs);
  const int64_t bytes = a.n * size_of(dtype);
  std::vector<char> room(static_cast<size_t>(n_ranges * columns.count * bytes));
  std::vector<void*> parts;  // (n_ranges, columns)
  for (int64_t i = 0; i < n_ranges * columns.count; ++i) parts.push_back(room.data() + i * bytes);
  const int threads = threads_for(a.n * bytes / 2);
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
  for (int64_t k = 0; k < n_ranges; ++k) {
    const auto range = static_cast<size_t>(k);
    const Vectors part{parts.data() + k * columns.count, columns.count};
    kernel.symmetric_product(a, starts[range], starts[range + 1], columns, part);
  }
  for (int64_t j = 0; j < outs.count; ++j) {
    std::fill_n(static_cast<char*>(outs.at[j]), bytes, char{0});
    for (int64_t k = 0; k < n_ranges; ++k)
      kernel.add(outs.at[j], parts[static_cast<size_t>(k * columns.count + j)],
                 starts[static_cast<size_t>(k) + 1]);
  }
}

void rank_two(DType dtype, const Triangle& a, const void* u, const void* v) {
  const VectorKernels kernel = kernels(dtype);
  const std::vector<int64_t> starts = ranges(a.n);
  const auto n_ranges = static_cast<int64_t>(starts.size()) - 1;
  const int threads = threads_for(a.n * a.n * size_of(dtype) / 2);
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
  for (int64_t k = 0; k < n_ranges; ++k)
    kernel.rank_two(a, starts[static_cast<size_t>(k)], starts[static_cast<size_t>(k) + 1], u, v);
}

}  // namespace steepest::linalg
