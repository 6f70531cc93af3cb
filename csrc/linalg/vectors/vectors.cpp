// The vector kernels over threads: blocks of elements, or ranges of rows of equal area. Each thread
// takes the next: BLAS threads that spin after a user's product take half a core from one of them
// (two passes of L-BFGS over 2 M doubles then take 52 ms against 65 with equal shares).
#include "linalg/vectors/vectors.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "core/error.hpp"
#include "core/float_mode.hpp"

namespace steepest::linalg {

Vectors view(const std::vector<void*>& pointers) {
  return {pointers.data(), static_cast<int64_t>(pointers.size())};
}

VectorKernels vector_kernels(DType dtype, SimdLevel level) {
  return std::visit([dtype](auto tag) { return vector_kernels(dtype, tag); }, level);
}

namespace {

// The rows of a triangle in ranges of about equal area. They depend on n alone, so that results do
// not depend on the number of threads.
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

// f(i, thread) for each i below n; the threads compute in the mode of the calling one. f must not
// throw, and so finds its memory made.
template <class F>
void share_out([[maybe_unused]] const Pass& pass, int64_t n, const F& f) {
  const uint64_t mode = FloatMode::of_this_thread();
#pragma omp parallel num_threads(pass.threads) if (pass.threads > 1)
  {
    const FloatMode same(mode);
#ifdef _OPENMP
    const int thread = omp_get_thread_num();
#else
    constexpr int thread = 0;
#endif
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < n; ++i) f(i, thread);
  }
}

// The sums of `inner` over one block after another, by one thread.
class BlockSums {
 public:
  BlockSums(const Pass& pass, const Vectors& rows, const Vectors& columns, int64_t n,
            const Difference& formed)
      : pass_(pass),
        rows_(rows),
        columns_(columns),
        n_(n),
        formed_(formed),
        lanes_(new double[static_cast<size_t>(rows.count * columns.count * max_lanes)]) {
    if (!formed.a) return;
    difference_.reset(new double[static_cast<size_t>(std::min(vector_block, n))]);
    at_.resize(static_cast<size_t>(rows.count + columns.count));
  }

  void over(int64_t block, double* sums) {
    const int64_t begin = block * vector_block, end = std::min(begin + vector_block, n_);
    if (!formed_.a) return pass_.kernel.inner(rows_, columns_, begin, end, lanes_.get(), sums);
    const int64_t bytes = begin * size_of(pass_.dtype), length = end - begin;
    void* const sides[] = {from(formed_.a, bytes), from(formed_.b, bytes)};
    void* difference = difference_.get();
    const double signs[] = {1, -1};
    pass_.kernel.combine(signs, {sides, 2}, {&difference, 1}, 0, length, false);
    void** const rows = at_.data();
    void** const columns = rows + rows_.count;
    for (int64_t i = 0; i < rows_.count; ++i) rows[i] = from(rows_.at[i], bytes);
    for (int64_t i = 0; i < columns_.count; ++i) columns[i] = from(columns_.at[i], bytes);
    pass_.kernel.inner({rows, rows_.count}, {columns, columns_.count}, 0, length, lanes_.get(),
                       sums);
  }

 private:
  // A vector from byte `bytes` on; the difference, formed from there on, where it is null.
  void* from(void* vector, int64_t bytes) const {
    return vector ? static_cast<char*>(vector) + bytes : static_cast<void*>(difference_.get());
  }

  const Pass& pass_;
  const Vectors rows_, columns_;
  const int64_t n_;
  const Difference formed_;
  std::unique_ptr<double[]> lanes_, difference_;
  std::vector<void*> at_;
};

}  // namespace

void inner(const Pass& pass, const Vectors& rows, const Vectors& columns, int64_t n,
           double* products, const Difference& formed) {
  const int64_t blocks = (n + vector_block - 1) / vector_block;
  if (blocks == 1) return BlockSums(pass, rows, columns, n, formed).over(0, products);
  const auto size = static_cast<size_t>(rows.count * columns.count);
  std::vector<double> sums(static_cast<size_t>(blocks) * size);
  std::vector<BlockSums> of_thread;
  of_thread.reserve(static_cast<size_t>(pass.threads));
  for (int i = 0; i < pass.threads; ++i) of_thread.emplace_back(pass, rows, columns, n, formed);
  share_out(pass, blocks, [&](int64_t b, int thread) {
    of_thread[static_cast<size_t>(thread)].over(b, sums.data() + static_cast<size_t>(b) * size);
  });
  for (size_t i = 0; i < size; ++i) {
    products[i] = 0;
    for (size_t b = 0; b < static_cast<size_t>(blocks); ++b) products[i] += sums[b * size + i];
  }
}

