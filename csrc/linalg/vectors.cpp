// The vector kernels over threads: blocks of elements, or ranges of rows of equal area.
#include "linalg/vectors.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.hpp"

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

VectorKernels vector_kernels(DType dtype, [[maybe_unused]] const std::string& level) {
#ifdef STEEPEST_X86_LEVELS
  if (level == "avx512") return avx512::vector_kernels(dtype);
  if (level == "avx2") return avx2::vector_kernels(dtype);
#endif
  return base::vector_kernels(dtype);
}

namespace {

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

void inner(const Pass& pass, const Vectors& rows, const Vectors& columns, int64_t n,
           double* products) {
  const auto size = static_cast<size_t>(rows.count * columns.count);
  const int64_t blocks = std::max<int64_t>(1, (n + vector_block - 1) / vector_block);
  std::vector<double> lanes(static_cast<size_t>(blocks) * size * max_lanes);
  if (blocks == 1) return pass.kernel.inner(rows, columns, 0, n, lanes.data(), products);
  std::vector<double> sums(static_cast<size_t>(blocks) * size);
#pragma omp parallel for num_threads(pass.threads) schedule(static) if (pass.threads > 1)
  for (int64_t b = 0; b < blocks; ++b) {
    const size_t at = static_cast<size_t>(b) * size;
    pass.kernel.inner(rows, columns, b * vector_block, std::min((b + 1) * vector_block, n),
                      lanes.data() + at * max_lanes, sums.data() + at);
  }
  for (size_t i = 0; i < size; ++i) {
    products[i] = 0;
    for (size_t b = 0; b < static_cast<size_t>(blocks); ++b) products[i] += sums[b * size + i];
  }
}

void combine(const Pass& pass, const double* coefficients, const Vectors& rows, const Vectors& outs,
             int64_t n) {
  if (outs.count > max_outs)
    throw Error(ErrorKind::value, "combine: " + std::to_string(outs.count) +
                                      " outs; allowed are at most " + std::to_string(max_outs));
  const int64_t blocks = (n + vector_block - 1) / vector_block;
#pragma omp parallel for num_threads(pass.threads) schedule(static) if (pass.threads > 1)
  for (int64_t b = 0; b < blocks; ++b)
    pass.kernel.combine(coefficients, rows, outs, b * vector_block,
                        std::min((b + 1) * vector_block, n));
}

void symmetric_product(const Pass& pass, const Triangle& a, const Vectors& columns,
                       const Vectors& outs) {
  const std::vector<int64_t> starts = ranges(a.n);
  const auto n_ranges = static_cast<int64_t>(starts.size()) - 1;
  if (n_ranges == 1) return pass.kernel.symmetric_product(a, 0, a.n, columns, outs);
  const int64_t bytes = a.n * size_of(pass.dtype);
  std::vector<char> room(static_cast<size_t>(n_ranges * columns.count * bytes));
  std::vector<void*> parts;  // (n_ranges, columns)
  for (int64_t i = 0; i < n_ranges * columns.count; ++i) parts.push_back(room.data() + i * bytes);
#pragma omp parallel for num_threads(pass.threads) schedule(dynamic) if (pass.threads > 1)
  for (int64_t k = 0; k < n_ranges; ++k) {
    const auto range = static_cast<size_t>(k);
    const Vectors part{parts.data() + k * columns.count, columns.count};
    pass.kernel.symmetric_product(a, starts[range], starts[range + 1], columns, part);
  }
  for (int64_t j = 0; j < outs.count; ++j) {
    std::fill_n(static_cast<char*>(outs.at[j]), bytes, char{0});
    for (int64_t k = 0; k < n_ranges; ++k)
      pass.kernel.add(outs.at[j], parts[static_cast<size_t>(k * columns.count + j)],
                      starts[static_cast<size_t>(k) + 1]);
  }
}

void rank_two(const Pass& pass, const Triangle& a, const void* u, const void* v) {
  const std::vector<int64_t> starts = ranges(a.n);
  const auto n_ranges = static_cast<int64_t>(starts.size()) - 1;
#pragma omp parallel for num_threads(pass.threads) schedule(dynamic) if (pass.threads > 1)
  for (int64_t k = 0; k < n_ranges; ++k)
    pass.kernel.rank_two(a, starts[static_cast<size_t>(k)], starts[static_cast<size_t>(k) + 1], u,
                         v);
}

}  // namespace steepest::linalg
