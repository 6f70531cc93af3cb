// Residuals of the accepted point and of the one on trial, their costs, and the weights of a
// robust loss.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "nlls/loss.hpp"

namespace steepest::nlls {

template <class Backend>
class Residuals {
 public:
  using T = typename Backend::Scalar;
  using Vector = typename Backend::Vector;

  Residuals(Loss loss, double f_scale) : loss_(loss), f_scale_(f_scale) {}

  // f of the point on trial. given: ρ, ρ', ρ'' at (f / f_scale)², three rows of m, for Loss::given.
  void set_trial(const T* f, int64_t m, const T* given) {
    trial_.assign(f, f + m);
    if (loss_ == Loss::given) given_.assign(given, given + 3 * m);
  }

  double trial_cost() const {
    return 0.5 * (loss_ == Loss::linear ? 1 : f_scale_ * f_scale_) *
           Backend::sum(size(), [this](int64_t i) { return value(trial_, given_, i); });
  }

  // Cost of the accepted point less that of the trial, summed so that equal parts cancel before
  // they are rounded: ½ Σ (f - f₊)(f + f₊).
  double decrease() const {
    if (loss_ == Loss::linear) {
      return 0.5 * Backend::sum(size(), [this](int64_t i) {
               const size_t k = static_cast<size_t>(i);
               const double a = static_cast<double>(f_[k]), b = static_cast<double>(trial_[k]);
               return (a - b) * (a + b);
             });
    }
    return 0.5 * f_scale_ * f_scale_ * Backend::sum(size(), [this](int64_t i) {
             return value(f_, f_given_, i) - value(trial_, given_, i);
           });
  }

  void accept() {
    std::swap(f_, trial_);
    std::swap(f_given_, given_);
  }

  // Weights of the trial's rows.
  void weigh_trial() {
    jac_weight_.resize(trial_.size());
    res_weight_.resize(trial_.size());
    Backend::each(size(), [this](int64_t i) {
      const size_t k = static_cast<size_t>(i);
      const Rho r = rho_at(trial_, given_, i);
      const RowWeights<T> w = row_weights<T>(r.first, r.second, z(trial_, i));
      jac_weight_[k] = w.jacobian;
      res_weight_[k] = w.residual;
    });
  }

  bool robust() const { return loss_ != Loss::linear; }
  int64_t size() const { return static_cast<int64_t>(trial_.size()); }
  const T* accepted() const { return f_.data(); }
  const T* trial() const { return trial_.data(); }
  const T* jac_weight() const { return robust() ? jac_weight_.data() : nullptr; }
  const T* res_weight() const { return robust() ? res_weight_.data() : nullptr; }

 private:
  double z(const Vector& f, int64_t i) const {
    const double scaled = static_cast<double>(f[static_cast<size_t>(i)]) / f_scale_;
    return scaled * scaled;
  }

  Rho rho_at(const Vector& f, const Vector& given, int64_t i) const {
    if (loss_ != Loss::given) return rho(loss_, z(f, i));
    const size_t k = static_cast<size_t>(i), m = f.size();
    return {static_cast<double>(given[k]), static_cast<double>(given[m + k]),
            static_cast<double>(given[2 * m + k])};
  }

  double value(const Vector& f, const Vector& given, int64_t i) const {
    if (loss_ == Loss::linear) {
      const double v = static_cast<double>(f[static_cast<size_t>(i)]);
      return v * v;
    }
    return rho_at(f, given, i).value;
  }

  Loss loss_;
  double f_scale_;
  Vector f_, trial_, f_given_, given_, jac_weight_, res_weight_;
};

}  // namespace steepest::nlls
