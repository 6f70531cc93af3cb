// Residuals of the accepted point and of the one on trial, their costs, and the weights of a
// robust loss.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "nlls/loss_terms.hpp"

namespace steepest::nlls {

template <class Backend>
class Residuals {
 public:
  using T = typename Backend::Scalar;
  using Space = typename Backend::Space;
  using Vector = typename Space::Vector;

  Residuals(Loss loss, double f_scale) : loss_(loss), f_scale_(f_scale) {}

  struct Costs {
    double trial, decrease;
  };
  // Takes f of the point on trial (given: ρ, ρ', ρ'' at (f / f_scale)², three rows of m, for
  // Loss::given) and answers its cost; with `decrease` also the accepted point's less that of the
  // trial, summed so that equal parts cancel before they are rounded: ½ Σ (f - f₊)(f + f₊).
  Costs costs(Space& space, const T* f, int64_t m, const T* given, bool decrease) {
    space.resize(trial_, m);
    if (loss_ == Loss::given) space.copy(given, 3 * m, given_);
    const auto sum = [&](const auto& term) {
      return space.copy_and_sum(f, m, trial_.data(), term);
    };
    linalg::Sums sums{};
    if (robust()) {
      space.resize(trial_rho_, m);
      const double* before = decrease ? rho_.data() : nullptr;
      sums = with_loss([&](auto loss) {
        return sum(RobustCosts<T, decltype(loss)>{scaled(loss, trial_, given_), before,
                                                  trial_rho_.data()});
      });
    } else {
      sums = sum(SquaredCosts<T>{trial_.data(), decrease ? f_.data() : nullptr});
    }
    const double half = 0.5 * (robust() ? f_scale_ * f_scale_ : 1);
    return {half * sums.first, half * sums.second};
  }

  void accept() {
    std::swap(f_, trial_);
    std::swap(f_given_, given_);
    std::swap(rho_, trial_rho_);
  }

  // Weights of the trial's rows, with the cost's own curvature, ρ' + 2ρ''z, but at least so much of
  // ρ'; 0: exactly. For large residuals the curvature is little or none, which away from the
  // minimum says too little.
  void weigh_trial(Space& space, double least) {
    exact_ = least == 0;
    weigh(space, trial_, given_, least);
  }
  bool weighed_exactly() const { return exact_; }

  // The accepted point's, exact; until the trial's are asked for again.
  const T* accepted_weight(Space& space) {
    weigh(space, f_, f_given_, 0);
    return jac_weight_.data();
  }

  // About how much the loss leaves of JᵀJ: the mean of the rows' w², weighted by w². It is near 1
  // as long as some rows are where the loss is quadratic, however many are not.
  double curvature_left(Space& space) const {
    const linalg::Sums sums = space.sum(size(), WeightPowers<T>{jac_weight_.data()});
    return sums.second / sums.first;  // a weight is at least √ε
  }

  bool robust() const { return loss_ != Loss::linear; }
  int64_t size() const { return static_cast<int64_t>(trial_.size()); }
  const T* accepted() const { return f_.data(); }
  const T* trial() const { return trial_.data(); }
  const T* jac_weight() const { return robust() ? jac_weight_.data() : nullptr; }
  const T* res_weight() const { return robust() ? res_weight_.data() : nullptr; }

 private:
  // f(loss), on the host with the loss as a constant.
  template <class F>
  auto with_loss(const F& f) const {
    if constexpr (std::is_same_v<Space, linalg::HostSpace<T>>) {
      switch (loss_) {
        case Loss::soft_l1:
          return f(std::integral_constant<Loss, Loss::soft_l1>{});
        case Loss::huber:
          return f(std::integral_constant<Loss, Loss::huber>{});
        case Loss::cauchy:
          return f(std::integral_constant<Loss, Loss::cauchy>{});
        case Loss::arctan:
          return f(std::integral_constant<Loss, Loss::arctan>{});
        case Loss::tukey:
          return f(std::integral_constant<Loss, Loss::tukey>{});
        case Loss::linear:
        case Loss::given:
          break;
      }
    }
    return f(loss_);
  }

  template <class Kind>
  Scaled<T, Kind> scaled(Kind loss, const Vector& f, const Vector& given) const {
    return {loss, f_scale_, f.data(), given.data(), static_cast<int64_t>(f.size())};
  }

  void weigh(Space& space, const Vector& f, const Vector& given, double least) {
    const auto m = static_cast<int64_t>(f.size());
    space.resize(jac_weight_, m);
    space.resize(res_weight_, m);
    with_loss([&](auto loss) {
      space.each(m, WeighRows<T, decltype(loss)>{scaled(loss, f, given), least, jac_weight_.data(),
                                                 res_weight_.data()});
    });
  }

  Loss loss_;
  double f_scale_;
  bool exact_ = true;
  typename Space::Doubles rho_, trial_rho_;  // ρ of each row
  Vector f_, trial_, f_given_, given_, jac_weight_, res_weight_;
};

}  // namespace steepest::nlls
