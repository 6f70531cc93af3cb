// The kernel that updates: one launch over all tensors and groups, whatever their rules and types.
//
// A block folds the constants of a tensor's step into a record. The record is kept until a tensor
// comes whose group, type, step or scalar differ. No block changes what another one reads: clocks
// are written to the row of the next step, and only the last block to leave advances the count.
//
// Where steps follow each other at once, the next kernel begins while this one takes its last
// turns. It folds the constants of its blocks' first tiles, and then waits for this one to end.
#pragma once
#include <type_traits>

#include "cuda/kinds.hpp"
#include "cuda/table.hpp"

namespace steepest::cuda {

// Pointers to a tile's elements.
struct Tile {
  void* theta;
  void* grad;  // null: left alone, but for its EMA
  void* states[max_states];
  void* ema;
  int32_t n;
  DType dtype;
  bool aligned;  // to 16 bytes, all of them
};

// What is read from the table for a tile.
struct Asked {
  Entry entry;
  Clock clocks[2];  // both rows, so as not to wait for the count first
  void* grad;
  int64_t tensor, number;  // number: of the tile; if past the last, there is none
};

// A tile and its constants.
struct Work {
  int64_t number;  // of the tile; if past the last, there is none
  Record record;
  Tile tile;
  // What the record was made for, and the tensor's scalar after the step.
  Clock made_for;
  int32_t group;  // -1: none yet
  DType dtype;
  int32_t kind;
  double scalar_after;
};

struct UpdateShared {
  Work work[2][most_at_once];  // one row is being done while the other is picked
  Asked asked[most_at_once];   // for the row that is picked next
  uint32_t taken[2];           // turns: for the row that is picked next, and for the one after it
  int32_t row;                 // of the clocks that this step reads
};

// f(Kind{}) with the kind of this number, which is one of AllKinds unless Kinds is a single one.
template <class F, class Kind>
STEEPEST_HD void visit(List<Kind>, int, F&& f) {
  f(Kind{});
}
template <class F, class... Kinds>
STEEPEST_HD void visit(List<Kinds...>, int kind, F&& f) {
  int i = 0;
  ((kind == i++ ? f(Kinds{}) : void()), ...);
}

template <class Kinds>
STEEPEST_APART void make_record(const StepArgs& a, int32_t number, DType dtype, Clock now,
                                Work& s) {
  const DeviceGroup& group = a.table.groups[number];
  s.made_for = now;
  s.group = number;
  s.dtype = dtype;
  s.kind = kind_of(static_cast<int>(group.rule), dtype);
  s.scalar_after = now.scalar;
  visit(Kinds{}, s.kind, [&](auto kind) {
    using Rule = typename decltype(kind)::Rule;
    using T = typename decltype(kind)::T;
    using Hyper = typename Rule::template Hyper<T>;
    static_assert(sizeof(Hyper) <= Record::hyper_size);
    static_assert(sizeof(typename Rule::Given) <= sizeof group.given);
    const auto& given = *reinterpret_cast<const typename Rule::Given*>(group.given);
    *reinterpret_cast<Hyper*>(s.record.hyper) =
        base::fold<Rule, T>(given, now.t + 1, s.scalar_after);
  });
  const double factor = a.measured ? a.table.control->factor : 1 / a.grad_scale;
  s.record.factor = group.maximize ? -factor : factor;
  s.record.decay = group.decay;
  s.record.one_minus_ema = group.one_minus_ema;
}

// Work of one thread: starts to read what the table has of a tile.
template <class Team>
STEEPEST_HD void ask(const StepArgs& a, const Team& team, int64_t number, Asked& to) {
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
STEEPEST_HD void pick(const StepArgs& a, const Asked& from, int32_t row, Work& s) {
  const Table& table = a.table;
  const int64_t number = s.number = from.number, i = from.tensor;
  if (number >= table.n_tiles) return;
  const Entry& e = from.entry;
  const Clock now = from.clocks[row];
  const int64_t start = (number - e.first_tile) * tile_size;
  const int64_t item = size_of(e.dtype);
  Tile& tile = s.tile;
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
    const bool fits = s.group == e.group && s.dtype == e.dtype && s.made_for.t == now.t &&
                      s.made_for.scalar == now.scalar;
    if (!fits) make_record<Kinds>(a, e.group, e.dtype, now, s);
    next = {now.t + 1, s.scalar_after};
  } else if (tile.ema) {
    const DeviceGroup& group = table.groups[e.group];
    s.record.one_minus_ema = group.one_minus_ema;
    s.kind = kind_of(static_cast<int>(group.rule), e.dtype);
    s.group = -1;  // the record is another's
  }
  if (number == e.first_tile) table.clocks[(1 - row) * table.n_tensors + i] = next;
}

// width elements of a tile in registers, loaded and stored by one access an array.
template <class T, int width>
struct alignas(sizeof(T) * width) Pack {
  T at[width];
};

// The address in global memory. The compiler does not see that a pointer points there, as it was
// itself read from shared memory.
#ifdef __CUDA_ARCH__
STEEPEST_HD size_t global(const void* p) { return __cvta_generic_to_global(p); }
#endif

template <class T, int width>
STEEPEST_HD Pack<T, width> load(const void* p, int k) {
  const auto* from = static_cast<const Pack<T, width>*>(p) + k;
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(*from) == 16) {
    uint4 bits;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(bits.x), "=r"(bits.y), "=r"(bits.z), "=r"(bits.w)
                 : "l"(global(from)));
    Pack<T, width> pack;
    memcpy(&pack, &bits, 16);
    return pack;
  } else {
    __builtin_assume(__isGlobal(p));
  }
