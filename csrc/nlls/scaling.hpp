// D of the damped system, and the units that a step is measured in.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "nlls/norm.hpp"
#include "nlls/options.hpp"

namespace steepest::nlls {

// D is 1/x_scale where that is given, else for Marquardt the largest norm that each column of J has
// had, else 1. Only its ratios count: a given one is multiplied by 2^-exponent, so that neither D²
// nor 1/D² leaves the range, and λ counts in units of 4^exponent.
template <class T>
class Scaling {
 public:
  Scaling(Method method, const std::vector<T>& x_scale, size_t n)
      : given_(!x_scale.empty()),
        by_columns_(method == Method::marquardt && !given_),
        D_(n, T(1)),
        columns_(n),
        norms_(n) {
    if (!given_) return;
    const auto [least, most] = std::minmax_element(x_scale.begin(), x_scale.end());
    exponent_ = -(std::ilogb(*least) + std::ilogb(*most)) / 2;
    for (size_t j = 0; j < n; ++j) D_[j] = 1 / std::ldexp(x_scale[j], exponent_);
  }

  bool given() const { return given_; }
  const T* D() const { return D_.data(); }
  int exponent() const { return exponent_; }

  // The squared norms of J's columns at an accepted point; the largest |column|/D.
  double take_columns(const T* norms2) {
    double largest = 0;
    for (size_t j = 0; j < D_.size(); ++j) {
      const T norm = norms_[j] = std::sqrt(norms2[j]);
      columns_[j] = std::max(columns_[j], norm);
      if (by_columns_) D_[j] = columns_[j] > 0 ? columns_[j] : T(1);
      largest = std::max(largest, static_cast<double>(norm / D_[j]));
    }
    return largest;
  }

  // |Dx|, as the length of a step; no limit at x = 0.
  double own_size(const std::vector<T>& x) const {
    const double size = norm(x, D());
    return size > 0 ? size : std::numeric_limits<double>::infinity();
  }

  // The norms of a vector and of a vector of ones, in units of x_scale where that is given, else of
  // the columns' largest norms; and the norm of a vector in units of the present columns.
  double length(const std::vector<T>& v) const { return in_units() * norm(v, unit().data()); }
  double unit_norm() const { return in_units() * norm(unit()); }
  double by_columns(const std::vector<T>& v) const { return norm(v, norms_.data()); }
  double by_largest_columns(const std::vector<T>& v) const { return norm(v, columns_.data()); }

 private:
  const std::vector<T>& unit() const { return given_ ? D_ : columns_; }
  double in_units() const { return std::ldexp(1.0, exponent_); }

  bool given_, by_columns_;
  int exponent_ = 0;
  std::vector<T> D_, columns_, norms_;  // columns_: the largest that norms_ have been
};

}  // namespace steepest::nlls
