// What the update kernels work on: a piece of one tensor, and the constants of its step.
#pragma once
#include <cstdint>

namespace steepest {

constexpr int max_states = 4;  // three of a rule; a fourth for the benchmarks' yardstick
// Elements a chunk at most: six arrays of float64 of this size, and what is fetched ahead of them,
// stay in a 48 KB L1 cache.
constexpr int64_t chunk_size = 512;
// Elements a partial sum of squares covers, counted from the tensor's start.
constexpr int64_t norm_block = 4096;
// Lanes that it is summed in: lane j takes elements j, j + norm_lanes, ...; they are then folded in
// half until one is left.
constexpr int norm_lanes = 16;

// How many bytes ahead of its use memory is fetched into L1 and, before that, into L2; L1 0: not.
struct Ahead {
  int64_t l1, l2;
  int lines;  // of each array at a time: 2 or 4
};

// Pointers to n elements that lie at the same place of each array.
struct Chunk {
  void* theta;
  void* grad;     // the caller's gradient: read, written only to zero it
  const void* g;  // the gradient as the next stage sees it: grad, or scratch
  void* scratch;  // chunk_size elements of the thread's own
  void* states[max_states];
  void* ema;
  int64_t n;
  Ahead ahead;
};

// Constant over a step for all tensors of one group, dtype and step count.
struct alignas(64) Record {
  static constexpr int hyper_size = 96;
  unsigned char hyper[hyper_size];  // the rule's Hyper<T>
  double factor;                    // on the gradient: unscales, clips, negates
  double decay;                     // coupled weight decay
  double one_minus_ema;
};

}  // namespace steepest
