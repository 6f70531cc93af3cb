// The damped quadratic model minimized inside a box.
//
//   minimize  q(s) = gᵀs + ½ sᵀ(H + λD²)s   subject to  lower <= x + s <= upper
//
// by Bertsekas' two-metric projection (SIAM J. Control Optim. 20 (1982) 221-246): variables on a
// bound that the gradient pushes outwards rest; on the others, the free set, a Newton step, then a
// projected line search. The search is on q, so it costs no evaluation of the residuals.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "linalg/dense.hpp"

namespace steepest::nlls {

template <class Backend>
class BoxModel {
 public:
  using T = typename Backend::Scalar;

  BoxModel(std::vector<T> lower, std::vector<T> upper, int64_t n)
      : lower_(std::move(lower)), upper_(std::move(upper)), all_(static_cast<size_t>(n)), n_(n) {
    std::iota(all_.begin(), all_.end(), 0);
    if (!bounded()) return;
    for (auto* v : {&r_, &d_, &product_, &next_}) v->resize(all_.size());
  }

  bool bounded() const { return !lower_.empty(); }

  // -1 on the lower, 1 on the upper bound, 0 between.
  int side(T x, int64_t j) const {
    if (!bounded()) return 0;
    return x <= lower(j) ? -1 : x >= upper(j) ? 1 : 0;
  }

  // True where x is on a bound and the gradient pushes it outwards.
  bool rests(T x, T gradient, int64_t j) const {
    const int at = side(x, j);
    return (at < 0 && gradient > 0) || (at > 0 && gradient < 0);
  }

  T clip(T value, int64_t j) const {
    return bounded() ? std::min(std::max(value, lower(j)), upper(j)) : value;
  }

  const std::vector<int64_t>& all() const { return all_; }

  T lower(int64_t j) const { return lower_[static_cast<size_t>(j)]; }
  T upper(int64_t j) const { return upper_[static_cast<size_t>(j)]; }

  // The step s from x; false where the system is singular.
  bool minimize(Backend& backend, linalg::Damping<T> damping, const T* x, T* s) {
    const T* g = backend.gradient();
    std::fill_n(s, n_, T(0));
    if (!bounded()) return backend.solve(damping, all_, s, g, s);
    std::copy_n(g, n_, r_.data());
    std::vector<int64_t> free, before;
    for (int64_t round = 0; round < 2 * n_ + 10; ++round) {
      before = std::move(free);
      free = free_set(x, s);
      if (free.empty() || (full_step_ && free == before)) break;
      std::fill(d_.begin(), d_.end(), T(0));
      if (!backend.solve(damping, free, s, r_.data(), d_.data())) return false;
      if (!search(backend, damping, x, s)) break;
    }
    full_step_ = false;
    return true;
  }

 private:
  std::vector<int64_t> free_set(const T* x, const T* s) const {
    std::vector<int64_t> free;
    for (int64_t j = 0; j < n_; ++j) {
      if (!rests(x[j] + s[j], r_[static_cast<size_t>(j)], j)) free.push_back(j);
    }
    return free;
  }

  // s <- P(s + αd) for the first α of 1, 1/2, 1/4, ... that lowers q enough; r follows. Where d is
  // so long that none does, the step to the nearest bound, or as far on the way as lowers q. False
  // where that does not either, which is rounding: s is then the minimum as far as it can be told.
  bool search(Backend& backend, linalg::Damping<T> damping, const T* x, T* s) {
    for (T alpha = 1; alpha > T(1e-6); alpha /= 2) {
      const Change q = change(backend, damping, x, s, alpha);
      if (!(q.slope < 0) || q.slope + q.curvature / 2 > 1e-4 * q.slope) continue;
      take(T(1), s);
      full_step_ = q.full;
      return true;
    }
    const Change q = change(backend, damping, x, s, to_nearest_bound(x, s));
    if (!(q.slope < 0)) return false;
    const double lowest = q.curvature > 0 ? -q.slope / q.curvature : 1;
    take(static_cast<T>(std::min(1.0, lowest)), s);
    full_step_ = false;
    return true;
  }

  // What P(s + αd) - s is to q.
  struct Change {
    double slope, curvature;
    bool full;  // no bound was met
  };

  // Leaves the change of s in next_, that of r in product_.
  Change change(Backend& backend, linalg::Damping<T> damping, const T* x, const T* s, T alpha) {
    Change q{0, 0, alpha == 1};
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      const T wanted = x[j] + s[j] + alpha * d_[i];
      const T at = clip(wanted, j);
      q.full = q.full && at == wanted;
      next_[i] = at == wanted ? alpha * d_[i] : at - x[j] - s[j];
      q.slope += static_cast<double>(r_[i]) * static_cast<double>(next_[i]);
    }
    backend.product(next_.data(), product_.data());
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      product_[i] += damping.lambda * damping.D[j] * damping.D[j] * next_[i];
      q.curvature += static_cast<double>(product_[i]) * static_cast<double>(next_[i]);
    }
    return q;
  }

  void take(T share, T* s) {
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      s[j] += share * next_[i];
      r_[i] += share * product_[i];
    }
  }

  // The largest α for which s + αd meets no bound but those that s is on.
  T to_nearest_bound(const T* x, const T* s) const {
    T alpha = 1;
    for (int64_t j = 0; j < n_; ++j) {
      const T d = d_[static_cast<size_t>(j)], at = x[j] + s[j];
      const T room = d > 0 ? upper(j) - at : at - lower(j);
      if (room > 0) alpha = std::min(alpha, room / std::abs(d));
    }
    return alpha;
  }

  std::vector<T> lower_, upper_, r_, d_, product_, next_;
  std::vector<int64_t> all_;
  int64_t n_;
  bool full_step_ = false;
};

}  // namespace steepest::nlls
