// The point on trial, x + a share of a step s, and what the model predicts of it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "nlls/norm.hpp"
#include "nlls/scaling.hpp"
#include "nlls/step/box_model.hpp"
#include "nlls/stopping.hpp"

namespace steepest::nlls {

template <class Backend>
class Trial {
 public:
  using T = typename Backend::Scalar;

  explicit Trial(std::vector<T> x0) : point(std::move(x0)), product_(point.size()) {}

  // A new step from the current point of the backend, to be tried as a whole.
  void take(Backend& backend, const std::vector<T>& s) {
    backend.product(s.data(), product_.data());
    share = 1;
    slope = curvature_ = 0;
    for (size_t i = 0; i < s.size(); ++i) {
      const double step = static_cast<double>(s[i]);
      slope += static_cast<double>(backend.gradient()[i]) * step;
      curvature_ += static_cast<double>(product_[i]) * step;
    }
  }

  // Puts the point where that share of the step ends; false where that is x.
  bool place(const BoxModel<Backend>& model, const std::vector<T>& x, const std::vector<T>& s,
             const Scaling<T>& scaling, double cost) {
    bool moved = false;
    for (size_t i = 0; i < x.size(); ++i) {
      const int64_t j = static_cast<int64_t>(i);
      point[i] = share == 1 ? model.end(x.data(), s.data(), j)
                            : model.box().clip(x[i] + static_cast<T>(share) * s[i], j);
      moved = moved || point[i] != x[i];
    }
    judged.length = scaling.length(s);  // whole: shares are short however far the minimum
    judged.x_norm = scaling.length(x);
    judged.Jx_norm = scaling.by_columns(x);
    judged.most_Jx_norm = scaling.by_largest_columns(x);
    judged.plain_length = share * norm(s);
    judged.plain_x_norm = norm(x);
    const bool zero = judged.plain_x_norm == 0;  // tells no size: the step does
    most_x_norm_ = std::max(most_x_norm_, zero ? judged.length : judged.x_norm);
    most_plain_x_norm_ = std::max(most_plain_x_norm_, zero ? norm(s) : judged.plain_x_norm);
    judged.unit_norm = std::min(scaling.unit_norm(), most_x_norm_);
    judged.plain_unit = std::min(1.0, most_plain_x_norm_);
    judged.cost = cost;
    // Does not cancel: for a step of the damped system |Js|² <= -gᵀs.
    judged.predicted = -slope - 0.5 * curvature_;
    return moved;
  }

  // Whether this is a share of a step that is longer, and promised more, than rounding in f and x
  // and errors of differences account for.
  bool in_vain() const {
    const double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
    return share < 1 && judged.predicted > std::sqrt(eps) * judged.cost &&
           judged.length > 64 * eps * judged.x_norm && !within_rounding<T>(judged);
  }

  std::vector<T> point;
  Step judged{};  // `actual` is set once the cost there is told
  double share = 1;
  double slope = 0;  // gᵀs

 private:
  double curvature_ = 0;                            // |Js|²
  double most_x_norm_ = 0, most_plain_x_norm_ = 0;  // the largest so far
  std::vector<T> product_;
};

}  // namespace steepest::nlls