#endif
  return *from;
}
template <class T, int width>
STEEPEST_HD void store(void* p, int k, const Pack<T, width>& pack) {
  auto* to = static_cast<Pack<T, width>*>(p) + k;
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(*to) == 16) {
    uint4 bits;
    memcpy(&bits, &pack, 16);
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(global(to)), "r"(bits.x),
                 "r"(bits.y), "r"(bits.z), "r"(bits.w));
    return;
  } else {
    __builtin_assume(__isGlobal(p));
  }
#endif
  *to = pack;
}

// The arrays of a tile that a rule reads. aligned() uses all of these pointers, and so waits until
// they have come from shared memory, before the first of the arrays is loaded. Without that, a load
// can share one of a warp's six wait barriers with the pointer of a later load, which then waits
// for the earlier one: RMSProp with momentum and AMSGrad reached 0.92 and 0.86 of the bandwidth.
template <class Rule>
struct Arrays {
  const void *theta, *grad, *states[Rule::n_states ? Rule::n_states : 1];

  STEEPEST_HD explicit Arrays(const Tile& tile) : theta(tile.theta), grad(tile.grad) {
    for (int i = 0; i < Rule::n_states; ++i) states[i] = tile.states[i];
  }
  STEEPEST_HD bool aligned() const {
    uintptr_t bits = reinterpret_cast<uintptr_t>(theta) | reinterpret_cast<uintptr_t>(grad);
    for (int i = 0; i < Rule::n_states; ++i) bits |= reinterpret_cast<uintptr_t>(states[i]);
    return bits % 16 == 0;
  }
};

template <class Rule, class T, int width>
struct Registers {
  Pack<T, width> theta, grad, states[Rule::n_states ? Rule::n_states : 1];

  STEEPEST_HD void load_from(const Arrays<Rule>& arrays, int k) {
    theta = load<T, width>(arrays.theta, k);
    grad = load<T, width>(arrays.grad, k);
    for (int i = 0; i < Rule::n_states; ++i) states[i] = load<T, width>(arrays.states[i], k);
  }
  STEEPEST_HD void store_to(const Tile& tile, int k, bool zero_grad) const {
    store(tile.theta, k, theta);
    for (int i = 0; i < Rule::n_states; ++i) store(tile.states[i], k, states[i]);
    if (zero_grad) store(tile.grad, k, Pack<T, width>{});
  }
};

// The stages of a step on one element, in their order. Constants are the record's, rounded to T;
// hyperparameters of double stay in shared memory, since registers are short.
template <class Rule, class T>
struct Stages {
  using Hyper = typename Rule::template Hyper<T>;
  std::conditional_t<sizeof(T) == 8, const Hyper&, const Hyper> hyper;
  T factor, decay;
  bool decays;

  template <int width>
  STEEPEST_HD void update(Registers<Rule, T, width>& r) const {
    for (int j = 0; j < width; ++j) {
      T s[max_states];
      for (int i = 0; i < Rule::n_states; ++i) s[i] = r.states[i].at[j];
      T g = factor * r.grad.at[j];
      if (decays) g = g + decay * r.theta.at[j];
      Rule::update(r.theta.at[j], g, s, hyper);
      for (int i = 0; i < Rule::n_states; ++i) r.states[i].at[j] = s[i];
#ifdef __CUDA_ARCH__
      // Keeps the compiler from interleaving more than two floats, or any doubles: fewer registers.
      if (sizeof(T) == 8 || j % 2) asm volatile("" ::: "memory");
#endif
    }
  }
};

template <class T, int width>
STEEPEST_HD void average(const Pack<T, width>& theta, const Work& s, int k) {
  const T rest = static_cast<T>(s.record.one_minus_ema);
  Pack<T, width> e = load<T, width>(s.tile.ema, k);
  for (int j = 0; j < width; ++j) e.at[j] += rest * (theta.at[j] - e.at[j]);
  store(s.tile.ema, k, e);
}

// How many packs of each array a thread reads before it writes any.
template <class Rule>
constexpr int packs_in_flight = Rule::n_states < 1 ? 2 : 1;

