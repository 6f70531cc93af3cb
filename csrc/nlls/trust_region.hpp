// The iteration: judges the point on trial, accepts or rejects it, and proposes the next.
//
// A step s solves (JᵀJ + λD²) s = -Jᵀf. Levenberg, Quart. Appl. Math. 2 (1944) 164-168: D = 1.
// Marquardt, SIAM J. 11 (1963) 431-441, with the scaling of Moré, The Levenberg-Marquardt
// Algorithm (1978), section 6: D holds the largest norm that each column has had. λ is what makes
// |Ds| as long as the radius: step/damping.hpp.
//
//   judge            the cost on trial is known: reject, or accept and ask for J
//   take             J is known: the point becomes the accepted one
//   next             stop, or propose
//   reject           stop, or ask for a better J, or propose a shorter step
//   propose          the next point: ask for its residuals, in long valleys first for some ahead
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "nlls/checks.hpp"
#include "nlls/gradient.hpp"
#include "nlls/look_ahead.hpp"
#include "nlls/norm.hpp"
#include "nlls/options.hpp"
#include "nlls/phase.hpp"
#include "nlls/residuals.hpp"
#include "nlls/rise.hpp"
#include "nlls/scaling.hpp"
#include "nlls/step/box_model.hpp"
#include "nlls/step/damping.hpp"
#include "nlls/step/finder.hpp"
#include "nlls/stopping.hpp"
#include "nlls/trial.hpp"

namespace steepest::nlls {

template <class Backend>
class TrustRegion {
 public:
  using T = typename Backend::Scalar;

  TrustRegion(std::vector<T> x0, const Options<T>& options, typename Backend::Space space)
      : options_(options),
        backend_(static_cast<int64_t>(x0.size()), options.linear_solver, std::move(space)),
        residuals_(options.loss, options.f_scale),
        model_({options.lower, options.upper}, backend_.size()),
        stopping_(options.tolerances),
        x_(x0),
        trial_(std::move(x0)),
        scaling_(options.method, options.x_scale, x_.size()),
        finder_(options.damping, x_.size(), scaling_.exponent()),
        reach_(gauss_newton() ? Reach::any_bound : Reach::half) {}

  Backend& backend() { return backend_; }
  const Backend& backend() const { return backend_; }
  Residuals<Backend>& residuals() { return residuals_; }
  const Residuals<Backend>& residuals() const { return residuals_; }
  Asked asked() const { return asked_; }
  const std::vector<T>& x() const { return x_; }
  const std::vector<T>& trial() const { return trial_.point; }
  bool started() const { return started_; }  // whether there is an accepted point
  double cost() const { return cost_; }
  double lambda() const { return std::ldexp(finder_.lambda(), -2 * scaling_.exponent()); }
  int side(int64_t j) const { return model_.box().side(x_[static_cast<size_t>(j)], j); }
  Status status() const { return status_; }
  const Stationarity& stationarity() const { return stationarity_; }
  const Step& judged() const { return trial_.judged; }
  // Whether shorter and shorter steps, the last ones of the fit, have raised the cost in proportion
  // to their length, where J says that they lower it: J is not that of the residuals.
  bool misled() const { return static_cast<int>(status_) > 0 && rise_.steady(); }
  int64_t nfev() const { return nfev_; }
  int64_t nit() const { return nit_; }
  // Whether a variable comes onto a bound on trial, be it by rounding.
  bool reaches_bound() const {
    if (!started_) return false;
    for (size_t i = 0; i < x_.size(); ++i) {
      const T to = trial_.point[i];
      if (to != x_[i] && model_.box().side(to, static_cast<int64_t>(i)) != 0) return true;
    }
    return false;
  }
  void set_look_ahead(bool on) { look_ahead_.set_on(on); }

  // No step will follow from the point whose Jacobian is told now.
  bool last_point() const { return ends() || nfev_ >= options_.max_nfev; }

  // Whether a cost on trial, of some of the rows, is too high whatever the others add.
  bool hopeless(double part) const {
    Step step = trial_.judged;
    step.actual = cost_ - part;
    return started_ && !(part <= cost_) && !by_chance<T>(step);
  }

