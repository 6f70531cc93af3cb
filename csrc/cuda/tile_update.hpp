// What is done to the elements of a tile, once its constants are folded: the stages of a step in
// registers, with as many reads in flight as the rule needs.
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
STEEPEST_HD void average(const Pack<T, width>& theta, const Work& work, int k) {
  const T rest = static_cast<T>(work.record.one_minus_ema);
  Pack<T, width> e = load<T, width>(work.tile.ema, k);
  for (int j = 0; j < width; ++j) e.at[j] += rest * (theta.at[j] - e.at[j]);
  store(work.tile.ema, k, e);
}

// How many packs of each array a thread reads before it writes any.
template <class Rule>
constexpr int packs_in_flight = Rule::n_states < 1 ? 2 : 1;

// This lane's part of the packs [begin, end) of a tile, with `unroll` packs of each array in
// flight.
template <int lanes, int width, int unroll, class Rule, class T>
STEEPEST_HD void update_packs(const Work& work, const Stages<Rule, T>& stages, int begin, int end,
                              int lane, bool zero_grad) {
  const Tile& tile = work.tile;  // not copied: registers are short
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
        if (tile.ema) average(r[u].theta, work, k + u * lanes);
      }
  }
}

template <class Rule, class T, int lanes>
STEEPEST_HD void apply_rule(const Work& work, int lane, bool zero_grad) {
  const Stages<Rule, T> stages{
      *reinterpret_cast<const typename Rule::template Hyper<T>*>(work.record.hyper),
      static_cast<T>(work.record.factor), static_cast<T>(work.record.decay),
      work.record.decay != 0};
  constexpr int width = 16 / sizeof(T);
  // Computed twice and not kept, since registers are short.
  const auto packs = [&work] { return work.tile.aligned ? work.tile.n / width : 0; };
  update_packs<lanes, width, packs_in_flight<Rule>>(work, stages, 0, packs(), lane, zero_grad);
  update_packs<lanes, 1, 1>(work, stages, packs() * width, work.tile.n, lane, zero_grad);
}

// A tensor without a gradient still averages.
template <class T, int lanes>
STEEPEST_HD void apply_ema(const Work& work, int lane) {
  const T* theta = static_cast<const T*>(work.tile.theta);
  T* ema = static_cast<T*>(work.tile.ema);
  const T rest = static_cast<T>(work.record.one_minus_ema);
  for (int k = lane; k < work.tile.n; k += lanes) ema[k] += rest * (theta[k] - ema[k]);
}

template <class Kinds, int lanes>
STEEPEST_HD void apply(const StepArgs& a, const Work& work, int lane) {
  if (!work.tile.grad && !work.tile.ema) return;
  visit(Kinds{}, work.kind, [&](auto kind) {
    using Rule = typename decltype(kind)::Rule;
    using T = typename decltype(kind)::T;
    work.tile.grad ? apply_rule<Rule, T, lanes>(work, lane, a.zero_grad)
                   : apply_ema<T, lanes>(work, lane);
  });
}

}  // namespace steepest::cuda
