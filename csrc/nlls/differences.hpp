// A Jacobian by finite differences, a column at a time. It says where to evaluate, and the caller
// does. differences.py, which does the same for arrays of a device and for complex steps, explains
// the steps, the bounds and when forward differences give way to central ones.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace steepest::nlls {

template <class T>
class Differences {
 public:
  // rel_step (steps over |x|), lower and upper are empty or have n numbers.
  Differences(bool central, std::vector<T> rel_step, std::vector<T> lower, std::vector<T> upper)
      : central_(central),
        rel_step_(std::move(rel_step)),
        lower_(std::move(lower)),
        upper_(std::move(upper)) {}

  // Central differences from now on if the largest cosine is down to the error of forward ones.
  void close_in(double cosine, double eps) { central_ = central_ || cosine <= error(eps); }

  // The relative error of the next Jacobian if close_in would make it smaller, else 0.
  double error(double eps) const {
    return central_ || !rel_step_.empty() ? 0 : noise_units * std::sqrt(eps);
  }

  // f: m residuals at x, eps: the rounding unit that they were computed with.
  // evaluate(j, x_j) gives the residuals with another x_j; they are valid until its next call.
  template <class Evaluate>
  void jacobian(const std::vector<T>& x, const T* f, int64_t m, double eps, Evaluate&& evaluate,
                T* J) {
    T largest = 0;
    for (int64_t i = 0; i < m; ++i) largest = std::max(largest, std::abs(f[i]));
    const T noise = static_cast<T>(noise_units * eps * static_cast<double>(largest));
    const T unit = static_cast<T>(central_ ? std::cbrt(eps) : std::sqrt(eps));
    reach_.resize(x.size()), slope_.resize(x.size());
    for (size_t j = 0; j < x.size(); ++j) {
      T* out = J + static_cast<int64_t>(j) * m;
      reach_[j] = std::max(reach_[j], x[j] == 0 ? T(1) : std::abs(x[j]));
      T change = column(x[j], j, step(x[j], j, unit), f, m, evaluate, out);
      if (rel_step_.empty() && std::abs(x[j]) < 1 && change <= noise) {
        change = column(x[j], j, x[j] >= 0 ? unit : -unit, f, m, evaluate, out);
      }
      slope_[j] = change / std::abs(taken_);
    }
    largest_ = std::max(largest_, largest);
  }

 private:
  // A difference below so many rounding units of the residuals is noise.
  static constexpr double noise_units = 64;
  // Of the largest residual: a parameter that changes none by this much is near zero by chance.
  static constexpr T noticed = T(1e-2);

  // The step in x_j, away from zero.
  T step(T x, size_t j, T unit) const {
    const T sign = x >= 0 ? T(1) : T(-1), size = std::abs(x);
    if (rel_step_.empty()) {
      if (size == 0) return unit;
      T scale = reach_[j];
      if (slope_[j] > 0) scale = std::min(scale, noticed * largest_ / slope_[j]);
      const T h = unit * std::max(size, scale);
      return sign * (central_ ? std::min(h, size / 2) : h);  // x - h may be out of the domain
    }
    const T h = rel_step_[j] * sign * size;
    return (x + h) - x == 0 ? sign * unit * std::max(T(1), size) : h;
  }

  // Writes column j to out. Returns the largest change of a residual.
  template <class Evaluate>
  T column(T x, size_t j, T h, const T* f, int64_t m, Evaluate& evaluate, T* out) {
    const T infinite = std::numeric_limits<T>::infinity();
    const T down = lower_.empty() ? -infinite : lower_[j] - x;
    const T up = upper_.empty() ? infinite : upper_[j] - x;
    const T roomy = up >= -down ? up : down;
    if (!central_) {
      if (!(down <= h && h <= up)) h = down <= -h && -h <= up ? -h : roomy;
      return quotient(evaluate(j, x + h), f, (x + h) - x, m, out);
    }
    if (down <= -std::abs(h) && std::abs(h) <= up) {
      std::copy_n(evaluate(j, x + h), m, out);
      return quotient(out, evaluate(j, x - h), ((x + h) - x) - ((x - h) - x), m, out);
    }
    // Beside a bound: the parabola through x, x + h, x + 2h on the side that has room.
    h = std::copysign(std::min(std::abs(h), std::abs(roomy) / 2), roomy);
    std::copy_n(evaluate(j, x + h), m, out);
    const T* second = evaluate(j, x + 2 * h);
    const T one = (x + h) - x, two = taken_ = (x + 2 * h) - x;
    T change = 0;
    for (int64_t i = 0; i < m; ++i) {
      const T near = out[i] - f[i], far = second[i] - f[i];
      change = larger(change, far);
      out[i] = (near * (two / one) - far * (one / two)) / (two - one);
    }
    return change;
  }

  // out <- (ahead - behind) / taken, where out may be ahead. Returns the largest |ahead - behind|,
  // found in four lanes so that the loop vectorises. A maximum would lose a NaN: `finite` keeps it.
  T quotient(const T* ahead, const T* behind, T taken, int64_t m, T* out) {
    taken_ = taken;
    T change[4] = {}, finite[4] = {};  // finite: NaN where a difference is not
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
      T difference[4];
      for (int64_t l = 0; l < 4; ++l) {
        difference[l] = ahead[i + l] - behind[i + l];
        const T size = std::abs(difference[l]);
        change[l] = size > change[l] ? size : change[l];
        finite[l] += difference[l] * 0;
      }
      for (int64_t l = 0; l < 4; ++l) out[i + l] = difference[l] / taken;
    }
    T most = 0;
    for (; i < m; ++i) {
      const T difference = ahead[i] - behind[i];
      most = larger(most, difference);
      out[i] = difference / taken;
    }
    for (int64_t l = 0; l < 4; ++l) most = larger(most, change[l] + finite[l]);
    return most;
  }

  // A NaN counts as infinite.
  static T larger(T a, T b) {
    return std::abs(b) <= a ? a : b == b ? std::abs(b) : std::numeric_limits<T>::infinity();
  }

  bool central_;
  std::vector<T> rel_step_, lower_, upper_;
  T largest_ = 0, taken_ = 0;     // of all residuals so far; the step of the last column
  std::vector<T> reach_, slope_;  // of each x_j: how large it was; its last column's largest
};

}  // namespace steepest::nlls
