// How far ahead of its use the update kernels ask for memory.
#pragma once
#include <cstdint>

namespace steepest {

// In bytes; 0: left to the processor's own prefetchers.
struct FetchAhead {
  int64_t alone;   // a rule without stages around it
  int64_t staged;  // stages one after another on a chunk
  int64_t norm;    // the sum of squares, which only reads
};
// Settable for tests, while no step is under way.
extern FetchAhead fetch_ahead;

}  // namespace steepest
