// The damped quadratic model minimized inside a box.
//
//   minimize  q(s) = gᵀs + ½ sᵀ(H + λD²)s   subject to  lower limit <= x + s <= upper limit
//
// by Bertsekas' two-metric projection (SIAM J. Control Optim. 20 (1982) 221-246). Variables on a
// bound that the gradient pushes outwards rest. The others, the free set, take a Newton step, which
// is projected. If that does not lower q enough, variables on a bound that the step leads outwards
// rest as well, and a new step is computed: cut off, a Newton step of nearly dependent columns can
// creep for ever. If there are none, the step ends at the first bound on its way. (Trying 1/2, 1/4,
// ... of it first took 1.0 to 2 times as long on random problems of 4 to 120 variables.)
//
// Which bounds x + s is on is kept beside s: the rounded sum may miss a bound, and the variable
// would then count as free, with next to no room, which stops the long steps of a nearly singular
// JᵀJ.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "linalg/dense/dense.hpp"
#include "nlls/box.hpp"
#include "nlls/norm.hpp"

namespace steepest::nlls {

// How far towards bounds a step may go: a model that is wrong so far away leads to bounds from
// which a fit does not come back.
enum class Reach {
  half,       // half of the way: the step before did not do as predicted
  pressed,    // the same, but onto bounds that the step before was pressed against
  any_bound,  // onto any: the model is all but exact, as of a linear problem, where halves would go
              // on for ever if a multiplier is zero (1,095 evaluations of 60 problems, 278 so)
};

template <class Backend>
class BoxModel {
 public:
  using T = typename Backend::Scalar;

  BoxModel(Box<T> box, int64_t n) : box_(std::move(box)), all_(static_cast<size_t>(n)), n_(n) {
    std::iota(all_.begin(), all_.end(), 0);
    if (!box_.bounded()) return;
    for (auto* v : {&low_, &high_, &r_, &d_, &product_, &next_, &columns_}) v->resize(all_.size());
    for (auto* v : {&on_, &next_on_, &pressed_, &held_, &low_closed_, &high_closed_}) {
      v->resize(all_.size());
    }
  }

  const Box<T>& box() const { return box_; }
  const std::vector<int64_t>& all() const { return all_; }

  // x + s of the last s that minimize gave.
  T end(const T* x, const T* s, int64_t j) const {
    return box_.clip(box_.bounded() ? at(x, s, j) : x[j] + s[j], j);
  }

  // Whether the last s is the minimum, as far as rounding shows.
  bool solved() const { return solved_; }

  // The variables that the last system was solved for.
  const std::vector<int64_t>& free() const { return box_.bounded() ? free_ : all_; }

  // s <- s + a of the last s that minimize gave, unless that meets a limit.
  void bend(const T* x, const T* a, T* s) const {
    const auto meets = [&](int64_t j) {
      return box_.bounded() && limit_at(x[j] + s[j] + a[j], j) != 0;
    };
    if (std::any_of(free().begin(), free().end(), meets)) return;
    for (const int64_t j : free()) s[j] += a[j];
  }

  // Limits of the steps from x.
  void set_limits(Backend& backend, const T* x, Reach reach) {
    if (!box_.bounded()) return;
    for (int64_t j = 0; j < n_; ++j) {
      columns_[static_cast<size_t>(j)] = std::sqrt(backend.norms2()[j]);
      next_[static_cast<size_t>(j)] = x[j];
    }
    const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
    rounding_ = 8 * eps * norm(next_, columns_.data());
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      const auto limit = [&](int side, T bound) {
        const bool whole = !closed(side, i) && (reach == Reach::any_bound ||
                                                (reach == Reach::pressed && pressed_[i] == side));
        return whole ? bound : x[j] / 2 + bound / 2;
      };
      low_[i] = limit(-1, box_.lower(j));
      high_[i] = limit(1, box_.upper(j));
    }
  }

  // The last s has been taken.
  void accepted() { pressed_ = on_; }

  // The last s gave nothing finite: from now on steps stop short of the bounds that it reached.
  // Whether there were any.
  bool close(const T* x) {
    if (!box_.bounded()) return false;
    bool any = false;
    for (const int64_t j : all_) {
      const size_t i = static_cast<size_t>(j);
      if (!onto_bound(x, j)) continue;
      (on_[i] < 0 ? low_closed_ : high_closed_)[i] = 1;
      any = true;
    }
    return any;
  }

