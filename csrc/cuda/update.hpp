// The kernel that updates: one launch over all tensors and groups, whatever their rules and types.
//
// A block folds a record of constants when it meets a tensor whose group, type, step or scalar
// differ from those of its last one; tiles of equal tensors share it. Nothing that a block reads is
// changed by another: clocks are written to the row of the next step, and only the last block to
// finish advances the count.
#pragma once
#include "cuda/table.hpp"
#include "rules/list.hpp"

namespace steepest::cuda {

using base::List;

// What a block does with a tile: pointers to its elements.
struct Tile {
  void* theta;
  void* grad;  // null: left alone, but for its EMA
  void* states[max_states];
  void* ema;
  int32_t n;
  DType dtype;
  bool aligned;  // to 16 bytes, all of them
};

// A tile and its constants.
struct Work {
  int64_t number;  // of the tile; past the last: none
  Record record;
  Tile tile;
  // What the record was made for, and its outcome.
  Clock made_for;
  int32_t group;  // -1: none yet
  DType dtype;
  int32_t rule;
  double scalar_after;
};

struct UpdateShared {
  Work work[2][most_at_once];  // one row is done while the other is picked
  int64_t row;                 // of the clocks
  bool last;
};

// f(Rule{}) with the rule of this number, which is one of AllRules unless Rules is a single one.
template <class F, class Rule>
STEEPEST_HD void visit_rule(List<Rule>, int, F&& f) {
  f(Rule{});
}
template <class F, class... Rules>
STEEPEST_HD void visit_rule(List<Rules...>, int rule, F&& f) {
  int i = 0;
  ((rule == i++ ? f(Rules{}) : void()), ...);
}

template <class Rules>
STEEPEST_APART void make_record(const StepArgs& a, int32_t number, DType dtype, Clock now,
                                Work& s) {
  const DeviceGroup& group = a.table.groups[number];
  s.made_for = now;
  s.group = number;
  s.dtype = dtype;
  s.rule = static_cast<int32_t>(group.rule);
  s.scalar_after = now.scalar;
  visit_rule(Rules{}, static_cast<int>(group.rule), [&](auto rule) {
    using Rule = decltype(rule);
    const auto& given = *reinterpret_cast<const typename Rule::Given*>(group.given);
    const auto make = [&](auto zero) {
      using T = decltype(zero);
      using Hyper = typename Rule::template Hyper<T>;
      static_assert(sizeof(Hyper) <= Record::hyper_size);
      *reinterpret_cast<Hyper*>(s.record.hyper) =
          base::fold<Rule, T>(given, now.t + 1, s.scalar_after);
    };
    dtype == DType::float32 ? make(float{}) : make(double{});
  });
  const double factor = a.measured ? a.table.control->factor : 1 / a.grad_scale;
  s.record.factor = group.maximize ? -factor : factor;
  s.record.decay = group.decay;
  s.record.one_minus_ema = group.one_minus_ema;
}

// Work of one thread: the tile, its record, and the clock of a tensor whose first tile it is.
template <class Rules>
STEEPEST_HD void pick(const StepArgs& a, int64_t number, int64_t row, Work& s) {
  const Table& table = a.table;
  const int64_t i = table.tensor_of[number];
  const Entry e = table.entries[i];
  const Clock now = table.clocks[row * table.n_tensors + i];
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
  tile.grad = here(a.grad(i));
  for (int k = 0; k < max_states; ++k) tile.states[k] = here(e.states[k]);
  tile.ema = here(e.ema);
  tile.aligned = bits % 16 == 0;
  tile.n = static_cast<int32_t>(e.n - start < tile_size ? e.n - start : tile_size);
  tile.dtype = e.dtype;
  Clock next = now;
  if (tile.grad) {
    const bool fits = s.group == e.group && s.dtype == e.dtype && s.made_for.t == now.t &&
                      s.made_for.scalar == now.scalar;
    if (!fits) make_record<Rules>(a, e.group, e.dtype, now, s);
    next = {now.t + 1, s.scalar_after};
  } else if (tile.ema) {
    s.record.one_minus_ema = table.groups[e.group].one_minus_ema;
    s.group = -1;  // the record is another's
  }
  if (number == e.first_tile) table.clocks[(1 - row) * table.n_tensors + i] = next;
}

// width elements of a tile in registers, loaded and stored by one access an array.
template <class T, int width>
struct alignas(sizeof(T) * width) Pack {
  T at[width];
};

// Tells the compiler what it cannot see of a pointer that was in shared memory.
STEEPEST_HD void assume_global([[maybe_unused]] const void* p) {
#ifdef __CUDA_ARCH__
  __builtin_assume(__isGlobal(p));
#endif
}

template <class T, int width>
STEEPEST_HD Pack<T, width> load(const void* p, int k) {
  assume_global(p);
  return static_cast<const Pack<T, width>*>(p)[k];
}
template <class T, int width>
STEEPEST_HD void store(void* p, int k, const Pack<T, width>& pack) {
  assume_global(p);
  static_cast<Pack<T, width>*>(p)[k] = pack;
}

template <class Rule, class T, int width>
struct Registers {
  Pack<T, width> theta, grad, states[Rule::n_states ? Rule::n_states : 1];

