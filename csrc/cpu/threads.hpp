#pragma once
#include <cstdint>
#include <omp.h>
namespace steepest {
inline int n_threads_now = 2;
inline int threads_for(int64_t bytes) { return bytes < (1 << 21) ? 1 : n_threads_now; }
template <class F>
void in_parallel(int n, const F& f) {
  if (n == 1) return f(0, 1);
#pragma omp parallel num_threads(n)
  f(omp_get_thread_num(), omp_get_num_threads());
}
}  // namespace steepest
