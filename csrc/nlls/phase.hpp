// What the solver waits for, and in what form it is told.
#pragma once

namespace steepest::nlls {

enum class Phase { residual, jacobian, done };

// What the solver asks for next. `ahead`: residuals ahead of a step; better_jacobian: of the point
// accepted before; no_step: nothing, as there was no step from that point.
enum class Asked { residual, ahead, jacobian, better_jacobian, nothing, no_step };

inline Phase phase_of(Asked asked) {
  if (asked == Asked::nothing) return Phase::done;
  const bool jacobian = asked == Asked::jacobian || asked == Asked::better_jacobian;
  return jacobian ? Phase::jacobian : Phase::residual;
}

// The form in which a point is told. A fit keeps to that of its start.
enum class Form { whole, blocks, normal };

}  // namespace steepest::nlls
