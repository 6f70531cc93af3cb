// When to stop, and the status that says why. Its numbers are SciPy's.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

namespace steepest::nlls {

enum class Status {
  no_lower = -3,   // no share of Gauss-Newton's step lowers the cost
  stopped = -2,    // by the callback
  no_finite = -1,  // residuals are not finite anywhere within xtol of x
  max_nfev = 0,
  gtol = 1,
  ftol = 2,
  xtol = 3,
  ftol_and_xtol = 4,
};

struct Tolerances {
  double f, x, g;
};

// One judged step s from x.
struct Step {
  double actual, predicted;           // reductions of the cost
  double cost;                        // at x
  double length, x_norm;              // |Ds|, |Dx|
  double plain_length, plain_x_norm;  // |s|, |x|
  double unit_norm, plain_unit;       // |D(1, ..., 1)| and 1, or the most |Dx|, |x| yet if less
  double Jx_norm;                     // |x| in units of J's columns, which is about |Jx|
  double most_Jx_norm;                // the same by the largest norms that they have had

  bool as_predicted() const { return actual >= 0.75 * predicted; }
  bool all_but_exact() const { return std::fabs(actual - predicted) <= 1e-3 * predicted; }
  bool close() const { return std::fabs(actual - predicted) <= 0.25 * predicted; }
};

// Whether rounding hides what a step did to the cost. That happens near a minimum: the cost is flat
// to rounding long before the gradient is zero, and whether it falls is chance.
template <class T>
bool within_rounding(const Step& step) {
  const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
  const double rounding = std::sqrt(2 * step.cost) * eps * step.Jx_norm;  // |f| eps |Jx|
  return step.predicted <= std::max(64 * eps * step.cost, rounding) &&
         std::fabs(step.actual) <= std::max(std::cbrt(eps * eps) * step.cost, rounding);
}

// Whether such a step's effect is chance: it gained nothing, or less than eps of the cost was
// promised. Steps of this kind could go on for ever if they counted as gains.
template <class T>
bool by_chance(const Step& step) {
  const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
  return within_rounding<T>(step) && (!(step.actual > 0) || step.predicted <= eps * step.cost);
}

class StoppingRule {
 public:
  explicit StoppingRule(Tolerances tolerances) : tolerance_(tolerances) {}

  // ftol is met by a step that changes the cost by no more than ftol * cost and was not expected to
  // change it more (MINPACK's bounds, Moré 1978, section 8). One such step is also seen far from a
  // minimum, where the cost is flat (NIST ENSO), so that two in a row are due, or one that changes
  // the cost a hundred times less than the step before it: what is left is then below ftol, too.
  bool ftol(const Step& step) {
    const double enough = tolerance_.f * step.cost;
    const bool met = std::fabs(step.actual) <= enough && step.predicted <= enough &&
                     step.actual <= 2 * step.predicted;
    in_a_row_ = met ? in_a_row_ + 1 : 0;
    const bool fast = met && std::fabs(step.actual) <= 0.01 * before_;
    before_ = step.actual;
    return in_a_row_ >= 2 || fast;
  }

  // Whether the cost fell by more than ftol asks for.
  bool worth(const Step& step) const { return step.actual > tolerance_.f * step.cost; }

  // ftol by the prediction alone, where rounding hides what an undamped step changed.
  bool ftol_predicted(const Step& step) const { return step.predicted <= tolerance_.f * step.cost; }

  // A step that is short beside x, both as it is (SciPy's test; an x below xtol counts as zero, if
  // it was ever larger: its unit may be small) and in units of D: a parameter without influence
  // moves far in a step that D calls short.
  bool xtol(const Step& step) const {
    return step.length <= tolerance_.x * (step.x_norm + tolerance_.x * step.unit_norm) &&
           step.plain_length <= tolerance_.x * (step.plain_x_norm + tolerance_.x * step.plain_unit);
  }

  // Whether a step has more than halved the cost, by more than rounding, and x is not zero. Then a
  // short step ends no fit: beside an offset of 1e8, say, all changes of other variables are short.
  // It does if next to nothing is left of the cost, since steps towards a zero residual halve it,
  // too.
  template <class T>
  bool halved(const Step& step) const {
    const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
    const double left = step.cost - step.actual;
    return left < 0.5 * step.cost && left > 1e-6 * step.cost &&
           std::sqrt(2 * step.cost) > eps * step.most_Jx_norm &&
           step.plain_x_norm > tolerance_.x * step.plain_unit;
  }

  // cosine: the largest |cos| between f and a column of J (MINPACK's gtol, free of units).
  bool gtol(double cosine) const { return cosine <= tolerance_.g; }

  // The cosine between f and the plane of J's columns, by the undamped step: where these are nearly
  // dependent it is far above that of each (Bates and Watts, Technometrics 23 (1981) 179-183).
  bool flat(const Step& step) const {
    return step.predicted <= tolerance_.g * tolerance_.g * step.cost;
  }

 private:
  Tolerances tolerance_;
  int in_a_row_ = 0;
  double before_ = 0;
};

}  // namespace steepest::nlls
