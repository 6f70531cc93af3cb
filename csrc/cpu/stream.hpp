// What the machine's memory gives, for the benchmarks: a plain loop, threaded as a step is.
#pragma once
#include <cstdint>

namespace steepest {

// a = b + scalar * c: STREAM's triad (McCalpin 1995).
void stream_triad(double* a, const double* b, const double* c, double scalar, int64_t n);

}  // namespace steepest
