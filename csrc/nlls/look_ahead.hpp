// When to ask for residuals ahead of a step, and whether they were worth it.
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

namespace steepest::nlls {

// Where λ has held several steps in a row back, residuals a tenth of the step ahead give a
// second-order correction of it (step.hpp), which follows curved valleys in half the Jacobians.
// Most fits are over before: asked from the second step on, it cost a fifth more evaluations and
// saved no Jacobians on fits of a dozen common curves.
class LookAhead {
 public:
  static constexpr double fraction = 0.1;  // of the step

  // False: not worth it, as residuals do not come without a Jacobian.
  void set_on(bool on) { on_ = on; }

  bool due() const { return on_ && held_back_ >= 6; }

  // The cost fell by so much there. The parabola through it and the slope at x foretells what the
  // whole step would gain uncorrected.
  void gained(double gain, double slope) {
    uncorrected_ = -slope + (gain + fraction * slope) / (fraction * fraction);
  }

  // A poor step that gains what it would have gained uncorrected is poor for another reason than
  // the valley's bend: the residuals are large beside the curvature that Gauss-Newton leaves out
  // (Brown and Dennis's function), and no correction helps.
  void judged(double actual, double predicted) {
    const std::optional<double> uncorrected = std::exchange(uncorrected_, std::nullopt);
    if (uncorrected && actual < 0.75 * predicted &&
        std::fabs(actual - *uncorrected) < 0.1 * std::fabs(predicted - *uncorrected)) {
      held_back_ = 0;
    }
  }

  void accepted(bool held_back) { held_back_ = held_back ? held_back_ + 1 : 0; }

 private:
  bool on_ = true;
  int64_t held_back_ = 0;              // accepted steps in a row that λ held back
  std::optional<double> uncorrected_;  // of the step on trial, if it was corrected
};

}  // namespace steepest::nlls
