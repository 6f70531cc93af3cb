#include "cpu/stream.hpp"

#include <algorithm>
#include <atomic>

#include "cpu/threads.hpp"

namespace steepest {

namespace {

// Calls f(begin, end) on each thread with its part of n elements, bytes of traffic each.
template <class F>
void in_parts(int64_t n, int64_t bytes, const F& f) {
  in_parallel(threads_for(n * bytes), [&](int thread, int threads) {
    const int64_t part = (n + threads - 1) / threads, begin = std::min(n, part * thread);
    f(begin, std::min(n, begin + part));
  });
}

}  // namespace

void stream_triad(double* a, const double* b, const double* c, double scalar, int64_t n) {
  in_parts(n, 3 * 8, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) a[i] = b[i] + scalar * c[i];
  });
}

uint32_t stream_read(const uint32_t* words, int64_t n) {
  std::atomic<uint32_t> total{0};
  in_parts(n, 4, [&](int64_t begin, int64_t end) {
    uint32_t sum = 0;  // of integers: a sum of floats would wait for itself
    for (int64_t i = begin; i < end; ++i) sum += words[i];
    total += sum;
  });
  return total;
}

}  // namespace steepest
