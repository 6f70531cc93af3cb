// The kernel that measures the gradients: their global 2-norm, and whether all are finite.
//
// It sums in the CPU's order (cpu/level.cpp, cpu/plan.cpp), so that the bits are the same: a tile
// in norm_lanes sums, which are folded in half until one is left; then, by the last block to
// finish, the sums of all tiles in the same way.
#pragma once
#include "cuda/table.hpp"

namespace steepest::cuda {

constexpr int64_t few = 1024;  // sums that are joined in shared memory

struct NormShared {
  double lane[threads];
  double sums[few];
  bool last;
};

// One lane of one tile.
template <class T>
STEEPEST_HD double lane_sum(const void* grad, int64_t n, int lane, bool& finite) {
  const T* g = static_cast<const T*>(grad);
  double sum = 0;
#ifdef __CUDA_ARCH__
#pragma unroll 8
#endif
  for (int i = lane; i < n; i += norm_lanes) {
    const double d = static_cast<double>(g[i]);
    sum += d * d;
    finite &= g[i] * T(0) == T(0);  // 0 * x is NaN just where x is not finite
  }
  return sum;
}

STEEPEST_HD double sum_lane(const StepArgs& a, int64_t number, int lane) {
  const int64_t i = a.table.tensor_of[number];
  void* grad = a.grad(i);
  if (!grad) return 0;
  const Entry& e = a.table.entries[i];
  const int64_t start = (number - e.first_tile) * tile_size;
  const int64_t n = e.n - start < tile_size ? e.n - start : tile_size;
  grad = shifted(grad, start * size_of(e.dtype));
  bool finite = true;
  const double sum = e.dtype == DType::float32 ? lane_sum<float>(grad, n, lane, finite)
                                               : lane_sum<double>(grad, n, lane, finite);
  if (!finite) lower_to(a.table.control->lowest_bad, i);
  return sum;
}

// This thread's part of to[i] = from[i] + from[i + half], for i < half; where there is no second
// term, a copy. One block does all of it (2^15 additions for 2^28 elements), so each thread keeps
// several reads in flight.
STEEPEST_HD void fold(const double* from, double* to, int64_t n, int64_t half, int thread) {
  constexpr int in_flight = 8;
  for (int64_t first = thread; first < half; first += in_flight * threads) {
    double sum[in_flight];
    for (int k = 0; k < in_flight; ++k) {
      const int64_t i = first + k * threads;
      if (i < half) sum[k] = i + half < n ? from[i] + from[i + half] : from[i];
    }
    for (int k = 0; k < in_flight; ++k) {
      const int64_t i = first + k * threads;
      if (i < half) to[i] = sum[k];
    }
  }
}

// What the sum means for the step.
STEEPEST_APART void conclude(const StepArgs& a, double squares) {
  Control& c = *a.table.control;
  c.bad = c.lowest_bad == none_bad ? -1 : c.lowest_bad;
  c.lowest_bad = none_bad;
  c.factor = 1 / a.grad_scale;
  const bool refused = c.bad >= 0 && a.nonfinite != Nonfinite::propagate;
  c.skip = refused;  // under Nonfinite::raise the host launches nothing more, and raises
  if (!a.clip || refused) return;
  c.grad_norm = base::ops::sqrt(squares) / a.grad_scale;
  // Not below: a NaN norm makes the factor NaN, as IEEE arithmetic gives.
  if (!(c.grad_norm <= a.max_norm)) c.factor = a.max_norm / c.grad_norm / a.grad_scale;
}

template <class Team>
STEEPEST_HD void measure(const StepArgs& a, const Team& team, NormShared& s) {
  team.wait_for_earlier();
  const int64_t end = a.table.n_full_tiles;
  for (int64_t first = team.block * tiles_at_once; first < end;
       first += team.blocks * tiles_at_once) {
    team.phase([&](int thread) {
      const int64_t number = first + thread / norm_lanes;
      if (number < end) s.lane[thread] = sum_lane(a, number, thread % norm_lanes);
    });
    team.phase([&](int thread) {
      if (thread >= tiles_at_once || first + thread >= end) return;
      double* lane = s.lane + thread * norm_lanes;
      for (int half = norm_lanes / 2; half > 0; half /= 2)
        for (int j = 0; j < half; ++j) lane[j] += lane[j + half];
      a.table.partial[first + thread] = lane[0];
    });
  }
  team.phase([&](int thread) {
    if (thread == 0) s.last = last_to_finish(a.table.control->ticket, team.blocks);
  });
  if (!s.last) return;
  double* from = a.table.partial;
  for (int64_t n = end, half; n > 1; n = half) {
    half = (n + 1) / 2;
    double* to = half <= few ? s.sums : from;
    team.phase([&](int thread) { fold(from, to, n, half, thread); });
    from = to;
  }
  team.phase([&](int thread) {
    if (thread == 0) conclude(a, end > 0 ? from[0] : 0.0);
  });
}

}  // namespace steepest::cuda
