// What the kernels see of a plan: one block of device memory, built once, and a step's arguments.
//
// Tensors are cut into tiles of tile_size elements, counted from each tensor's start. A tile is
// both what a block updates at a time and what a partial sum of squares covers. Empty tensors have
// a tile too, after all others, since their clocks advance as well.
#pragma once
#include <cstdint>

#include "core/dtype.hpp"
#include "core/task.hpp"
#include "core/team.hpp"
#include "rules/ops.hpp"

namespace steepest::cuda {

constexpr int64_t tile_size = norm_block;
constexpr int tiles_at_once = threads / norm_lanes;  // that a block measures at a time
constexpr int max_given = 8;
constexpr int few_lanes = 32;                          // threads that share a short tile
constexpr int most_at_once = 2 * threads / few_lanes;  // tiles that a block takes in a turn

struct alignas(16) Entry {  // a tensor
  void* theta;
  void* states[max_states];
  void* ema;  // or null
  int64_t n, first_tile;
  int32_t group;
  DType dtype;
};

// A tensor's own step count and scalar. There are two rows: a step reads row step_count % 2 and
// writes the other, so that no block can read what another has brought up to date.
struct Clock {
  int64_t t;
  double scalar;
};

struct DeviceGroup {
  double given[max_given];
  double decay, one_minus_ema;
  int64_t rule, maximize;
};

struct Control {
  int64_t step_count, skipped;
  double grad_norm;    // negative: never clipped
  double factor;       // on the gradients of this step, once measured
  int64_t skip;        // whether this step is skipped
  int64_t bad;         // first tensor with a gradient that is not finite, or -1
  int64_t lowest_bad;  // the same while blocks still look, or none_bad
  uint64_t ticket;     // blocks that have finished
  uint32_t taken;      // turns that blocks have taken, beyond the first of each
};
constexpr int64_t none_bad = INT64_MAX, never = INT64_MAX;

struct Table {  // all pointers go into the plan's block
  Control* control;
  DeviceGroup* groups;
  double* last_given;  // max_given a group, as the last step used them
  const Entry* entries;
  Clock* clocks;             // two rows
  void** grads;              // read where they do not fit into the arguments
  const int32_t* tensor_of;  // by tile
  double* partial;           // sums of squares by tile
  int64_t n_groups, n_tensors;
  int64_t n_full_tiles, n_tiles;  // without and with those of empty tensors
  int a_tile_each;                // every tensor has one tile, so that their numbers are the same
  int keep;                       // the table is small enough to stay in the cache
  int large;                      // the arrays fill more than half of the cache
  // The defaults are for long tensors; share_out (plan.cpp) sets what other lists need.
  int lanes = threads;                 // threads that share a tile: all of a block, or few_lanes
  int full_slots = 1, last_slots = 1;  // tiles of the first turns, and of those after them
  int64_t full_turns = 0;
  int64_t next_from = never;  // the turn from which the next step may begin; never: at the end
};

// Gradients change from step to step: their pointers come with the launch where they fit into 4 KB.
constexpr int64_t max_carried = 480;

struct StepArgs {
  Table table;
  double grad_scale, max_norm;
  int32_t measured;  // whether factor and skip come from the norm kernel
  int32_t clip, zero_grad, carried;
  int32_t odd;    // whether the step's number is odd: tiles of large lists are taken backwards then
  int32_t early;  // groups are as in the last step: constants can be folded before it has ended
  Nonfinite nonfinite;
  void* grads[max_carried];

  STEEPEST_HD void* grad(int64_t tensor) const {
    return carried ? grads[tensor] : table.grads[tensor];
  }
};
static_assert(sizeof(StepArgs) <= 4096);

// Keeps out of line what one thread does now and then: inlined, its registers would be every
// thread's.
#ifdef __CUDACC__
#define STEEPEST_APART __host__ __device__ __noinline__
#else
#define STEEPEST_APART inline
#endif

// By way of an integer: arrays that a tensor does not have are null, and nothing may be added to a
// null pointer.
STEEPEST_HD void* shifted(void* p, int64_t bytes) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(bytes));
}

// Called by one thread of each block: whether its block is the last of the grid to do so, which
// also sets the ticket back to 0 for the next launch. The last block may change what the others
// have read. It may not read what they wrote: there is no fence, which would wait for all of their
// stores.
STEEPEST_HD bool last_to_leave(uint64_t& ticket, int64_t blocks) {
#ifdef __CUDA_ARCH__
  const auto before = atomicAdd(reinterpret_cast<unsigned long long*>(&ticket), 1ull);
#else
  const uint64_t before = ticket++;
#endif
  const bool last = before + 1 == static_cast<uint64_t>(blocks);
  if (last) ticket = 0;
  return last;
}

STEEPEST_HD void fence() {
#ifdef __CUDA_ARCH__
  __threadfence();
#endif
}

// The same, with fences: the last block may read what the others wrote before a barrier.
STEEPEST_HD bool last_to_finish(uint64_t& ticket, int64_t blocks) {
  fence();
  const bool last = last_to_leave(ticket, blocks);
  fence();
  return last;
}

STEEPEST_HD void lower_to(int64_t& target, int64_t value) {
#ifdef __CUDA_ARCH__
  atomicMin(reinterpret_cast<long long*>(&target), static_cast<long long>(value));
#else
  if (value < target) target = value;
#endif
}

}  // namespace steepest::cuda
