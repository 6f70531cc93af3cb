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
  __device__ __forceinline__ uint32_t take(uint32_t& counter) const {
    return atomicAdd(&counter, 1u);
  }
  // Copies to shared memory, which only land() waits for: a warp goes on meanwhile. What is kept
  // stays in the cache that all share, whatever streams through it. Whole words of 8 or 16 bytes.
  template <class T>
  __device__ __forceinline__ void fetch(T& to, const T& from, [[maybe_unused]] bool keep) const {
#if __CUDA_ARCH__ >= 800
    constexpr uint32_t word = sizeof(T) % 16 == 0 ? 16 : 8;
    static_assert(sizeof(T) % word == 0 && alignof(T) % 8 == 0);
    uint64_t policy;
    if (keep) {
      asm("createpolicy.fractional.L2::evict_last.b64 %0;" : "=l"(policy));
    } else {
      asm("createpolicy.fractional.L2::evict_normal.b64 %0;" : "=l"(policy));
    }
    const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(&to));
    for (uint32_t at = 0; at < sizeof(T); at += word)
      asm volatile(
          "cp.async.ca.shared.global.L2::cache_hint [%0], [%1], %2, %3;" ::"r"(target + at),
          "l"(reinterpret_cast<const char*>(&from) + at), "n"(word), "l"(policy)
          : "memory");
#else
    to = from;
#endif
  }
  __device__ __forceinline__ void land() const {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
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
