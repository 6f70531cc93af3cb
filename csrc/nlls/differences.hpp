// A Jacobian by finite differences, a column at a time. It says where to evaluate, and the caller
// does. differences.py, which does the same for arrays of a device and for complex steps, explains
// the steps, the bounds, when forward differences give way to central ones, and what is noise.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "nlls/noise.hpp"

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

  // J at the core's point, where its residuals are those on trial, into the memory that room()
  // gives, which must stay until the next Jacobian; the core is told how accurate it is. False
  // where the last one stands. rounding: that of fun's answer there, 0 where it is unknown.
  // at(point) gives the residuals there, valid until its next call.
  template <class Core, class Room, class At>
  bool at_point(Core& core, double rounding, Room&& room, At&& at) {
    rounding = std::max(rounding, static_cast<double>(std::numeric_limits<T>::epsilon()));
    const std::vector<T> x = core.point();
    bool first = false;  // that is no noise
    if (core.again() && patience() > 0 && x == at_) {
      first = find_noise(core.trial_fun(), core.m(), rounding, at);
      if (!first && core.stationarity().cosine > error(rounding)) {
        core.set_accuracy({error(rounding), 0, false, columns(rounding)});
        return false;
      }
    }
    take(core, x, rounding, room, at);
    if (core.njev() > 0 && patience() == 1 && !core.judged().close() &&
        find_noise(core.trial_fun(), core.m(), rounding, at)) {
      first = true;
      take(core, x, rounding, room, at);
    }
    core.set_accuracy({error(rounding), patience(), first, columns(rounding)});
    return true;
  }

  // Central differences from now on if the largest cosine is down to the error of forward ones.
  void close_in(double cosine, double eps) { central_ = central_ || cosine <= error(eps); }

  // The relative error of the next Jacobian if close_in would make it smaller, else 0.
  double error(double eps) const {
    return central_ || !rel_step_.empty() ? 0 : noise_units * std::sqrt(std::max(eps, noise_));
  }

  // About what the columns of the last Jacobian are off by, over their norms.
  double columns(double eps) const {
    eps = std::max(eps, noise_);
    return central_ ? std::cbrt(eps) * std::cbrt(eps) : std::sqrt(eps);
  }

  // How many steps from a Jacobian may fail before noise is looked for; none where it was found.
  int patience() const { return found_ || !rel_step_.empty() ? 0 : looked_ ? 3 : 1; }

  // That noise, as a rounding unit; 0 where none was found.
  double noise() const { return noise_; }

  // Whether the last Jacobian is noise; later ones are then by longer steps. f: the m residuals at
  // its point; at(point) gives those there, valid until its next call.
  template <class At>
  bool find_noise(const T* f, int64_t m, double eps, At&& at) {
    const std::vector<T>& x = at_;
    looked_ = true;
    std::vector<T> point(x.size()), told[4], wrong(f, f + m);
    const auto ask = [&](size_t quarters) {
      const T share = static_cast<T>(quarters) / 4;
      for (size_t j = 0; j < x.size(); ++j) point[j] = inside(x[j] + share * ahead_[j], j);
      const T* given = at(point);
      told[quarters - 1].assign(given, given + m);
    };
    ask(2);
    for (size_t j = 0; j < x.size(); ++j) {
      const T* column = J_ + static_cast<int64_t>(j) * m;
      for (size_t i = 0; i < wrong.size(); ++i) wrong[i] += column[i] * (ahead_[j] / 2);
    }
    T most = 0;
    for (size_t i = 0; i < wrong.size(); ++i) most = larger(most, told[1][i] - wrong[i]);
    if (!std::isfinite(most) || most <= wrong_from * change_) return false;
    for (const size_t quarters : {1u, 3u, 4u}) ask(quarters);
    const T* const line[] = {f, told[0].data(), told[1].data(), told[2].data(), told[3].data()};
    const double noise = noise_along(line, m) / static_cast<double>(largest_);
    if (!(noise > noise_units * eps)) return false;
    noise_ = std::min(noise, most_noise);
    return found_ = true;
  }

  // f: m residuals at x, eps: the rounding unit that they were computed with, if no larger noise
  // is known. J must stay until the next Jacobian.
  // evaluate(j, x_j) gives the residuals with another x_j; they are valid until its next call.
  template <class Evaluate>
  void jacobian(const std::vector<T>& x, const T* f, int64_t m, double eps, Evaluate&& evaluate,
                T* J) {
    eps = std::max(eps, noise_);
    at_ = x, J_ = J;
    T largest = 0;
    for (int64_t i = 0; i < m; ++i) largest = std::max(largest, std::abs(f[i]));
    const T noise = static_cast<T>(noise_units * eps * static_cast<double>(largest));
    const T unit = static_cast<T>(central_ ? std::cbrt(eps) : std::sqrt(eps));
    reach_.resize(x.size()), slope_.resize(x.size()), ahead_.resize(x.size());
    change_ = 0;
    for (size_t j = 0; j < x.size(); ++j) {
      T* out = J + static_cast<int64_t>(j) * m;
      reach_[j] = std::max(reach_[j], x[j] == 0 ? T(1) : std::abs(x[j]));
      Difference d = column(x[j], j, step(x[j], j, unit), f, m, evaluate, out);
      if (rel_step_.empty() && std::abs(x[j]) < 1 && d.change <= noise) {
        d = column(x[j], j, x[j] >= 0 ? unit : -unit, f, m, evaluate, out);
      }
      // In the first Jacobian alone: a column may have no effect.
      if (d.change == 0 && largest_ == 0 && patience() > 0 &&
          find_rounding(x[j], j, std::abs(d.step), noise, f, m, evaluate, out)) {
        return jacobian(x, f, m, eps, evaluate, J);
      }
      slope_[j] = d.change / std::abs(d.step);
      change_ = std::max(change_, d.change);
    }
    largest_ = std::max(largest_, largest);
  }

 private:
  template <class Core, class Room, class At>
  void take(const Core& core, const std::vector<T>& x, double rounding, Room& room, At& at) {
    if (core.njev() > 0) close_in(core.stationarity().cosine, rounding);
    std::vector<T> moved = x;
    const auto evaluate = [&](size_t j, T x_j) {
      moved[j] = x_j;
      const T* f = at(moved);
      moved[j] = x[j];
      return f;
    };
    jacobian(x, core.trial_fun(), core.m(), rounding, evaluate, room());
  }

  // A difference below so many rounding units of the residuals is noise.
  static constexpr double noise_units = 64;
  // Of the largest change by a difference: a linear model that is wrong by more is curved, or
  // noise.
  static constexpr T wrong_from = T(1e-3);
  static constexpr double most_noise = 1e-2;
  // Of the largest residual: a parameter that changes none by this much is near zero by chance.
  static constexpr T noticed = T(1e-2);
  // What rounding may leave of a parameter that a step of its own size took to 0.
  static constexpr T next_to_nothing = 16 * std::numeric_limits<T>::epsilon();

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
    const bool lost = (x + h) - x == 0 || size <= next_to_nothing * reach_[j];
    return lost ? sign * unit * std::max(T(1), size) : h;
  }

  // The largest change of a residual, over the step that was taken after rounding.
  struct Difference {
    T change, step;
  };

  // After a step that changed no residual: whether a longer one changes them by so much that the
  // short one should have. Then they, or x on the way to them, are rounded to float or to half.
  template <class Evaluate>
  bool find_rounding(T x, size_t j, T step, T noise, const T* f, int64_t m, Evaluate& evaluate,
                     T* out) {
    const T ahead = ahead_[j];
    for (const double eps : {0x1p-23, 0x1p-10}) {
      const T h = static_cast<T>(std::sqrt(eps)) * (x == 0 ? T(1) : x);
      if (!(std::abs(h) > step)) continue;
      const Difference d = column(x, j, h, f, m, evaluate, out);
      std::fill_n(out, m, T(0));
      if (std::isfinite(d.change) && d.change * step > noise * std::abs(d.step)) {
        noise_ = eps;
        return true;
      }
    }
    ahead_[j] = ahead;
    return false;
  }

  // x_j, which rounding may have led across a bound.
  T inside(T x, size_t j) const {
    return lower_.empty() ? x : std::min(std::max(x, lower_[j]), upper_[j]);
  }

  // Writes column j to out.
  template <class Evaluate>
  Difference column(T x, size_t j, T h, const T* f, int64_t m, Evaluate& evaluate, T* out) {
    const T infinite = std::numeric_limits<T>::infinity();
    const T down = lower_.empty() ? -infinite : lower_[j] - x;
    const T up = upper_.empty() ? infinite : upper_[j] - x;
    const T roomy = up >= -down ? up : down;
    T& ahead = ahead_[j];
    if (!central_) {
      if (!(down <= h && h <= up)) h = down <= -h && -h <= up ? -h : roomy;
      const T to = inside(x + h, j);
      ahead = to - x;
      return quotient(evaluate(j, to), f, ahead, m, out);
    }
    if (down <= -std::abs(h) && std::abs(h) <= up) {
      const T right = inside(x + h, j), left = inside(x - h, j);
      ahead = right - x;
      std::copy_n(evaluate(j, right), m, out);
      return quotient(out, evaluate(j, left), ahead - (left - x), m, out);
    }
    // Beside a bound: the parabola through x, x + h, x + 2h on the side that has room.
    h = std::copysign(std::min(std::abs(h), std::abs(roomy) / 2), roomy);
    const T half = inside(x + h, j), end = inside(x + 2 * h, j);
    if (half == x || half == end) {  // no number lies between
      const T to = inside(x + roomy, j);
      ahead = to - x;
      return quotient(evaluate(j, to), f, ahead, m, out);
    }
    std::copy_n(evaluate(j, half), m, out);
    const T* second = evaluate(j, end);
    const T one = half - x, two = ahead = end - x;
    T change = 0;
    for (int64_t i = 0; i < m; ++i) {
      const T near = out[i] - f[i], far = second[i] - f[i];
      change = larger(change, far);
      out[i] = (near * (two / one) - far * (one / two)) / (two - one);
    }
    return {change, two};
  }

  // out <- (ahead - behind) / step, where out may be ahead. The largest |ahead - behind| is found
  // in four lanes so that the loop vectorises. A maximum would lose a NaN: `finite` keeps it.
  static Difference quotient(const T* ahead, const T* behind, T step, int64_t m, T* out) {
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
      for (int64_t l = 0; l < 4; ++l) out[i + l] = difference[l] / step;
    }
    T most = 0;
    for (; i < m; ++i) {
      const T difference = ahead[i] - behind[i];
      most = larger(most, difference);
      out[i] = difference / step;
    }
    for (int64_t l = 0; l < 4; ++l) most = larger(most, change[l] + finite[l]);
    return {most, step};
  }

  // A NaN counts as infinite.
  static T larger(T a, T b) {
    return std::abs(b) <= a ? a : b == b ? std::abs(b) : std::numeric_limits<T>::infinity();
  }

  bool central_, looked_ = false, found_ = false;
  double noise_ = 0;
  std::vector<T> rel_step_, lower_, upper_;
  std::vector<T> at_;     // the point of the last Jacobian
  T* J_ = nullptr;        // and its memory
  T change_ = 0;          // the largest change of a residual in it
  T largest_ = 0;         // of all residuals so far
  std::vector<T> reach_;  // how large each x_j has been
  std::vector<T> slope_;  // the largest element of each column
  std::vector<T> ahead_;  // the step of each x_j, to the side that was evaluated
};

}  // namespace steepest::nlls
