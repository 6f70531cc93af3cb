// A Jacobian by finite differences, a column at a time: where to evaluate and what that makes of
// it. The caller evaluates. Steps, bounds and the way from forward to central differences are those
// that differences.py explains; it does the same for arrays of a device and for complex steps.
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

  // Forward differences have done what they can: the largest cosine is down to their error.
  void close_in(double cosine, double eps) { central_ = central_ || cosine <= error(eps); }

  // What the next Jacobian may be wrong by where close_in would better it, else 0.
  double error(double eps) const {
    return central_ || !rel_step_.empty() ? 0 : noise_units * std::sqrt(eps);
  }

  // f: residuals at x, eps: the rounding unit that they were computed with.
  // evaluate(j, x_j, out) gives those with another x_j.
  template <class Evaluate>
  void jacobian(const std::vector<T>& x, const std::vector<T>& f, double eps, Evaluate&& evaluate,
                T* J) {
    T largest = 0;
    for (const T v : f) largest = std::max(largest, std::abs(v));
    const T noise = static_cast<T>(noise_units * eps * static_cast<double>(largest));
    const T unit = static_cast<T>(central_ ? std::cbrt(eps) : std::sqrt(eps));
    const int64_t m = static_cast<int64_t>(f.size());
    for (size_t j = 0; j < x.size(); ++j) {
      T* out = J + static_cast<int64_t>(j) * m;
      const T change = column(x[j], j, step(x[j], j, unit), f, evaluate, out);
      if (rel_step_.empty() && std::abs(x[j]) < 1 && change <= noise) {
        column(x[j], j, x[j] >= 0 ? unit : -unit, f, evaluate, out);
      }
    }
  }

 private:
  // A difference below so many rounding units of the residuals is noise.
  static constexpr double noise_units = 64;

  // Away from zero.
  T step(T x, size_t j, T unit) const {
    const T sign = x >= 0 ? T(1) : T(-1), size = std::abs(x);
    if (rel_step_.empty()) return sign * (size == 0 ? unit : unit * size);
    const T h = rel_step_[j] * sign * size;
    return (x + h) - x == 0 ? sign * unit * std::max(T(1), size) : h;
  }

  // out: column j. The largest change of a residual.
  template <class Evaluate>
  T column(T x, size_t j, T h, const std::vector<T>& f, Evaluate& evaluate, T* out) {
    const T infinite = std::numeric_limits<T>::infinity();
    const T down = lower_.empty() ? -infinite : lower_[j] - x;
    const T up = upper_.empty() ? infinite : upper_[j] - x;
    const T roomy = up >= -down ? up : down;
    second_.resize(f.size());
    if (!central_) {
      if (!(down <= h && h <= up)) h = down <= -h && -h <= up ? -h : roomy;
      evaluate(j, x + h, out);
      return quotient(out, f, (x + h) - x);
    }
    if (down <= -std::abs(h) && std::abs(h) <= up) {
      evaluate(j, x + h, out);
      evaluate(j, x - h, second_.data());
      return quotient(out, second_, ((x + h) - x) - ((x - h) - x));
    }
    // Beside a bound: the parabola through x, x + h, x + 2h on the side that has room.
    h = std::copysign(std::min(std::abs(h), std::abs(roomy) / 2), roomy);
    evaluate(j, x + h, out);
    evaluate(j, x + 2 * h, second_.data());
    const T one = (x + h) - x, two = (x + 2 * h) - x;
    T change = 0;
    for (size_t i = 0; i < f.size(); ++i) {
      const T near = out[i] - f[i], far = second_[i] - f[i];
      change = larger(change, far);
      out[i] = (near * (two / one) - far * (one / two)) / (two - one);
    }
    return change;
  }

  // ahead <- (ahead - behind) / taken; the largest |ahead - behind|.
  static T quotient(T* ahead, const std::vector<T>& behind, T taken) {
    T change = 0;
    for (size_t i = 0; i < behind.size(); ++i) {
      const T difference = ahead[i] - behind[i];
      change = larger(change, difference);
      ahead[i] = difference / taken;
    }
    return change;
  }

  // A NaN counts as infinite.
  static T larger(T a, T b) {
    return std::abs(b) <= a ? a : b == b ? std::abs(b) : std::numeric_limits<T>::infinity();
  }

  bool central_;
  std::vector<T> rel_step_, lower_, upper_, second_;
};

}  // namespace steepest::nlls
