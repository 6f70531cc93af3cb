// Prints what the vector and the sweep kernels give, on arrays that are aligned to an element
// alone.
#include <cstdio>
#include <vector>

#include "linalg/systems/sweep.hpp"
#include "linalg/vectors/vectors.hpp"

using namespace steepest;
using namespace steepest::linalg;

namespace {

// n numbers, `off` elements beyond a multiple of 64 bytes.
template <class T>
class Array {
 public:
  Array(int64_t n, int64_t off, int seed) : memory_(static_cast<size_t>(n + off) + 64), n_(n) {
    const size_t beyond = reinterpret_cast<size_t>(memory_.data()) % 64 / sizeof(T);
    p_ = memory_.data() + (64 / sizeof(T) - beyond) + off;
    uint64_t word = static_cast<uint64_t>(seed) + 1;
    for (int64_t i = 0; i < n; ++i) {
      word = word * 6364136223846793005u + 1442695040888963407u;
      p_[i] = static_cast<T>(static_cast<double>(word >> 40) / (1 << 24) - 0.5);
    }
  }
  T* p() { return p_; }
  void* at() { return p_; }
  void print(const char* what) const {
    for (int64_t i = 0; i < n_; ++i) std::printf("%s %a\n", what, static_cast<double>(p_[i]));
  }

 private:
  std::vector<T> memory_;
  T* p_;
  int64_t n_;
};

template <class T>
void vectors(DType dtype, int64_t n, int64_t off) {
  const VectorKernels kernel = vector_kernels(dtype, simd::base{});
  Array<T> a(n * n, off, 1), u(n, off, 2), v(n, off + 1, 3), out(n, off + 2, 4), sum(n, off, 5);
  void* rows[] = {u.at(), v.at()};
  void* outs[] = {out.at()};
  std::vector<double> lanes(4 * max_lanes), sums(4), coefficients{0.5, -2};
  kernel.inner({rows, 2}, {rows, 2}, 0, n, lanes.data(), sums.data());
  for (const double s : sums) std::printf("inner %a\n", s);
  kernel.combine(coefficients.data(), {rows, 2}, {outs, 1}, 0, n, false);
  out.print("combine");
  for (int64_t i = 0; i < n; ++i) out.p()[i] = 0;
  kernel.symmetric_product({a.at(), n}, 0, n, {rows, 1}, {outs, 1});
  out.print("product");
  kernel.rank_two({a.at(), n}, 0, n, u.at(), v.at());
  a.print("rank two");
  kernel.axpy(0.5, u.at(), sum.at(), n);
  sum.print("axpy");
}

template <class T>
void sweeps(DType dtype, int64_t n, int64_t off) {
  const SweepKernels kernel = sweep_kernels(dtype, simd::base{});
  Array<T> a(n * n, off, 6), b(n, off, 7), x(n, off + 1, 8), start(n, off, 9), residual(n, off, 10);
  for (int64_t i = 0; i < n; ++i) a.p()[i * n + i] += static_cast<T>(n);
  std::vector<T> r(sweep_block), transposed(sweep_block * sweep_block);
  std::vector<T> steps(static_cast<size_t>(n));
  for (const bool backward : {false, true}) {
    const Sweep task{a.at(), b.at(), x.at(), nullptr, nullptr, n, 1, n, 1.25, backward, false};
    const SweepBlock block{0, n, r.data(), transposed.data(), steps.data()};
    for (int64_t first = 0; first < n; first += sweep_rows) kernel.subtract(task, block, first);
    kernel.relax(task, block);
    x.print("sweep");
  }
}

template <class T>
void all(DType dtype) {
  for (const int64_t n : {1, 7, 33, 61})
    for (const int64_t off : {0, 1, 3}) {
      vectors<T>(dtype, n, off);
      sweeps<T>(dtype, n, off);
    }
}

}  // namespace

int main() {
  all<float>(DType::float32);
  all<double>(DType::float64);
}
