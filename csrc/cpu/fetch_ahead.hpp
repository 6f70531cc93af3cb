// How far ahead of its use the update kernels ask for memory.
#pragma once
#include "core/chunk.hpp"

namespace steepest {

// Nothing ahead in L1: all is left to the processor's own prefetchers.
struct FetchAhead {
  Ahead alone;   // a rule without stages around it
  Ahead staged;  // stages one after another on a chunk
  Ahead norm;    // the sum of squares, which only reads
  // Only where a step's arrays have more bytes, alone, or half as many, staged: fewer stay in a
  // cache.
  int64_t above;
};
// Settable for tests, while no step is under way.
extern FetchAhead fetch_ahead;

}  // namespace steepest
