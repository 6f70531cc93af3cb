// A block of threads as the bodies of kernels see it.
#pragma once
#include <cstdint>

namespace steepest::cuda {

constexpr int threads = 256;  // of a block

// f(thread) for each thread of the block, then a barrier. The other Team is the simulated one of
// the tests.
#ifdef __CUDACC__
struct DeviceTeam {
  int64_t block, blocks;
  template <class F>
  __device__ __forceinline__ void phase(const F& f) const {
    f(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
};
#endif

}  // namespace steepest::cuda
