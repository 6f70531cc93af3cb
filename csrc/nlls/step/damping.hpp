// How λ is found and how it follows the gain ratio ρ (actual over predicted reduction).
//
// λ is raised until the cost falls and lowered after success, but not by fixed factors: those raise
// it in many small steps that cost an evaluation each, and lower it too slowly after a start far
// away (Nielsen's rule, IMM-REP-1999-05, took 2.6 times the Jacobians on Moré, Garbow and
// Hillstrom's problems). Instead the radius |Ds| of the step is halved or doubled, and λ is solved
// for: Moré, The Levenberg-Marquardt Algorithm (1978), sections 4 and 5.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace steepest::nlls {

// The length that a step may have. None is known at first: the first step is that of the λ that the
// user gave.
class Radius {
 public:
  double value() const { return value_; }
  bool first() const { return tried_ == 1; }       // only one step has been tried
  bool uninformed() const { return uninformed_; }  // rounding hid what all of them did

  void set(double length) { value_ = length; }

  void limit(double length) { value_ = std::min(value_, length); }

  // A step of this length was tried; hidden: λ made it so short that rounding hid what it did.
  void tried(double length, bool hidden) {
    if (++tried_ == 1) limit(length);
    uninformed_ = uninformed_ && hidden;
  }

  // A step of this length was too short to tell a gain ratio. x_norm: |Dx|, infinite where x is 0.
  void told_nothing(double length, double x_norm) { value_ = std::max(x_norm, 1e3 * length); }

  // As long as a step that told nothing, as others would not be longer.
  void stay(double length) {
    value_ = length;
    uninformed_ = false;
  }

  // A step of this length had this gain ratio. After the first that was tried |Dx| remains as good
  // a guess as before.
  void accepted(double ratio, double length, double x_norm, bool undamped) {
    if (uninformed_) return told_nothing(length, x_norm);
    if (ratio <= 0.25) {
      value_ = 0.5 * std::min(value_, 10 * length);
    } else if (undamped || ratio >= 0.75) {
      value_ = std::max(2 * length, first() && std::isfinite(x_norm) ? x_norm : 0.0);
    }
  }

  // That step, of length `before`, is as long as `after` in the units of the point where it ended.
  // From a plateau columns of J grow by decades: what the old radius allows then meets any xtol.
  void measured_anew(double before, double after) {
    if (before > 0 && after > 10 * before && std::isfinite(after)) value_ *= after / before;
  }

  // The cost did not fall. slope: gᵀs < 0; actual: minus the rise, -inf where the cost is not
  // finite. The parabola through both costs and the slope has its minimum at the new radius, which
  // is kept between a tenth and a half of the old one.
  void rejected(double length, double slope, double actual) {
    double factor = 0.1;
    if (std::isfinite(actual)) factor = actual == 0 ? 0.5 : 0.5 * slope / (slope + actual);
    value_ = std::clamp(factor, 0.1, 0.5) * std::min(value_, 10 * length);
  }

 private:
  double value_ = std::numeric_limits<double>::infinity();
  bool uninformed_ = true;
  int64_t tried_ = 0;
};

// The search for the λ whose step is as long as the radius, within a tenth. 1/|Ds| is almost
// linear in λ (Hebden 1973, Moré section 5), so the secant through two λ is a good next one.
// Units of powers of two keep products in the range and change no bits.
class RadiusEquation {
 public:
  // At the smallest λ allowed the step has length `length` (infinite: it could not be computed);
  // `upper` is a λ whose step is certainly short enough.
  RadiusEquation(double radius, double smallest, double length, double upper)
      : radius_(radius),
        unit_(unit_of(radius)),
        low_(smallest),
        high_(std::max(upper, 2 * smallest)),
        last_{smallest, unit_ / length} {}

  double first(double guess) const { return guess > low_ && guess < high_ ? guess : middle(); }

  bool solved(double length) const { return std::fabs(length - radius_) <= 0.1 * radius_; }

  // The next λ, after the step at `lambda` had this length.
  double next(double lambda, double length) {
    (length > radius_ ? low_ : high_) = lambda;
    const Point here{lambda, unit_ / length};
    const double wanted = unit_ / radius_;
    // From the nearer point: from a λ many decades away the answer would be rounding.
    const bool from_here = std::fabs(wanted - here.inverse) <= std::fabs(wanted - last_.inverse);
    const Point& near = from_here ? here : last_;
    const double secant = near.lambda + (wanted - near.inverse) * (lambda - last_.lambda) /
                                            (here.inverse - last_.inverse);
    last_ = here;
    return secant > low_ && secant < high_ ? secant : middle();
  }

 private:
  struct Point {
    double lambda, inverse;
  };

  static double unit_of(double x) { return std::ldexp(1.0, std::ilogb(x)); }

  double middle() const {
    const double unit = unit_of(high_);
    return std::max(1e-3 * high_, unit * std::sqrt(low_ / unit * (high_ / unit)));
  }

  double radius_, unit_, low_, high_;
  Point last_;
};

}  // namespace steepest::nlls