// This lane's part of the packs [begin, end) of a tile, with `unroll` packs of each array in
// flight.
template <int lanes, int width, int unroll, class Rule, class T>
STEEPEST_HD void sweep(const Work& s, const Stages<Rule, T>& stages, int begin, int end, int lane,
                       bool zero_grad) {
  const Tile& tile = s.tile;  // not copied: registers are short
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
  for (int k = begin + lane; k < end; k += unroll * lanes) {
    const Arrays<Rule> arrays(tile);
    if (width > 1 && !arrays.aligned()) return;  // never; it makes the pointers be used: see Arrays
    Registers<Rule, T, width> r[unroll];
    for (int u = 0; u < unroll; ++u)
      if (k + u * lanes < end) r[u].load_from(arrays, k + u * lanes);
    for (int u = 0; u < unroll; ++u)
      if (k + u * lanes < end) {
        stages.update(r[u]);
        r[u].store_to(tile, k + u * lanes, zero_grad);
        if (tile.ema) average(r[u].theta, s, k + u * lanes);
      }
  }
}

template <class Rule, class T, int lanes>
STEEPEST_HD void apply_rule(const Work& s, int lane, bool zero_grad) {
  const Stages<Rule, T> stages{
      *reinterpret_cast<const typename Rule::template Hyper<T>*>(s.record.hyper),
      static_cast<T>(s.record.factor), static_cast<T>(s.record.decay), s.record.decay != 0};
  constexpr int width = 16 / sizeof(T);
  // Computed twice and not kept, since registers are short.
  const auto packs = [&s] { return s.tile.aligned ? s.tile.n / width : 0; };
  sweep<lanes, width, packs_in_flight<Rule>>(s, stages, 0, packs(), lane, zero_grad);
  sweep<lanes, 1, 1>(s, stages, packs() * width, s.tile.n, lane, zero_grad);
}

// A tensor without a gradient still averages.
template <class T, int lanes>
STEEPEST_HD void apply_ema(const Work& s, int lane) {
  const T* theta = static_cast<const T*>(s.tile.theta);
  T* ema = static_cast<T*>(s.tile.ema);
  const T rest = static_cast<T>(s.record.one_minus_ema);
  for (int k = lane; k < s.tile.n; k += lanes) ema[k] += rest * (theta[k] - ema[k]);
}

template <class Kinds, int lanes>
STEEPEST_HD void apply(const StepArgs& a, const Work& s, int lane) {
  if (!s.tile.grad && !s.tile.ema) return;
  visit(Kinds{}, s.kind, [&](auto kind) {
    using Rule = typename decltype(kind)::Rule;
    using T = typename decltype(kind)::T;
    s.tile.grad ? apply_rule<Rule, T, lanes>(s, lane, a.zero_grad) : apply_ema<T, lanes>(s, lane);
  });
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
// other, where memory is faster. A turn is taken two rounds ahead and its tiles are picked one
// round ahead, since both wait for memory. The last turns are short, so that all blocks end at
// about the same time.
template <class Kinds, int lanes, class Team>
STEEPEST_HD void take_all(const StepArgs& a, const Team& team, UpdateShared& s) {
  const int slots = a.table.full_slots;
  team.phase([&](int thread) {
    if (thread == threads - 1) s.taken[0] = take_turn(a, team);
    if (thread >= slots) return;
    ask(a, team, tile_of(a, team.block, thread), s.asked[thread]);
    const auto row = static_cast<int32_t>(a.table.control->step_count % 2);
    if (thread == 0) s.row = row;
    team.land();
    pick<Kinds>(a, s.asked[thread], row, s.work[0][thread]);
  });
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
  for (int now = 0; s.work[now][0].number < a.table.n_tiles; now = 1 - now)
    team.phase([&](int thread) {
      const int slot = threads - 1 - thread;
      uint32_t taken = 0;
      if (thread == 0) {
        taken = take_turn(a, team);
        if (team.blocks + s.taken[now] >= a.table.next_from && !a.measured) team.let_next_begin();
      }
      if (slot < slots) ask(a, team, tile_of(a, team.blocks + s.taken[now], slot), s.asked[slot]);
      team.converge();
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
      for (int k = thread / lanes; k < slots; k += threads / lanes)
        if (s.work[now][k].number < a.table.n_tiles)
          apply<Kinds, lanes>(a, s.work[now][k], thread % lanes);
      if (thread == 0) s.taken[1 - now] = taken;
      if (slot >= slots) return;
      team.land();
      pick<Kinds>(a, s.asked[slot], s.row, s.work[1 - now][slot]);
    });
}

// Work of one thread while the last step may still be running: folds the constants for a tile as
// they will be after that step, if it is not skipped. After the wait, `pick` compares the clock.
template <class Kinds, class Team>
STEEPEST_HD void foresee(const StepArgs& a, const Team& team, int64_t number, Work& s) {
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
  make_record<Kinds>(a, e.group, e.dtype, now, s);
}

template <class Kinds, class Team>
STEEPEST_HD void before_wait(const StepArgs& a, const Team& team, UpdateShared& s) {
  team.phase([&](int thread) {
    if (thread >= a.table.full_slots) return;
    s.work[0][thread].group = s.work[1][thread].group = -1;
    if (team.begins_early() && a.early)
      foresee<Kinds>(a, team, tile_of(a, team.block, thread), s.work[0][thread]);
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
