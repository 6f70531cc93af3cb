// What the machine's memory gives, for the benchmarks: plain loops, threaded as a step is.
#pragma once
#include <cstdint>

namespace steepest {

// a = b + scalar * c: STREAM's triad (McCalpin 1995).
void stream_triad(double* a, const double* b, const double* c, double scalar, int64_t n);

// Reads n words; their sum, so that none is left out.
uint32_t stream_read(const uint32_t* words, int64_t n);

}  // namespace steepest
