// What the bodies of kernels are written with: they run on the host too.
#pragma once
#include <cstdint>

// As in rules/ops.hpp, which stands alone.
#ifdef __CUDACC__
#define STEEPEST_HD __host__ __device__ __forceinline__
#else
#define STEEPEST_HD inline __attribute__((always_inline))
#endif

namespace steepest::cuda {

constexpr int threads = 256;  // of a block

// A block of threads: f(thread) for each thread of the block, then a barrier. The other Team is the
// simulated one of the tests.
#ifdef __CUDACC__
struct DeviceTeam {
  int64_t block, blocks;
  template <class F>
  __device__ __forceinline__ void phase(const F& f) const {
    f(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
  // After what a few threads of a warp did: all of it go on together. The compiler need not see to
  // it, and a warp that has fallen apart reads and writes in two goes until the next barrier.
  __device__ __forceinline__ void converge() const { __syncwarp(); }
  // The next number, of one thread.
  __device__ __forceinline__ int64_t take(uint64_t& counter) const {
    return static_cast<int64_t>(atomicAdd(reinterpret_cast<unsigned long long*>(&counter), 1ull));
  }
  // What was launched before has ended, and what it wrote is there: see launch_early.
  __device__ __forceinline__ void wait_for_earlier() const {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  }
};
#endif

}  // namespace steepest::cuda
