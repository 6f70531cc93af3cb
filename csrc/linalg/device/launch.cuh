// The bodies over a real grid.
#pragma once
#include "linalg/device/launch.hpp"

namespace steepest::linalg {

template <class Body>
__global__ void __launch_bounds__(cuda::threads)
    each_kernel(const __grid_constant__ Body body, int64_t n) {
  const int64_t stride = int64_t{gridDim.x} * cuda::threads;
#pragma unroll 1
  for (int64_t i = int64_t{blockIdx.x} * cuda::threads + threadIdx.x; i < n; i += stride) body(i);
}

// Of at most sum_blocks: without the 1, ptxas spills to have room for more on a multiprocessor.
template <class Term>
__global__ void __launch_bounds__(cuda::threads, 1)
    sum_kernel(const __grid_constant__ Term term, int64_t m, Sums* partial) {
  __shared__ SumShared shared;
  sum_block(term, m, partial, cuda::DeviceTeam{blockIdx.x, gridDim.x}, shared);
}

template <class T>
__global__ void __launch_bounds__(cuda::threads)
    cholesky_kernel(const __grid_constant__ TiledCholesky<T> matrix) {
  __shared__ TileShared<T> shared;
  factor_tiles(matrix, cuda::DeviceTeam{blockIdx.x, gridDim.x}, shared);
}

template <class Body>
void launch_each(const Body& body, int64_t n, cuda::Stream stream) {
  if (n == 0) return;
  const int64_t blocks = (n + cuda::threads - 1) / cuda::threads, most = 1 << 20;
  void* arguments[] = {const_cast<Body*>(&body), &n};
  cuda::launch(reinterpret_cast<const void*>(&each_kernel<Body>), arguments,
               blocks < most ? blocks : most, cuda::threads, stream);
}

template <class Term>
void launch_sum(const Term& term, int64_t m, Sums* partial, int64_t blocks, cuda::Stream stream) {
  void* arguments[] = {const_cast<Term*>(&term), &m, &partial};
  cuda::launch(reinterpret_cast<const void*>(&sum_kernel<Term>), arguments, blocks, cuda::threads,
               stream);
}

template <class T>
void launch_cholesky(const TiledCholesky<T>& matrix, int64_t blocks, cuda::Stream stream) {
  void* arguments[] = {const_cast<TiledCholesky<T>*>(&matrix)};
  cuda::launch(reinterpret_cast<const void*>(&cholesky_kernel<T>), arguments, blocks, cuda::threads,
               stream);
}

}  // namespace steepest::linalg
