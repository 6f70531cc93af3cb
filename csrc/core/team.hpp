// What the bodies of kernels are written with. They run on the host, too: all of them in the tests,
// those of least squares also wherever residuals live on the host.
#pragma once
#include <cstdint>

// As in rules/ops.hpp, which stands alone.
#ifdef __CUDACC__
#define STEEPEST_HD __host__ __device__ __forceinline__
#elif !defined(STEEPEST_HD)
#define STEEPEST_HD inline __attribute__((always_inline))
#endif

// Before a loop: unrolls it on the device, so that what its counter indexes lies in registers.
#ifdef __CUDA_ARCH__
#define STEEPEST_UNROLL _Pragma("unroll")
#else
#define STEEPEST_UNROLL
#endif

namespace steepest::cuda {

constexpr int threads = 256;  // of a block

// A block of threads. phase(f) runs f(thread) on each of them and ends with a barrier. The tests
// have another Team, over a simulated block.
#ifdef __CUDACC__
struct DeviceTeam {
  int64_t block, blocks;
  template <class F>
  __device__ __forceinline__ void phase(const F& f) const {
    f(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
  // After a branch that only some threads of a warp took: brings the warp together again. The
  // compiler is free not to, and a divided warp issues each access twice until the next barrier.
  __device__ __forceinline__ void converge() const { __syncwarp(); }
  // The next number of a counter that all blocks share. One thread of a block calls it.
  __device__ __forceinline__ uint32_t take(uint32_t& counter) const {
    return atomicAdd(&counter, 1u);
  }
  // announce() tells other blocks that what this one wrote before a barrier can be read; await()
  // waits to be told.
  __device__ __forceinline__ void announce(uint32_t& flag) const {
    asm volatile("st.release.gpu.u32 [%0], 1;" ::"l"(&flag) : "memory");
  }
  __device__ __forceinline__ void await(const uint32_t& flag) const {
    uint32_t seen;
    do {
      asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(seen) : "l"(&flag) : "memory");
    } while (seen == 0);
  }
  // Starts a copy to shared memory, in words of 8 or 16 bytes. The warp goes on meanwhile; land()
  // waits for the copy. With `keep` the source stays in the L2 cache while other data stream
  // through it.
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
  // Reads what others may be writing: past the multiprocessor's own cache, where it would stay.
  template <class T>
  __device__ __forceinline__ T peek(const T& x) const {
    return __ldcg(&x);
  }
  // Waits until the kernels launched before have ended and what they wrote can be read: see
  // launch_early.
  __device__ __forceinline__ void wait_for_earlier() const {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  }
  // Whether the kernel may run before wait_for_earlier returns. What it reads until then, earlier
  // kernels may still be writing.
  __device__ __forceinline__ constexpr bool begins_early() const {
#if __CUDA_ARCH__ >= 900
    return true;
#else
    return false;
#endif
  }
  // Once each block has said this, or ended, the next kernel may begin, if it was launched early
  // and there is room.
  __device__ __forceinline__ void let_next_begin() const {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
  }
};
#endif

}  // namespace steepest::cuda
