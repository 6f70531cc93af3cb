// How λ follows the gain ratio. Nielsen, Damping Parameter in Marquardt's Method (IMM-REP-1999-05),
// equation (2.5): smooth in the ratio, and rejections in a row raise it ever faster.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

namespace steepest::nlls {

class NielsenDamping {
 public:
  // Below the floor a rejection would not change the step.
  NielsenDamping(double initial, double lowest)
      : lambda_(std::max(initial, lowest)), floor_(lowest) {}

  double lambda() const { return lambda_; }

  // ratio = actual over predicted reduction, positive.
  void accepted(double ratio) {
    const double t = 2 * ratio - 1;
    lambda_ = std::max(lambda_ * std::max(1.0 / 3, 1 - t * t * t), floor_);
    raise_ = 2;
  }

  void rejected() {
    lambda_ *= raise_;
    raise_ *= 2;
  }

 private:
  double lambda_, floor_, raise_ = 2;
};

}  // namespace steepest::nlls
