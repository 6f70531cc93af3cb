// How far ahead of its use the update kernels ask for memory.
#pragma once
#include "core/chunk.hpp"

namespace steepest {

// By default nothing: the processor's own prefetchers do it all.
struct FetchAhead {
  Ahead alone;   // a rule without stages around it
  Ahead staged;  // stages one after another on a chunk
  Ahead norm;    // the sum of squares, which only reads
  // `alone` is used only where a step's arrays have more bytes than this, `staged` where they have
  // more than half of it: smaller steps stay in a cache, where fetching ahead costs time.
  int64_t above;
};
// Settable for tests, while no step is under way.
extern FetchAhead fetch_ahead;

}  // namespace steepest
