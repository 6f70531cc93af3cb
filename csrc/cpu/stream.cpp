#include "cpu/stream.hpp"

#include <algorithm>

#include "cpu/teams.hpp"

namespace steepest {

void stream_triad(double* a, const double* b, const double* c, double scalar, int64_t n) {
  in_parallel(threads_for(n * 3 * 8), [=](int thread, int threads) {
    const int64_t part = (n + threads - 1) / threads, begin = std::min(n, part * thread);
    const int64_t end = std::min(n, begin + part);
    for (int64_t i = begin; i < end; ++i) a[i] = b[i] + scalar * c[i];
  });
}

}  // namespace steepest