  STEEPEST_HD void load_from(const Tile& tile, int k) {
    theta = load<T, width>(tile.theta, k);
    grad = load<T, width>(tile.grad, k);
    for (int i = 0; i < Rule::n_states; ++i) states[i] = load<T, width>(tile.states[i], k);
  }
  STEEPEST_HD void store_to(const Tile& tile, int k, bool zero_grad) const {
    store(tile.theta, k, theta);
    for (int i = 0; i < Rule::n_states; ++i) store(tile.states[i], k, states[i]);
    if (zero_grad) store(tile.grad, k, Pack<T, width>{});
  }
};

// The stages of a step on one element, in their order; constants are the record's, rounded to T.
template <class Rule, class T>
struct Stages {
  typename Rule::template Hyper<T> hyper;
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
      if (sizeof(T) == 8) asm volatile("" ::: "memory");  // one after the other: fewer registers
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

// Packs [begin, end) of a tile, by this thread's part; `unroll` packs of each array in flight.
template <int width, int unroll, class Rule, class T>
STEEPEST_HD void sweep(const Work& s, const Tile& tile, const Stages<Rule, T>& stages, int begin,
                       int end, int thread, bool zero_grad) {
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
  for (int k = begin + thread; k < end; k += unroll * threads) {
    Registers<Rule, T, width> r[unroll];
    for (int u = 0; u < unroll; ++u)
      if (k + u * threads < end) r[u].load_from(tile, k + u * threads);
    for (int u = 0; u < unroll; ++u)
      if (k + u * threads < end) {
        stages.update(r[u]);
        r[u].store_to(tile, k + u * threads, zero_grad);
        if (s.tile.ema) average(r[u].theta, s, k + u * threads);
      }
  }
}

template <class Rule, class T>
STEEPEST_HD void apply_rule(const Work& s, int thread, bool zero_grad) {
  const Tile tile = s.tile;
  const Stages<Rule, T> stages{
      *reinterpret_cast<const typename Rule::template Hyper<T>*>(s.record.hyper),
      static_cast<T>(s.record.factor), static_cast<T>(s.record.decay), s.record.decay != 0};
  constexpr int width = 16 / sizeof(T), unroll = Rule::n_states < 1 ? 2 : 1;
  // Asked for twice, not kept: registers are short.
  const auto packs = [&s] { return s.tile.aligned ? s.tile.n / width : 0; };
  sweep<width, unroll>(s, tile, stages, 0, packs(), thread, zero_grad);
  sweep<1, 1>(s, tile, stages, packs() * width, s.tile.n, thread, zero_grad);
}

// A tensor without a gradient still averages.
template <class T>
STEEPEST_HD void apply_ema(const Work& s, int thread) {
  const T* theta = static_cast<const T*>(s.tile.theta);
  T* ema = static_cast<T*>(s.tile.ema);
  const T rest = static_cast<T>(s.record.one_minus_ema);
  for (int k = thread; k < s.tile.n; k += threads) ema[k] += rest * (theta[k] - ema[k]);
}

template <class Rules>
STEEPEST_HD void apply(const StepArgs& a, const Work& s, int thread) {
  const bool single = s.tile.dtype == DType::float32;
  if (!s.tile.grad) {
    if (s.tile.ema) single ? apply_ema<float>(s, thread) : apply_ema<double>(s, thread);
    return;
  }
  visit_rule(Rules{}, s.rule, [&](auto rule) {
    using Rule = decltype(rule);
    single ? apply_rule<Rule, float>(s, thread, a.zero_grad)
           : apply_rule<Rule, double>(s, thread, a.zero_grad);
  });
}

// Work of one thread: the tile of this number, if there is one.
template <class Rules>
STEEPEST_HD void take(const StepArgs& a, int64_t number, int64_t row, Work& work) {
  work.number = number;
  if (number < a.table.n_tiles) pick<Rules>(a, number, row, work);
}

STEEPEST_HD bool any_left(const Work* work, const StepArgs& a) {
  for (int k = 0; k < a.table.at_once; ++k)
    if (work[k].number < a.table.n_tiles) return true;
  return false;
}

// Blocks take tiles in their order, when they are ready for one, so that all read near each other:
// memory is faster then.
template <class Rules, class Team>
STEEPEST_HD void take_all(const StepArgs& a, const Team& team, UpdateShared& s) {
  Control& control = *a.table.control;
  team.phase([&](int thread) {
    if (thread >= a.table.at_once) return;
    s.work[0][thread].group = s.work[1][thread].group = -1;
    const int64_t row = control.step_count % 2;
    if (thread == 0) s.row = row;
    take<Rules>(a, team.block * a.table.at_once + thread, row, s.work[0][thread]);
  });
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
  for (int now = 0; any_left(s.work[now], a); now = 1 - now)
    team.phase([&](int thread) {
      const int slot = thread - (threads - a.table.at_once);
      if (slot >= 0) {
        const int64_t number = team.blocks * a.table.at_once + team.take(control.taken);
        take<Rules>(a, number, s.row, s.work[1 - now][slot]);
      }
      team.converge();
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
      for (int k = 0; k < a.table.at_once; ++k)
        if (s.work[now][k].number < a.table.n_tiles) apply<Rules>(a, s.work[now][k], thread);
    });
}

template <class Rules, class Team>
STEEPEST_HD void update(const StepArgs& a, const Team& team, UpdateShared& s) {
  Control& control = *a.table.control;
  const bool skip = a.measured && control.skip;
  if (!skip) take_all<Rules>(a, team, s);
  team.phase([&](int thread) {
    if (thread == 0) s.last = last_to_finish(control.ticket, team.blocks);
  });
  if (!s.last) return;
  team.phase([&](int thread) {
    if (thread == 0) {
      ++(skip ? control.skipped : control.step_count);
      control.taken = 0;
    }
    for (int64_t i = thread; !skip && i < a.table.n_groups * max_given; i += threads)
      a.table.last_given[i] = a.table.groups[i / max_given].given[i % max_given];
  });
}

}  // namespace steepest::cuda