void combine(const Pass& pass, const double* coefficients, const Vectors& rows, const Vectors& outs,
             int64_t n) {
  if (outs.count > max_outs)
    throw Error(ErrorKind::value, "combine: " + std::to_string(outs.count) +
                                      " outs; expected at most " + std::to_string(max_outs));
  const int64_t blocks = (n + vector_block - 1) / vector_block;
  const bool streamed = (rows.count + outs.count) * n * size_of(pass.dtype) > streamed_above;
  if (blocks == 1) return pass.kernel.combine(coefficients, rows, outs, 0, n, streamed);
  share_out(pass, blocks, [&](int64_t b, int) {
    pass.kernel.combine(coefficients, rows, outs, b * vector_block,
                        std::min((b + 1) * vector_block, n), streamed);
  });
}

double advance(const Pass& pass, double alpha, void* p, void* q, void* x, void* r, int64_t n) {
  const int64_t blocks = (n + vector_block - 1) / vector_block;
  std::vector<double> squares(static_cast<size_t>(blocks));
  share_out(pass, blocks, [&](int64_t b, int) {
    const int64_t begin = b * vector_block, end = std::min(begin + vector_block, n);
    const int64_t bytes = begin * size_of(pass.dtype);
    const auto of = [bytes](void* vector) { return static_cast<char*>(vector) + bytes; };
    pass.kernel.axpy(alpha, of(p), of(x), end - begin);
    pass.kernel.axpy(-alpha, of(q), of(r), end - begin);
    double lanes[max_lanes];
    pass.kernel.inner({&r, 1}, {&r, 1}, begin, end, lanes, &squares[static_cast<size_t>(b)]);
  });
  double sum = 0;
  for (const double square : squares) sum += square;
  return sum;
}

void symmetric_product(const Pass& pass, const SymmetricMatrix& a, const Vectors& columns,
                       const Vectors& outs) {
  const std::vector<int64_t> starts = ranges(a.n);
  const auto n_ranges = static_cast<int64_t>(starts.size()) - 1;
  if (n_ranges == 1) return pass.kernel.symmetric_product(a, 0, a.n, columns, outs);
  const int64_t bytes = a.n * size_of(pass.dtype);
  std::vector<char> room(static_cast<size_t>(n_ranges * columns.count * bytes));
  std::vector<void*> parts;  // (n_ranges, columns)
  for (int64_t i = 0; i < n_ranges * columns.count; ++i) parts.push_back(room.data() + i * bytes);
  share_out(pass, n_ranges, [&](int64_t k, int) {
    const auto range = static_cast<size_t>(k);
    const Vectors part{parts.data() + k * columns.count, columns.count};
    pass.kernel.symmetric_product(a, starts[range], starts[range + 1], columns, part);
  });
  for (int64_t j = 0; j < outs.count; ++j) {
    std::fill_n(static_cast<char*>(outs.at[j]), bytes, char{0});
    for (int64_t k = 0; k < n_ranges; ++k)
      pass.kernel.axpy(1, parts[static_cast<size_t>(k * columns.count + j)], outs.at[j],
                       starts[static_cast<size_t>(k) + 1]);
  }
}

void rank_two(const Pass& pass, const SymmetricMatrix& a, const void* u, const void* v) {
  const std::vector<int64_t> starts = ranges(a.n);
  const auto n_ranges = static_cast<int64_t>(starts.size()) - 1;
  share_out(pass, n_ranges, [&](int64_t k, int) {
    const auto range = static_cast<size_t>(k);
    pass.kernel.rank_two(a, starts[range], starts[range + 1], u, v);
  });
}

}  // namespace steepest::linalg
