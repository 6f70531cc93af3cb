// Whether steps that fail show that J is not the Jacobian of the residuals.
#pragma once
#include <cmath>
#include <limits>

#include "nlls/stopping.hpp"

namespace steepest::nlls {

// Where J is wrong, the cost rises along steps that J says lower it, and in proportion to their
// length: the shorter steps that follow meet the same slope.
template <class T>
class Rise {
 public:
  // Whether the last steps from the accepted point have met one slope.
  bool steady() const { return agreed_ >= 2; }

  // A step that was not taken. What is lost in rounding tells nothing.
  void failed(const Step& step) {
    const double clear = 1e3 * static_cast<double>(std::numeric_limits<T>::epsilon()) * step.cost;
    if (!(-step.actual > clear) || within_rounding<T>(step)) return;
    // Nearly the same step: of a better Jacobian, or of a λ close by. It tells nothing more.
    if (step.length <= length_ && step.length > 0.8 * length_) return;
    const double slope = -step.actual / step.length;
    agreed_ = std::fabs(slope - slope_) <= 0.1 * slope ? agreed_ + 1 : 0;
    length_ = step.length;
    slope_ = slope;
  }

 private:
  double length_ = 0, slope_ = 0;
  int agreed_ = 0;
};

}  // namespace steepest::nlls
