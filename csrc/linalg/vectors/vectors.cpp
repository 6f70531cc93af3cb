// The vector kernels over threads: blocks of elements, or ranges of rows of equal area. Each thread
// takes the next: BLAS threads that spin after a user's product take half a core from one of them
// (two passes of L-BFGS over 2 M doubles then take 52 ms against 65 with equal shares).
#include "linalg/vectors/vectors.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/float_mode.hpp"

namespace steepest::linalg {

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

// The vectors from byte `bytes` on. A null one stands for the difference, of which `formed` has the
// elements from there on.
class Block {
 public:
  Block(const Vectors& all, int64_t bytes, void* formed) {
    for (int64_t i = 0; i < all.count; ++i)
      at_.push_back(all.at[i] ? static_cast<char*>(all.at[i]) + bytes : formed);
  }
  Vectors view() const { return {at_.data(), static_cast<int64_t>(at_.size())}; }

 private:
  std::vector<void*> at_;
};

// f(i) for each i below n; the threads compute in the mode of the calling one.
template <class F>
void share_out([[maybe_unused]] const Pass& pass, int64_t n, const F& f) {
  const uint64_t mode = FloatMode::of_this_thread();
#pragma omp parallel num_threads(pass.threads) if (pass.threads > 1)
  {
    const FloatMode same(mode);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < n; ++i) f(i);
  }
}

// The sums of `inner` over one block after another, with room for a block of the difference.
class BlockSums {
 public:
  BlockSums(const Pass& pass, const Vectors& rows, const Vectors& columns, int64_t n,
            const Difference& formed)
      : pass_(pass),
        rows_(rows),
        columns_(columns),
        n_(n),
        formed_(formed),
        lanes_(static_cast<size_t>(rows.count * columns.count * max_lanes)),
        room_(formed.a ? static_cast<size_t>(std::min(vector_block, n)) : 0) {}

  void over(int64_t block, double* sums) {
    const int64_t begin = block * vector_block, end = std::min(begin + vector_block, n_);
    if (!formed_.a) return pass_.kernel.inner(rows_, columns_, begin, end, lanes_.data(), sums);
    const int64_t bytes = begin * size_of(pass_.dtype);
    void* const sides[] = {formed_.a, formed_.b};
    void* difference = room_.data();
    const double signs[] = {1, -1};
    const Block from({sides, 2}, bytes, nullptr);
    pass_.kernel.combine(signs, from.view(), {&difference, 1}, 0, end - begin, false);
    const Block rows(rows_, bytes, difference), columns(columns_, bytes, difference);
    pass_.kernel.inner(rows.view(), columns.view(), 0, end - begin, lanes_.data(), sums);
  }

 private:
  const Pass& pass_;
  const Vectors rows_, columns_;
  const int64_t n_;
  const Difference formed_;
  std::vector<double> lanes_, room_;
};

}  // namespace

void inner(const Pass& pass, const Vectors& rows, const Vectors& columns, int64_t n,
           double* products, const Difference& formed) {
  const int64_t blocks = (n + vector_block - 1) / vector_block;
  if (blocks == 1) return BlockSums(pass, rows, columns, n, formed).over(0, products);
  const auto size = static_cast<size_t>(rows.count * columns.count);
  std::vector<double> sums(static_cast<size_t>(blocks) * size);
  const uint64_t mode = FloatMode::of_this_thread();
#pragma omp parallel num_threads(pass.threads) if (pass.threads > 1)
  {
    const FloatMode same(mode);
    BlockSums own(pass, rows, columns, n, formed);
#pragma omp for schedule(dynamic)
    for (int64_t b = 0; b < blocks; ++b) own.over(b, sums.data() + static_cast<size_t>(b) * size);
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
                                      " outs; expected at most " + std::to_string(max_outs));
  const int64_t blocks = (n + vector_block - 1) / vector_block;
  const bool streamed = (rows.count + outs.count) * n * size_of(pass.dtype) > streamed_above;
  if (blocks == 1) return pass.kernel.combine(coefficients, rows, outs, 0, n, streamed);
  share_out(pass, blocks, [&](int64_t b) {
    pass.kernel.combine(coefficients, rows, outs, b * vector_block,
                        std::min((b + 1) * vector_block, n), streamed);
  });
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
  share_out(pass, n_ranges, [&](int64_t k) {
    const auto range = static_cast<size_t>(k);
    const Vectors part{parts.data() + k * columns.count, columns.count};
    pass.kernel.symmetric_product(a, starts[range], starts[range + 1], columns, part);
  });
  for (int64_t j = 0; j < outs.count; ++j) {
    std::fill_n(static_cast<char*>(outs.at[j]), bytes, char{0});
    for (int64_t k = 0; k < n_ranges; ++k)
      pass.kernel.add(outs.at[j], parts[static_cast<size_t>(k * columns.count + j)],
                      starts[static_cast<size_t>(k) + 1]);
  }
}

void rank_two(const Pass& pass, const SymmetricMatrix& a, const void* u, const void* v) {
  const std::vector<int64_t> starts = ranges(a.n);
  const auto n_ranges = static_cast<int64_t>(starts.size()) - 1;
  share_out(pass, n_ranges, [&](int64_t k) {
    const auto range = static_cast<size_t>(k);
    pass.kernel.rank_two(a, starts[range], starts[range + 1], u, v);
  });
}

}  // namespace steepest::linalg
