// Robust losses ρ(z) of z = (f / C)², and the weights that they give a residual and its row of J.
// cost = ½ C² Σ ρ(zᵢ). Triggs et al., Bundle Adjustment - A Modern Synthesis (2000), section 4.3:
// the Gauss-Newton model of the cost has rows √(ρ' + 2ρ''z) J and residuals ρ' f / √(ρ' + 2ρ''z).
#pragma once
#include <cmath>
#include <limits>

#include "core/team.hpp"

namespace steepest::nlls {

enum class Loss { linear, soft_l1, huber, cauchy, arctan, tukey, given };

struct Rho {
  double value, first, second;
};

STEEPEST_HD Rho rho(Loss loss, double z) {
  switch (loss) {
    case Loss::soft_l1: {
      const double t = 1 + z, root = std::sqrt(t);
      return {2 * z / (root + 1), 1 / root, -0.5 / (t * root)};
    }
    case Loss::huber: {
      if (z <= 1) return {z, 1, 0};
      const double root = std::sqrt(z);
      return {2 * root - 1, 1 / root, -0.5 / (z * root)};
    }
    case Loss::cauchy: {
      const double t = 1 + z;
      return {std::log1p(z), 1 / t, -1 / (t * t)};
    }
    case Loss::arctan: {
      const double t = 1 + z * z;
      return {std::atan(z), 1 / t, -2 * z / (t * t)};
    }
    case Loss::tukey: {
      if (z > 1) return {1.0 / 3, 0, 0};
      const double t = 1 - z;
      return {z * (1 - z * (1 - z / 3)), t * t, -2 * t};
    }
    case Loss::linear:
    case Loss::given:
      break;
  }
  return {z, 1, 0};
}

// What a row and its residual are multiplied by. Where ρ' + 2ρ''z is not positive the model would
// have no minimum: it is raised to `least` of ρ', and to the rounding unit, as in SciPy. With 1 for
// `least` this is iteratively reweighted least squares (Holland and Welsch 1977), whose model lies
// above the cost of these losses everywhere.
template <class T>
struct RowWeights {
  T jacobian, residual;
};

// value, or least where it is less, or NaN; std::fmax is a call.
STEEPEST_HD double at_least(double least, double value) { return value > least ? value : least; }

template <class T>
STEEPEST_HD RowWeights<T> row_weights(double first, double second, double z, double least) {
  const double curvature = at_least(least * first, first + 2 * second * z);
  const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
  const double root = std::sqrt(at_least(eps, curvature));
  return {static_cast<T>(root), static_cast<T>(first / root)};
}

}  // namespace steepest::nlls
