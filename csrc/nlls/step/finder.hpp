// The step of one method from one point: which λ, and the damped system solved with it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "linalg/dense/dense.hpp"
#include "nlls/norm.hpp"
#include "nlls/step/box_model.hpp"
#include "nlls/step/damping.hpp"

namespace steepest::nlls {

template <class Backend>
class StepFinder {
 public:
  using T = typename Backend::Scalar;

  // Where a step is sought: the current system, the box, the point and D.
  struct At {
    Backend& backend;
    BoxModel<Backend>& model;
    const T *x, *D;
  };

  // λ counts in units of 4^exponent, D's, or of the largest diagonal entry of D⁻¹JᵀJD⁻¹ at x0.
  StepFinder(double damping, size_t n, int exponent)
      : initial_(damping), unit_(std::ldexp(1.0, 2 * exponent)), step_(n) {}
  void set_unit(double unit) { unit_ = unit; }

  // λ₀ is meant for a JᵀJ that no loss has made smaller: by so much.
  void scale_first(double factor) { by_loss_ = factor; }

  // Gauss-Newton's step; false where JᵀJ is singular. QR's limit on pivots is 16 times that with
  // damping, which would make such a step short; it is a limit on those of J, not of JᵀJ, and so
  // still far below Cholesky's.
  bool undamped(const At& at) { return std::isfinite(length_ = solve(at, 0, 16)); }

  // The first time the step with the λ that was asked for; later Gauss-Newton's, λ = 0. Where that
  // is longer than the radius, or cannot be computed, the λ that makes it as long as the radius:
  // within a tenth, or `exact`.
  void damped(const At& at, double radius, bool exact) {
    const double smallest = smallest_damping(at);
    const bool first = std::exchange(first_, false);
    double start = first ? std::clamp(initial_ * by_loss_ * unit_, smallest, largest_damping) : 0;
    first_is_last_ = first;
    const double guess = std::exchange(lambda_, start);
    length_ = solve(at, start);
    if ((std::isinf(length_) || !at.model.solved()) && start < smallest) {  // J has no full rank
      lambda_ = start = smallest;
      length_ = solve(at, start);
    }
    if (within(radius)) return;
    if (std::isfinite(radius)) {
      RadiusEquation equation(radius, start, length_, enough(at) / radius);
      lambda_ = equation.first(guess);
      for (int tries = 0; tries < 30; ++tries) {
        length_ = solve(at, lambda_);
        if (equation.solved(length_)) return exact ? extend(at.model, radius) : void();
        lambda_ = equation.next(lambda_, length_);
      }
    }
    // Against rounding, or a matrix that is hardly to be factored: any λ large enough will do.
    while (length_ = solve(at, lambda_), !within(radius)) {
      lambda_ = std::max(16 * lambda_, smallest);
      if (!(lambda_ < largest_damping)) {
        throw Error(ErrorKind::linalg, "least_squares: no damping makes the system solvable");
      }
    }
  }

  // Geodesic acceleration, from residuals f at x and `ahead` at x + fraction s: with their second
  // derivative f'' along the step, a of (JᵀJ + λD²) a = -½ Jᵀf''. It becomes part of the step where
  // it is finite and short enough to be trusted. Transtrum and Sethna, arXiv:1201.5885, (5) to (7).
  // Gives 2 |Da| / |Ds|; infinite where f'' is not finite.
  double accelerate(const At& at, T fraction, const T* f, const T* ahead) {
    std::vector<T> a(step_.size()), half(step_.size());
    if (!at.backend.curvature(step_.data(), fraction, f, ahead, half.data())) return HUGE_VAL;
    for (T& h : half) h /= 2;
    at.backend.resolve({static_cast<T>(lambda_), at.D}, at.model.free(), half.data(), a.data());
    const double share = 2 * norm(a, at.D) / length_;
    if (share <= 0.75) at.model.bend(at.x, a.data(), step_.data());
    return share;
  }

  // True once, where the last step was the one with the λ that was asked for.
  bool take_first() { return std::exchange(first_is_last_, false); }

  const std::vector<T>& step() const { return step_; }
  double length() const { return length_; }
  double lambda() const { return lambda_; }
  bool held_back() const {  // the unit may be beyond what λ can be
    const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
    return lambda_ > 2 * eps * std::min(unit_, largest_damping);
  }

 private:
  // The first radius is infinite, but a step of infinite length is no step.
  bool within(double radius) const { return std::isfinite(length_) && length_ <= 1.1 * radius; }

  // |Ds| of the step with this λ; infinite where it cannot be computed.
  double solve(const At& at, double lambda, T rounding = 1) {
    const linalg::Damping<T> damping{static_cast<T>(lambda), at.D, rounding};
    const bool solved = at.model.minimize(at.backend, damping, at.x, step_.data());
    const double length = norm(step_, at.D);
    return solved && std::isfinite(length) ? length : std::numeric_limits<double>::infinity();
  }

  // Stretches a step whose length is within a tenth of the radius to the radius itself; not with
  // bounds, which the longer step might cross.
  void extend(const BoxModel<Backend>& model, double radius) {
    if (model.box().bounded()) return;
    for (T& s : step_) s *= static_cast<T>(radius / length_);
    length_ = radius;
  }

  // Rounding beside the largest diagonal entry of D⁻¹JᵀJD⁻¹: D may hold norms from far away.
  double smallest_damping(const At& at) const {
    double largest = 0;
    for (const int64_t j : at.model.all()) {
      const double d = static_cast<double>(at.D[j]);
      largest = std::max(largest, static_cast<double>(at.backend.norms2()[j]) / d / d);
    }
    const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
    return std::clamp(eps * largest, static_cast<double>(std::numeric_limits<T>::min()),
                      largest_damping);
  }

  // |D⁻¹g|; divided by the radius it is a λ whose step is no longer than the radius.
  double enough(const At& at) const {
    double sum = 0;
    for (const int64_t j : at.model.all()) {
      const double g = static_cast<double>(at.backend.gradient()[j]);
      sum = std::hypot(sum, g / static_cast<double>(at.D[j]));
    }
    return std::min(sum, largest_damping);
  }

  static constexpr double largest_damping = static_cast<double>(std::numeric_limits<T>::max()) / 64;

  double initial_, by_loss_ = 1, unit_, lambda_ = 0, length_ = 0;
  bool first_ = true, first_is_last_ = false;
  std::vector<T> step_;
};

}  // namespace steepest::nlls
