// When to stop, and what to call it. The numbers are SciPy's.
#pragma once
#include <cmath>
#include <cstdint>

namespace steepest::nlls {

enum class Status {
  stopped = -2,     // by the callback
  no_finite = -1,   // residuals are not finite anywhere within xtol of x
  max_nfev = 0,
  gtol = 1,
  ftol = 2,
  xtol = 3,
  ftol_and_xtol = 4,
};

struct Tolerances {
  double f, x, g;
};

// One judged step: reductions of the cost, the cost it started from, scaled norms of step and x.
struct Step {
  double actual, predicted, cost, length, x_norm, unit_norm;
};

class StoppingRule {
 public:
  explicit StoppingRule(Tolerances tolerances) : tolerance_(tolerances) {}

  // ftol asks for two steps in a row that change the cost by no more than ftol * cost and were
  // not expected to: one such step is also seen far from a minimum with a flat cost (NIST ENSO).
  // The bounds on both reductions and their ratio are MINPACK's (Moré 1978, section 8).
  bool ftol(const Step& step) {
    const double enough = tolerance_.f * step.cost;
    const bool met = std::fabs(step.actual) <= enough && step.predicted <= enough &&
                     step.actual <= 2 * step.predicted;
    in_a_row_ = met ? in_a_row_ + 1 : 0;
    return in_a_row_ >= 2;
  }

  // A step that is short beside x. An x below xtol counts as zero, as in SciPy (unit_norm is the
  // scaled norm of a vector of ones).
  bool xtol(const Step& step) const {
    return step.length <= tolerance_.x * (step.x_norm + tolerance_.x * step.unit_norm);
  }

  // cosine: the largest |cos| between f and a column of J (MINPACK's gtol, free of units).
  bool gtol(double cosine) const { return cosine <= tolerance_.g; }

 private:
  Tolerances tolerance_;
  int in_a_row_ = 0;
};

}  // namespace steepest::nlls