  // --- the cost of the point on trial is told

  // Of x0.
  void start(double cost) {
    trial_cost_ = cost;
    nfev_ = 1;
    asked_ = Asked::jacobian;
  }

  // Of x0, and its linearization with it. Where that is refused x0 has not been counted, and may be
  // told again.
  void start_whole(double cost, Accuracy accuracy) {
    trial_cost_ = cost;
    take(false, accuracy);
    nfev_ = 1;
    next();
  }

  void judge(double cost, double actual) {
    trial_cost_ = cost;
    ++nfev_;
    ++trials_;
    trial_.judged.actual = actual;
    near_ = near_by();
    look_ahead_.judged(actual, trial_.judged.predicted, accuracy_.columns > 0);
    radius_.tried(finder_.length(), finder_.held_back() && within_rounding<T>(trial_.judged));
    if (doubted_ > 0 && !stopping_.worth(trial_.judged)) return believe_or_shorten();
    doubted_ = 0;
    if (!std::isfinite(cost)) return reject(true);
    if (too_far_at_first()) return reject(false);
    pending_ = tolerance_met();
    if (!(actual > 0) && (rough() || !in_noise())) return reject(false);
    if (!options_.last_jacobian && actual > 0 && ends()) return accept_last();
    asked_ = Asked::jacobian;
  }

