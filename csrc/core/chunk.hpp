// What the update kernels work on: a piece of one tensor, and the constants of its step.
#pragma once
#include <cstdint>

namespace steepest {

constexpr int max_states = 4;  // rules have up to three; the benchmarks' `traffic4` has four
// The most elements in a chunk. Six float64 arrays of this length take 24 KB: with what is fetched
// ahead of them they stay in a 48 KB L1 cache.
constexpr int64_t chunk_size = 512;
// The norm is summed in blocks of this many elements, counted from each tensor's start.
constexpr int64_t norm_block = 4096;
// A block is summed in this many lanes: lane j adds the elements j, j + norm_lanes, ...; then the
// upper half of the lanes is added to the lower half until one is left.
constexpr int norm_lanes = 16;

// How many bytes ahead of its use memory is fetched into L1 and, before that, into L2. With l1 = 0
// nothing is fetched ahead.
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