  // Whether the last s ends on a limit that is short of its bound, which a later one may reach.
  bool held_off() const {
    if (!box_.bounded()) return false;
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      const int side = on_[i];
      if (side != 0 && !closed(side, i) && limit(side, j) != bound(side, j)) return true;
    }
    return false;
  }

  // The step s from x, within the limits; false where the system is singular.
  bool minimize(Backend& backend, linalg::Damping<T> damping, const T* x, T* s) {
    const T* g = backend.gradient();
    std::fill_n(s, n_, T(0));
    if (!box_.bounded()) return backend.solve(damping, all_, s, g, s);
    std::copy_n(g, n_, r_.data());
    for (int64_t j = 0; j < n_; ++j) on_[static_cast<size_t>(j)] = limit_at(x[j], j);
    std::fill(held_.begin(), held_.end(), 0);
    moved_ = false;
    free_.clear();
    for (int64_t round = 0; round < 10 * n_ + 10; ++round) {
      const std::vector<int64_t> before = std::exchange(free_, free_set());
      solved_ = free_.empty() || (full_step_ && free_ == before);
      if (solved_) break;
      std::fill(d_.begin(), d_.end(), T(0));
      if (!backend.solve(damping, free_, s, r_.data(), d_.data())) return false;
      if (!move(backend, damping, x, s)) break;
    }
    return true;
  }

 private:
  T limit(int side, int64_t j) const { return (side < 0 ? low_ : high_)[static_cast<size_t>(j)]; }
  T bound(int side, int64_t j) const { return side < 0 ? box_.lower(j) : box_.upper(j); }
  bool closed(int side, size_t i) const { return (side < 0 ? low_closed_ : high_closed_)[i] != 0; }
  // Whether the last s leads from x onto a bound of variable j that is not closed.
  bool onto_bound(const T* x, int64_t j) const {
    const size_t i = static_cast<size_t>(j);
    const int side = on_[i];
    return side != 0 && !closed(side, i) && limit(side, j) == bound(side, j) &&
           x[j] != bound(side, j);
  }
  int limit_at(T x, int64_t j) const { return x <= limit(-1, j) ? -1 : x >= limit(1, j) ? 1 : 0; }
  int towards(int64_t j) const { return d_[static_cast<size_t>(j)] < 0 ? -1 : 1; }

  T at(const T* x, const T* s, int64_t j) const {
    const int side = on_[static_cast<size_t>(j)];
    return side != 0 ? limit(side, j) : x[j] + s[j];
  }

  std::vector<int64_t> free_set() const {
    std::vector<int64_t> free;
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      if (!(static_cast<T>(on_[i]) * r_[i] < 0 || held_[i])) free.push_back(j);
    }
    return free;
  }

  // Holds the free variables on a bound that d leads outwards; whether there were any.
  bool hold() {
    bool any = false;
    for (size_t i = 0; i < held_.size(); ++i) {
      if (!(static_cast<T>(on_[i]) * d_[i] > 0)) continue;
      held_[i] = 1;
      any = true;
    }
    return any;
  }

  // s <- P(s + d) if that lowers q enough; r, the gradient of q, follows. Else variables are held
  // for another d, or s goes to the nearest bound on the way, or to the lowest q before it. False
  // if d is nothing but rounding, at the minimum or of a singular JᵀJ: it is rounding of x, after s
  // has moved, or q does not fall along it.
  bool move(Backend& backend, linalg::Damping<T> damping, const T* x, T* s) {
    if (moved_ && norm(d_, columns_.data()) <= rounding_) return false;
    const Change whole = change(backend, damping, x, s, 1);
    if (whole.slope < 0 && whole.slope + whole.curvature / 2 <= 1e-4 * whole.slope) {
      take(T(1), s);
      full_step_ = whole.full;
      return true;
    }
    full_step_ = false;
    if (hold()) return true;
    const Nearest nearest = nearest_bound(x, s);
    const Change q = change(backend, damping, x, s, nearest.alpha, nearest.j);
    if (!(q.slope < 0) && nearest.alpha > 0) return false;  // at 0 the bound is noted
    const double lowest = q.curvature > 0 ? -q.slope / q.curvature : 1;
    take(static_cast<T>(std::min(1.0, lowest)), s);
    return true;
  }

  // Slope and curvature of q along P(s + αd) - s.
  struct Change {
    double slope, curvature;
    bool full;  // no bound was met
  };

  // Leaves the change of s in next_, that of r in product_, and in next_on_ the bounds that are
  // met, the one of variable `onto` among them.
  Change change(Backend& backend, linalg::Damping<T> damping, const T* x, const T* s, T alpha,
                int64_t onto = -1) {
    Change q{0, 0, true};
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      const T step = alpha * d_[i];
      const int to = limit_at(at(x, s, j) + step, j);
      q.full = q.full && (to == 0 || step == 0);
      next_[i] = to == 0 ? step : to == on_[i] ? T(0) : limit(to, j) - x[j] - s[j];
      next_on_[i] = to;
      q.slope += static_cast<double>(r_[i]) * static_cast<double>(next_[i]);
    }
    if (onto >= 0) next_on_[static_cast<size_t>(onto)] = towards(onto);
    backend.product(next_.data(), product_.data());
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      product_[i] += damping.lambda * damping.D[j] * damping.D[j] * next_[i];
      q.curvature += static_cast<double>(product_[i]) * static_cast<double>(next_[i]);
    }
    return q;
  }

  void take(T share, T* s) {
    moved_ = true;
    std::fill(held_.begin(), held_.end(), 0);
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      s[j] += share * next_[i];
      r_[i] += share * product_[i];
      on_[i] = share == 1 || next_on_[i] == on_[i] ? next_on_[i] : 0;
    }
  }

  // The first bound on the way along d, which leads outwards from none that s is on.
  struct Nearest {
    T alpha;
    int64_t j;  // -1: none before s + d
  };

  Nearest nearest_bound(const T* x, const T* s) const {
    Nearest out{1, -1};
    for (int64_t j = 0; j < n_; ++j) {
      const size_t i = static_cast<size_t>(j);
      const T room = std::abs(limit(towards(j), j) - at(x, s, j));
      if (room < out.alpha * std::abs(d_[i])) out = {room / std::abs(d_[i]), j};
    }
    return out;
  }

  Box<T> box_;
  std::vector<T> low_, high_, r_, d_, product_, next_, columns_;
  std::vector<int> on_, next_on_;  // -1 where x + s is on the lower limit, 1 on the upper
  std::vector<int> pressed_;       // on_ of the step before
  std::vector<int> held_;          // 1 where a variable on a bound rests until s moves
  std::vector<int> low_closed_, high_closed_;  // 1 where a step onto the bound gave nothing finite
  std::vector<int64_t> all_, free_;
  int64_t n_;
  double rounding_ = 0;  // of x, in units of J's columns
  bool moved_ = false, full_step_ = false, solved_ = true;
};

}  // namespace steepest::nlls