  // The residuals ahead of the step are told, and the cost falls by `gain` there.
  void correct(double gain) {
    ++nfev_;
    look_ahead_.gained(gain, trial_.slope);
    const double share =
        finder_.accelerate(here(), fraction, residuals_.accepted(), residuals_.trial());
    look_ahead_.bent(share, std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon())));
    try_step();
  }

  // --- its linearization is told

  // How much of ρ' weights have at least; 0: they are exact. Gauss-Newton has no λ to make up for
  // what a weight below ρ' leaves out: with ρ' its steps are those of iteratively reweighted least
  // squares; exactly where gtol, which is by exact weights, may be met. A block is weighed before
  // its point is judged: the judgement of the point before decides.
  double least_weight(Form form) const {
    if (gauss_newton()) return last_point() || near_gtol() ? 0 : 1;
    const bool exact = form == Form::blocks ? near_ : last_point() || near_by();
    return exact ? 0 : 0.75;
  }

  // Weights of the rows on trial, all or those of a block, under a robust loss.
  void weigh(Form form) {
    residuals_.weigh_trial(backend_.space(), least_weight(form));
    if (form == Form::whole && !started_ && !gauss_newton()) {
      finder_.scale_first(residuals_.curvature_left(backend_.space()));
    }
  }

  // Accepts the point. False where its linearization is not finite, or where the
  // cost is flat to rounding and the gradient did not fall: nothing has changed then.
  // keeps_residuals: they were told as a whole.
  bool take(bool keeps_residuals, Accuracy accuracy) {
    // λ₀ is for the first step only: step/finder.hpp.
    const bool undamped_next = !last_point() && (gauss_newton() || started_);
    const bool finite = backend_.finite(undamped_next);
    if (started_) {
      if (!finite || (in_noise() && !gradient_fell())) return false;
    } else {
      check_start_jacobian(finite, backend_);
      check_underflow(backend_);
    }
    backend_.commit();
    if (keeps_residuals) residuals_.accept();
    // It is not the start, nor a better Jacobian of the point accepted before.
    const bool stepped = started_ && asked_ != Asked::better_jacobian;
    if (stepped) step_taken();
    x_ = trial_.point;
    cost_ = trial_cost_;
    exact_ = residuals_.weighed_exactly();
    accuracy_ = accuracy;
    if (accuracy.first) forget();
    scale();
    if (stepped) {
      radius_.measured_anew(finder_.length(), norm(finder_.step(), scaling_.D()));
    }
    started_ = true;
    trials_ = 0;
    any_finite_ = false;
    rise_ = {};
    return true;
  }

  // Stops, or the next point.
  void next() {
    stationarity_ =
        measure(model_.box(), x_, backend_.gradient(), backend_.weighted_norms2(), cost_);
    // Weights that are not exact are larger, and the cosine smaller.
    const bool gtol = stopping_.gtol(stationarity_.cosine) &&
                      (residuals_.weighed_exactly() || stationarity_.optimality == 0);
    const bool doubt = in_doubt() && !gtol;
    const std::optional<Status> by_step = std::exchange(pending_, std::nullopt);
    if (gtol && (gauss_newton() || stationarity_.optimality == 0)) return finish(Status::gtol);
    if ((by_step && !doubt) || nfev_ >= options_.max_nfev) {
      return finish(gtol ? Status::gtol : by_step.value_or(Status::max_nfev));
    }
    if (doubt) {
      doubted_ = 2 * finder_.length();
      radius_.set(HUGE_VAL);
    }
    propose();
    if (gtol && !finder_.held_back() && stopping_.flat(trial_.judged)) return finish(Status::gtol);
  }

  // The linearization was not taken.
  void give_up() {
    const bool noise = in_noise();
    if (noise && !finder_.held_back() && stopping_.ftol_predicted(trial_.judged)) {
      pending_ = Status::ftol;
    }
    reject(!noise);
  }

  // A better Jacobian was asked for, and there is none; the step from the one in use has failed.
  void keep_jacobian(double error) {
    accuracy_ = {error};
    residuals_.accept();
    reject(false);
  }

  void finish(Status status) {
    status_ = status;
    asked_ = Asked::nothing;
  }

 private:
  bool gauss_newton() const { return options_.method == Method::gauss_newton; }

  typename StepFinder<Backend>::At here() { return {backend_, model_, x_.data(), scaling_.D()}; }

  // The step on trial changed the cost by chance: it cannot meet ftol. The gradient decides whether
  // it is taken, and when such steps end (compare Hager and Zhang's approximate Wolfe conditions,
  // SIAM J. Optim. 16 (2005) 170-192). While a better Jacobian is asked for, no step is on trial.
  bool in_noise() const { return asked_ != Asked::better_jacobian && by_chance<T>(trial_.judged); }

  // A full step has done as predicted, or any by exact weights. Were these left where λ holds one
  // back, full steps by the others, which are short, could hold back every other step for ever.
  bool near_by() const {
    const bool well = trial_.judged.as_predicted() && (!finder_.held_back() || exact_);
    return started_ && (well || in_noise());
  }

  // The accepted point met gtol, if maybe by weights that are not exact.
  bool near_gtol() const { return started_ && stopping_.gtol(stationarity_.cosine); }

  // The gradient is lost in the errors of the Jacobian that gave it.
  bool rough() const { return stationarity_.cosine < accuracy_.error; }

  // ftol is met by steps that λ holds back: far from a minimum, where a given x_scale is wrong.
  bool in_doubt() const {
    return pending_ == Status::ftol && finder_.held_back() && scaling_.given();
  }

  // The step on trial ends the fit, if it is taken.
  bool ends() const { return pending_ && !in_doubt(); }

  // How it does.
  std::optional<Status> tolerance_met() {
    // The first step is as short as λ₀ makes it, however far the minimum.
    const bool free = gauss_newton() || !(radius_.first() || radius_.uninformed());
    // A step that λ held back and that did as predicted was merely short: the next may be longer.
    const bool longer = finder_.held_back() && trial_.judged.as_predicted();
    // Two small rises tell of no minimum where no step has been taken yet.
    const bool stuck = nit_ == 0 && !gauss_newton() && !(trial_.judged.actual > 0);
    const bool ftol = stopping_.ftol(trial_.judged) && !longer && !stuck && !in_noise();
    const bool xtol =
        stopping_.xtol(trial_.judged) && free && !stopping_.template halved<T>(trial_.judged);
    held_off_ = (ftol || xtol) && model_.held_off();
    if (held_off_) return std::nullopt;  // the next step may end on the bound
    if (ftol && xtol) return Status::ftol_and_xtol;
    if (ftol) return Status::ftol;
    return xtol ? std::optional(Status::xtol) : std::nullopt;
  }

  // How far the step after this one may go, which is taken.
  Reach reach() const {
    const Step& step = trial_.judged;
    // Of a step that λ made tiny, exactness tells nothing.
    const bool told = !finder_.held_back() || step.length > 1e-3 * step.x_norm;
    if ((step.all_but_exact() && told) || held_off_ || within_rounding<T>(step)) {
      return Reach::any_bound;
    }
    if (!step.as_predicted()) return Reach::half;
    return gauss_newton() ? Reach::any_bound : Reach::pressed;
  }

  // A start is often wrong by about its own size |Dx|. A first step that is longer may lead into
  // another valley, so it is taken only where it gained what the model had predicted.
  bool too_far_at_first() const {
    return radius_.first() && !gauss_newton() && finder_.length() > scaling_.own_size(x_) &&
           !trial_.judged.as_predicted() && nfev_ < options_.max_nfev;
  }

  // The step on trial has led from x to the point that is about to be accepted.
  void step_taken() {
    ++nit_;
    look_ahead_.accepted(finder_.held_back());
    model_.accepted();
    reach_ = reach();
    const double ratio = trial_.judged.actual / trial_.judged.predicted;
    radius_.accepted(ratio, finder_.length(), scaling_.own_size(x_), !finder_.held_back());
  }

  bool gradient_fell() {
    return scaled_gradient(model_.box(), trial_.point, backend_.pending_gradient(), scaling_.D()) <
           0.9 * scaled_gradient(model_.box(), x_, backend_.gradient(), scaling_.D());
  }

  void accept_last() {
    residuals_.accept();
    x_ = trial_.point;
    cost_ = trial_cost_;
    ++nit_;
    rise_ = {};
    finish(*pending_);
  }

  // The step was no good: stop if that settles it, else try a shorter one.
  void reject(bool non_finite) {
    rise_.failed(trial_.judged);
    any_finite_ = any_finite_ || !non_finite;
    std::optional<Status> by_step = std::exchange(pending_, std::nullopt);
    if (non_finite && stopping_.xtol(trial_.judged)) by_step = too_short();
    if (by_step) return finish(*by_step);
    if (nfev_ >= options_.max_nfev) return finish(Status::max_nfev);
    const bool may_be_noise = accuracy_.patience == trials_ && !in_noise();
    if ((rough() || may_be_noise) && !non_finite) return ask_again();
    if (non_finite && model_.close(x_.data())) return propose();
    if (gauss_newton()) {
      trial_.share /= 2;
      return try_step();
    }
    shorten(non_finite);
  }

  // Proposes a shorter step in the place of one that failed, or a longer one in that of one that
  // was too short to tell anything.
  void shorten(bool non_finite) {
    const double tried = finder_.length(), slope = trial_.slope, own_size = scaling_.own_size(x_);
    if (radius_.uninformed() || (radius_.first() && tried < 1e-4 * own_size)) {
      // λ made the step too short to tell anything, unless the step without it is about as short.
      radius_.told_nothing(tried, own_size);
      propose();
      if (finder_.length() > 2 * tried) return;
      radius_.stay(tried);
    }
    if (straighten(own_size)) return;
    radius_.rejected(tried, slope, non_finite ? -HUGE_VAL : trial_.judged.actual);
    if (radius_.first()) {
      const double size = std::max(own_size, 1e-3 * tried);  // an x near 0 tells no size
      const bool only_too_far = !non_finite && trial_.judged.actual > 0;
      only_too_far ? radius_.set(size) : radius_.limit(size);
    }
    propose();
  }

  // λ₀ bends even a short first step where J is nearly singular. Where that has failed, proposes
  // the step without it, if it is short, too.
  bool straighten(double own_size) {
    const double near = 0.1 * own_size, before = radius_.value();
    const bool bent = radius_.first() && finder_.held_back() && finder_.length() < near;
    if (!bent || !std::isfinite(near)) return false;
    radius_.set(near);
    propose();
    if (!finder_.held_back()) return true;
    radius_.set(before);
    return false;
  }

  // ftol in doubt is believed once neither the undamped step nor shorter ones, down to those that
  // met it, lower the cost by more.
  void believe_or_shorten() {
    radius_.rejected(finder_.length(), trial_.slope, trial_.judged.actual);
    if (radius_.value() <= doubted_ || nfev_ >= options_.max_nfev) return finish(Status::ftol);
    propose();
  }

  // For a better Jacobian of the accepted point.
  void ask_again() {
    trial_.point = x_;
    trial_cost_ = cost_;
    residuals_.accept();  // swaps with those on trial; swapped back once J is told
    asked_ = Asked::better_jacobian;
  }

  // Starts over from here: all Jacobians until now were noise.
  void forget() {
    scaling_ = {options_.method, options_.x_scale, x_.size()};
    finder_ = {options_.damping, x_.size(), scaling_.exponent()};
    radius_ = {};
    started_ = false;
  }

  void scale() {
    const double largest = scaling_.take_columns(backend_.norms2());
    if (started_) return;
    if (options_.method == Method::levenberg && largest > 0) finder_.set_unit(largest * largest);
    // A robust loss flattens rows with large residuals. The model is then of the other rows, and
    // says little about points far away.
    if (residuals_.robust()) radius_.set(scaling_.own_size(x_));
  }

  void propose() {
    asked_ = Asked::no_step;  // and remains so where this throws, for the point has been taken
    model_.set_limits(backend_, x_.data(), reach_);
    if (!gauss_newton()) {
      // Exactly |Dx|, so that a start that is wrong by its own size arrives at zero. Other radii
      // within a tenth: exactly, MGH's problems took 8 % more evaluations at 1e-15.
      const bool by_size = radius_.value() == scaling_.own_size(x_);
      finder_.damped(here(), radius_.value(), by_size);
    } else if (!finder_.undamped(here())) {
      throw Error(ErrorKind::linalg, singular_text(nit_));
    }
    trial_.take(backend_, finder_.step());
    worth_looking_ahead() ? ask_ahead() : try_step();
  }

  bool worth_looking_ahead() const {
    return look_ahead_.due() && finder_.held_back() && backend_.keeps_rows() &&
           !model_.free().empty() && nfev_ + 2 <= options_.max_nfev;
  }

  void ask_ahead() {
    for (size_t i = 0; i < x_.size(); ++i) {
      trial_.point[i] =
          model_.box().clip(x_[i] + fraction * finder_.step()[i], static_cast<int64_t>(i));
    }
    asked_ = Asked::ahead;
  }

  void try_step() {
    if (trial_.place(model_, x_, finder_.step(), scaling_, cost_)) {
      asked_ = Asked::residual;
    } else if (!gauss_newton() && finder_.take_first()) {
      // A step below the resolution of x meets any xtol, unless it is λ₀ that made it so short.
      propose();
    } else {
      finish(too_short());
    }
  }

  // What a step shorter than xtol means: nothing, where all steps from here were non-finite.
  Status too_short() const {
    if (trials_ > 0 && !any_finite_) return Status::no_finite;
    return trial_.in_vain() ? Status::no_lower : Status::xtol;
  }

  static constexpr T fraction = static_cast<T>(LookAhead::fraction);

  Options<T> options_;
  Backend backend_;
  Residuals<Backend> residuals_;
  BoxModel<Backend> model_;
  StoppingRule stopping_;
  Radius radius_;
  LookAhead look_ahead_;
  std::vector<T> x_;
  Trial<Backend> trial_;
  Scaling<T> scaling_;
  StepFinder<Backend> finder_;
  double cost_ = 0, trial_cost_ = 0;
  Stationarity stationarity_{};
  Accuracy accuracy_;  // of the accepted point's Jacobian
  Asked asked_ = Asked::residual;
  Status status_ = Status::max_nfev;
  std::optional<Status> pending_;  // how the step on trial ends the fit, if it does
  bool started_ = false;
  bool exact_ = true;      // the weights of the accepted point's rows
  bool near_ = false;      // near_by, of the last point judged
  Reach reach_;            // of the next step
  bool held_off_ = false;  // the step on trial met a tolerance, but short of a bound
  Rise<T> rise_;
  double doubted_ = 0;  // twice the length of the step that met ftol in doubt
  int64_t nfev_ = 0, nit_ = 0;
  int64_t trials_ = 0;       // since the point was accepted
  bool any_finite_ = false;  // whether one of them failed with finite residuals and J
};

}  // namespace steepest::nlls
