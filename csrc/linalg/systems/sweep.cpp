// The order of a sweep: blocks one after the other, the rows of a block over the threads.
#include "linalg/systems/sweep.hpp"

#include <algorithm>
#include <vector>

#include "core/float_mode.hpp"

namespace steepest::linalg {

SweepKernels sweep_kernels(DType dtype, SimdLevel level) {
  return std::visit([dtype](auto tag) { return sweep_kernels(dtype, tag); }, level);
}

namespace {

// One thread's part of the sweep, room for the blocks being shared.
void sweep_blocks(const Sweep& task, const SweepKernels& kernel, void* r, void* transposed,
                  void* steps) {
  const int64_t blocks = (task.n + sweep_block - 1) / sweep_block;
  for (int64_t at = 0; at < blocks; ++at) {
    const int64_t begin = (task.backward ? blocks - 1 - at : at) * sweep_block;
    const int64_t end = std::min(begin + sweep_block, task.n);
    const SweepBlock block{begin, end, r, transposed, steps};
#pragma omp for schedule(static)
    for (int64_t first = 0; first < end - begin; first += sweep_rows)
      kernel.subtract(task, block, first);
#pragma omp single
    kernel.relax(task, block);
  }
}

}  // namespace

void sweep(DType dtype, const Sweep& task, const SweepKernels& kernel, int threads) {
  const int team = std::min(threads, static_cast<int>(sweep_block / sweep_rows));
  const auto room = [&](int64_t elements) {
    return std::vector<char>(static_cast<size_t>(elements * size_of(dtype)));
  };
  auto r = room(task.n_rhs * sweep_block);
  auto transposed = room(std::min(task.n, sweep_block) * sweep_block);
  auto steps = room(task.x_start ? task.n_rhs * task.n : 0);
  // a team of one costs more than a small sweep
  if (team <= 1) return sweep_blocks(task, kernel, r.data(), transposed.data(), steps.data());
  const uint64_t mode = FloatMode::of_this_thread();
#pragma omp parallel num_threads(team)
  {
    const FloatMode same(mode);
    sweep_blocks(task, kernel, r.data(), transposed.data(), steps.data());
  }
}

}  // namespace steepest::linalg
