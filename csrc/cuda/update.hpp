// The kernel that updates: one launch over all tensors and groups, whatever their rules and types.
//
// A block folds the constants of a tensor's step into a record. The record is kept until a tensor
// comes whose group, type, step or scalar differ. No block changes what another one reads: clocks
// are written to the row of the next step, and only the last block to leave advances the count.
//
// Where steps follow each other at once, the next kernel begins while this one takes its last
// turns. It folds the constants of its blocks' first tiles, and then waits for this one to end.
#pragma once
#include "cuda/kinds.hpp"
#include "cuda/table.hpp"
#include "cuda/tile_update.hpp"

namespace steepest::cuda {

// What is read from the table for a tile.
struct TileRequest {
  Entry entry;
  Clock clocks[2];  // both rows, so as not to wait for the count first
  void* grad;
  int64_t tensor, number;  // number: of the tile; if past the last, there is none
};

struct UpdateShared {
  Work work[2][most_at_once];          // one row is being done while the other is prepared
  TileRequest requests[most_at_once];  // for the row that is prepared next
  uint32_t next_turn[2];               // for the row that is prepared next, and the one after it
  int32_t row;                         // of the clocks that this step reads
};

template <class Kinds>
STEEPEST_APART void make_record(const StepArgs& a, int32_t number, DType dtype, Clock now,
                                Work& work) {
  const DeviceGroup& group = a.table.groups[number];
  work.made_for = now;
  work.group = number;
  work.dtype = dtype;
  work.kind = kind_of(static_cast<int>(group.rule), dtype);
  work.scalar_after = now.scalar;
  visit(Kinds{}, work.kind, [&](auto kind) {
    using Rule = typename decltype(kind)::Rule;
    using T = typename decltype(kind)::T;
    using Hyper = typename Rule::template Hyper<T>;
    static_assert(sizeof(Hyper) <= Record::hyper_size);
    static_assert(sizeof(typename Rule::Given) <= sizeof group.given);
    const auto& given = *reinterpret_cast<const typename Rule::Given*>(group.given);
    *reinterpret_cast<Hyper*>(work.record.hyper) =
        base::fold<Rule, T>(given, now.t + 1, work.scalar_after);
  });
  const double factor = a.measured ? a.table.control->factor : 1 / a.grad_scale;
  work.record.factor = group.maximize ? -factor : factor;
  work.record.decay = group.decay;
  work.record.one_minus_ema = group.one_minus_ema;
}

// Work of one thread: starts to read what the table has of a tile.
template <class Team>
STEEPEST_HD void request_tile(const StepArgs& a, const Team& team, int64_t number,
                              TileRequest& to) {
  const Table& table = a.table;
  to.number = number;
  if (number >= table.n_tiles) return;
  const int64_t i = table.a_tile_each ? number : table.tensor_of[number];
  to.tensor = i;
  team.fetch(to.entry, table.entries[i], table.keep);
  for (int row = 0; row < 2; ++row)
    team.fetch(to.clocks[row], table.clocks[row * table.n_tensors + i], table.keep);
  if (a.carried) {
    to.grad = a.grads[i];
  } else {
    team.fetch(to.grad, table.grads[i], table.keep);
  }
}

// Work of one thread: the tile, its record, and the clock of a tensor whose first tile it is.
template <class Kinds>
STEEPEST_HD void prepare_work(const StepArgs& a, const TileRequest& from, int32_t row, Work& work) {
  const Table& table = a.table;
  const int64_t number = work.number = from.number, i = from.tensor;
  if (number >= table.n_tiles) return;
  const Entry& e = from.entry;
  const Clock now = from.clocks[row];
  const int64_t start = (number - e.first_tile) * tile_size;
  const int64_t item = size_of(e.dtype);
  Tile& tile = work.tile;
  uintptr_t bits = 0;
  const auto here = [&](void* p) {
    p = p ? shifted(p, start * item) : p;
    bits |= reinterpret_cast<uintptr_t>(p);
    return p;
  };
  tile.theta = here(e.theta);
  tile.grad = here(from.grad);
  for (int k = 0; k < max_states; ++k) tile.states[k] = here(e.states[k]);
  tile.ema = here(e.ema);
  tile.aligned = bits % 16 == 0;
  tile.n = static_cast<int32_t>(e.n - start < tile_size ? e.n - start : tile_size);
  tile.dtype = e.dtype;
  Clock next = now;
  if (tile.grad) {
    const bool fits = work.group == e.group && work.dtype == e.dtype && work.made_for.t == now.t &&
                      work.made_for.scalar == now.scalar;
    if (!fits) make_record<Kinds>(a, e.group, e.dtype, now, work);
    next = {now.t + 1, work.scalar_after};
  } else if (tile.ema) {
    const DeviceGroup& group = table.groups[e.group];
    work.record.one_minus_ema = group.one_minus_ema;
    work.kind = kind_of(static_cast<int>(group.rule), e.dtype);
    work.group = -1;  // the record is another's
  }
  if (number == e.first_tile) table.clocks[(1 - row) * table.n_tensors + i] = next;
}

// The number of the tile for this slot of a turn; past the last if there is none. Steps over large
// lists go to and fro, so that each begins with what the last one left in the cache.
STEEPEST_HD int64_t tile_of(const StepArgs& a, int64_t turn, int slot) {
  const Table& table = a.table;
  const int64_t after = turn - table.full_turns;
  int64_t number = turn * table.full_slots + slot;
  if (after >= 0) {
    if (slot >= table.last_slots) return table.n_tiles;
    number = table.full_turns * table.full_slots + after * table.last_slots + slot;
  }
  const bool back = table.large && a.odd && number < table.n_tiles;
  return back ? table.n_tiles - 1 - number : number;
}

// The number of a turn beyond those that blocks begin with, counted from there.
template <class Team>
STEEPEST_HD uint32_t take_turn(const StepArgs& a, const Team& team) {
  return team.take(a.table.control->taken);
}

// Blocks take tiles in order whenever they are ready for more, so that all blocks read near each
// other, where memory is faster. A turn is taken two rounds ahead and its tiles are prepared
// one round ahead, since both wait for memory. The last turns are short, so that all blocks end at
// about the same time.
template <class Kinds, int lanes, class Team>
STEEPEST_HD void take_all(const StepArgs& a, const Team& team, UpdateShared& s) {
  const int slots = a.table.full_slots;
  team.phase([&](int thread) {
    if (thread == threads - 1) s.next_turn[0] = take_turn(a, team);
    if (thread >= slots) return;
    request_tile(a, team, tile_of(a, team.block, thread), s.requests[thread]);
    const auto row = static_cast<int32_t>(a.table.control->step_count % 2);
    if (thread == 0) s.row = row;
    team.land();
    prepare_work<Kinds>(a, s.requests[thread], row, s.work[0][thread]);
  });
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
  for (int now = 0; s.work[now][0].number < a.table.n_tiles; now = 1 - now)
    team.phase([&](int thread) {
      const int slot = threads - 1 - thread;
      uint32_t turn = 0;
      if (thread == 0) {
        turn = take_turn(a, team);
        if (team.blocks + s.next_turn[now] >= a.table.next_from && !a.measured)
          team.let_next_begin();
      }
      if (slot < slots)
        request_tile(a, team, tile_of(a, team.blocks + s.next_turn[now], slot), s.requests[slot]);
      team.converge();
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
      for (int k = thread / lanes; k < slots; k += threads / lanes)
        if (s.work[now][k].number < a.table.n_tiles)
          apply<Kinds, lanes>(a, s.work[now][k], thread % lanes);
      if (thread == 0) s.next_turn[1 - now] = turn;
      if (slot >= slots) return;
      team.land();
      prepare_work<Kinds>(a, s.requests[slot], s.row, s.work[1 - now][slot]);
    });
}

// Work of one thread while the last step may still be running: folds the constants for a tile as
// they will be after that step, if it is not skipped. After the wait, `prepare_work` compares the
// clock.
template <class Kinds, class Team>
STEEPEST_HD void fold_early(const StepArgs& a, const Team& team, int64_t number, Work& work) {
  const Table& table = a.table;
  if (number >= table.n_tiles) return;
  const int64_t i = table.a_tile_each ? number : table.tensor_of[number];
  const Entry& e = table.entries[i];
  const auto clock = [&](int row) {
    const Clock& c = table.clocks[row * table.n_tensors + i];
    return Clock{team.peek(c.t), team.peek(c.scalar)};
  };
  Clock now = clock(a.odd);
  const Clock last = clock(1 - a.odd);
  if (now.t <= last.t) now = {last.t + 1, last.scalar};
  make_record<Kinds>(a, e.group, e.dtype, now, work);
}

template <class Kinds, class Team>
STEEPEST_HD void before_wait(const StepArgs& a, const Team& team, UpdateShared& s) {
  team.phase([&](int thread) {
    if (thread >= a.table.full_slots) return;
    s.work[0][thread].group = s.work[1][thread].group = -1;
    if (team.begins_early() && a.early)
      fold_early<Kinds>(a, team, tile_of(a, team.block, thread), s.work[0][thread]);
  });
}

template <class Kinds, int lanes, class Team>
STEEPEST_HD void after_wait(const StepArgs& a, const Team& team, UpdateShared& s) {
  Control& control = *a.table.control;
  const bool skip = a.measured && control.skip;
  if (!skip) take_all<Kinds, lanes>(a, team, s);
  team.phase([&](int thread) {
    if (thread == 0 && last_to_leave(control.ticket, team.blocks)) {
      ++(skip ? control.skipped : control.step_count);
      control.taken = 0;
    }
    if (skip || team.block != 0) return;
    for (int64_t i = thread; i < a.table.n_groups * max_given; i += threads)
      a.table.last_given[i] = a.table.groups[i / max_given].given[i % max_given];
  });
}

template <class Kinds, int lanes, class Team>
STEEPEST_HD void update(const StepArgs& a, const Team& team, UpdateShared& s) {
  before_wait<Kinds>(a, team, s);
  team.wait_for_earlier();
  after_wait<Kinds, lanes>(a, team, s);
}

}  // namespace steepest::cuda
