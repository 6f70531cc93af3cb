// Bounds by two-metric projection, as steepest/fullbatch/box.py has them, for vectors that a cache
// holds. Bertsekas 1982 (SIAM J. Control Optim. 20, 221-246).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace steepest::linalg {

// lower <= x <= upper, vectors of n elements.
template <class T>
struct Box {
  const T *lower, *upper;
  const T* near;  // how near to a bound counts as at it, at most
  int64_t n;

  T clip(T x, int64_t i) const { return std::min(std::max(x, lower[i]), upper[i]); }

  void project(T* x) const {
    for (int64_t i = 0; i < n; ++i) x[i] = clip(x[i], i);
  }

  // The largest |x - P(x - g)|: zero where first-order conditions hold. x - g itself would lose a g
  // that is far smaller than x.
  T largest_projected_gradient(const T* x, const T* g) const {
    T largest = 0;
    for (int64_t i = 0; i < n; ++i) {
      const T inside = std::min(std::max(g[i], x[i] - upper[i]), x[i] - lower[i]);
      largest = std::max(largest, std::fabs(inside));
    }
    return largest;
  }

  // The derivative of f(P(x + a d)) by a: a variable that is clipped does not move.
  double slope(const T* x, const T* d, T a, const T* g) const {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const T point = x[i] + a * d[i];
      const bool moves = point >= lower[i] && point <= upper[i];
      sum += moves ? static_cast<double>(g[i]) * static_cast<double>(d[i]) : 0.0;
    }
    return sum;
  }

  // Which variables are not held: the complement of Bertsekas's set I+ (eq. 32).
  void find_free(const T* x, const T* g, T scale, bool* free) const {
    for (int64_t i = 0; i < n; ++i) {
      const T within = std::min(near[i], std::fabs(scale * g[i]));
      const bool at_lower = x[i] <= lower[i] + within && g[i] > 0;
      const bool at_upper = x[i] >= upper[i] - within && g[i] < 0;
      free[i] = !(at_lower || at_upper || lower[i] == upper[i]);
    }
  }

  // The held variables of d take the step -scale g, cut so that a full step stays inside.
  void step_held(const T* x, const T* g, T scale, const bool* free, T* d) const {
    for (int64_t i = 0; i < n; ++i)
      if (!free[i]) d[i] = clip(x[i] - scale * g[i], i) - x[i];
  }
};

}  // namespace steepest::linalg
