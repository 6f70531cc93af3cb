// When to ask for residuals ahead of a step, and whether they were worth it.
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

namespace steepest::nlls {

// Residuals a tenth of the step ahead give a second-order correction of it (step/finder.hpp), which
// follows curved valleys in half the Jacobians. They are asked for once λ has held back six steps
// in a row, by when most fits have ended: from the second step on they cost a fifth more
// evaluations and saved no Jacobians on fits of a dozen common curves.
class LookAhead {
 public:
  static constexpr double fraction = 0.1;  // of the step

  // Off where each residual comes with a Jacobian, which costs more than is saved.
  void set_on(bool on) { on_ = on; }

  bool due() const { return on_ && held_back_ >= enough; }

  // The cost fell by so much there. The parabola through that and the slope at x predicts what the
  // whole step would gain uncorrected.
  void gained(double gain, double slope) {
    uncorrected_ = -slope + (gain + fraction * slope) / (fraction * fraction);
  }

  // By so much of itself the step is bent. Where that is rounding, as of a linear problem, the next
  // ones are left alone.
  void bent(double share, double rounding) {
    if (share < rounding) held_back_ = 0;
  }

  // If a step gains less than predicted, and just what it would have gained uncorrected, then it is
  // not the valley's bend that makes it poor: with large residuals the second derivatives count
  // that Gauss-Newton leaves out (Brown and Dennis's function), and no correction helps.
  //
  // Nor does it where J is rough, whose errors the correction has twenty times: steps of a fit of a
  // sine over seconds since 1970, J by differences, then gain a share of what is predicted for
  // ever. After four such steps in a row it waits, each time for twice as long. Not where J is
  // exact: Meyer's function took a fifth more evaluations.
  void judged(double actual, double predicted, bool by_differences) {
    const std::optional<double> uncorrected = std::exchange(uncorrected_, std::nullopt);
    if (!uncorrected) return;
    const bool poor = actual < 0.75 * predicted;
    poor_ = poor && by_differences ? poor_ + 1 : 0;
    if (poor && std::fabs(actual - *uncorrected) < 0.1 * std::fabs(predicted - *uncorrected)) {
      held_back_ = 0;
    }
    if (poor_ == 4) {
      held_back_ = -wait_;
      wait_ *= 2;
      poor_ = 0;
    }
  }

  void accepted(bool held_back) { held_back_ = held_back ? held_back_ + 1 : 0; }

 private:
  static constexpr int64_t enough = 6;

  bool on_ = true;
  int64_t held_back_ = 0;  // accepted steps in a row that λ held back; below 0 while it waits
  int64_t wait_ = enough;  // steps more, after four poor ones
  int poor_ = 0;           // corrected steps in a row that gained too little
  std::optional<double> uncorrected_;  // of the step on trial, if it was corrected
};

}  // namespace steepest::nlls
