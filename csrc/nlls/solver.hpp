// Gauss-Newton, Levenberg and Levenberg-Marquardt as a state machine: it never calls the user's
// functions, it is told what they gave at the point it asked for.
//
//   phase residual   asks for f at point(): tell_residual, or tell_normal, or blocks of rows
//   phase jacobian   the point is accepted, asks for J there: tell_jacobian; or for a better J
//                    where a step from a rough one failed
//   phase done       point() is the answer, status() says why
//
// A step s solves (JᵀJ + λD²) s = -Jᵀf. Levenberg, Quart. Appl. Math. 2 (1944) 164-168: D = 1.
// Marquardt, SIAM J. 11 (1963) 431-441, with the scaling of Moré, The Levenberg-Marquardt
// Algorithm (1978), section 6: D holds the largest norm that each column has had.
//
// In long valleys, where J is kept, phase residual first asks for f ahead of a step:
// look_ahead.hpp.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "linalg/dense/dense.hpp"
#include "nlls/bounds.hpp"
#include "nlls/checks.hpp"
#include "nlls/damping.hpp"
#include "nlls/gradient.hpp"
#include "nlls/look_ahead.hpp"
#include "nlls/norm.hpp"
#include "nlls/options.hpp"
#include "nlls/residuals.hpp"
#include "nlls/scaling.hpp"
#include "nlls/step.hpp"
#include "nlls/stopping.hpp"
#include "nlls/trial.hpp"
#include "nlls/underflow.hpp"

namespace steepest::nlls {

template <class Backend>
class Solver {
 public:
  using T = typename Backend::Scalar;
  using Rows = linalg::Rows<T>;

  Solver(std::vector<T> x0, const Options<T>& options, typename Backend::Space space = {})
      : options_(options),
        n_(static_cast<int64_t>(x0.size())),
        backend_(n_, options.linear_solver, std::move(space)),
        box_(options.lower, options.upper, n_),
        residuals_(options.loss, options.f_scale),
        stopping_(options.tolerances),
        x_(x0),
        trial_(std::move(x0)),
        scaling_(options.method, options.x_scale, x_.size()),
        finder_(options.damping, x_.size(), scaling_.exponent()) {}

  Phase phase() const { return phase_; }
  const std::vector<T>& point() const { return phase_ == Phase::done ? x_ : trial_.point; }

  Phase tell_residual(const T* f, int64_t m, const T* given_rho = nullptr) {
    expect(phase_, failed_, Phase::residual, "tell_residual");
    take_form(Form::whole);
    check_size(m, m_);
    const auto costs = residuals_.costs(backend_.space(), f, m, given_rho, have_point_);
    if (ahead_) return correct(costs.decrease);
    trial_cost_ = costs.trial;
    if (have_point_) return judge(costs.decrease);
    check_start(trial_cost_);
    m_ = m;
    ++nfev_;
    return phase_ = Phase::jacobian;
  }

  // J of the accepted point, m x n. It must stay as it is until the next one has been told.
  Phase tell_jacobian(const T* J, int64_t ld, bool row_major) {
    expect(phase_, failed_, Phase::jacobian, "tell_jacobian");
    if (residuals_.robust()) {
      weigh(last_point() || near_by());
      if (!have_point_ && !gauss_newton()) {
        finder_.scale_first(residuals_.curvature_left(backend_.space()));
      }
    }
    const Rows rows = with_weights({J, residuals_.size(), n_, ld, row_major, residuals_.trial()});
    backend_.begin();
    backend_.keep(rows);
    last_point() ? backend_.add_gradient_only(rows) : backend_.add(rows);
    ++njev_;
    return take_linearization([this] { residuals_.accept(); }) ? next() : give_up();
  }

  // Cost ½Σf², JᵀJ (row-major) and Jᵀf at the point, summed elsewhere.
  Phase tell_normal(double cost, const T* JtJ, const T* Jtf) {
    expect(phase_, failed_, Phase::residual, "tell_normal");
    take_form(Form::normal);
    backend_.set_normal(JtJ, Jtf);
    return judge_whole(cost);
  }

  // Blocks of rows at the point: begin_blocks, add_block for each, end_blocks.
  void begin_blocks() {
    expect(phase_, failed_, Phase::residual, "begin_blocks");
    take_form(Form::blocks);
    backend_.begin();
    block_cost_ = 0;
    block_rows_ = 0;
    residuals_.begin_start();
  }

  // False: the cost is above the accepted point's, beyond rounding; the rest need not be told.
  bool add_block(const Rows& rows) {
    block_cost_ += residuals_.costs(backend_.space(), rows.f, rows.m, nullptr, false).trial;
    block_rows_ += rows.m;
    trial_.judged.actual = cost_ - block_cost_;
    if (have_point_ && !(block_cost_ <= cost_) && !by_chance<T>(trial_.judged)) return false;
    if (residuals_.robust()) weigh(true);  // the result's covariance may be by these rows
    backend_.add(with_weights(rows));
    return true;
  }

  Phase end_blocks(bool whole) {
    if (whole) check_size(block_rows_, m_);
    if (!have_point_) m_ = block_rows_;
    const Phase next = judge_whole(block_cost_);
    ++njev_;
    return next;
  }

  // Whether to ask for residuals ahead of a step (true at first).
  void set_look_ahead(bool on) { look_ahead_.set_on(on); }

  // Of the next Jacobian, by differences.
  void set_accuracy(Accuracy accuracy) { told_ = accuracy; }

  // The Jacobian asked for again is as before, and the step from it has failed.
  Phase keep_jacobian() {
    expect(phase_, failed_, Phase::jacobian, "keep_jacobian");
    again_ = false;
    accuracy_ = {told_.error};
    residuals_.accept();
    return reject(false);
  }

  // The callback asked to stop.
  void stop() { finish(Status::stopped); }

  Status status() const { return status_; }
  const std::vector<T>& x() const { return x_; }
  const T* fun() const { return residuals_.accepted(); }
  const T* trial_fun() const { return residuals_.trial(); }
  const T* gradient() const { return backend_.gradient(); }
  int64_t n() const { return n_; }
  int64_t m() const { return m_; }
  double cost() const { return cost_; }
  bool refused() const { return refused_; }  // whether the last Jacobian's point was given up
  const Stationarity& stationarity() const { return stationarity_; }
  double lambda() const { return std::ldexp(finder_.lambda(), -2 * scaling_.exponent()); }
  const Step& judged() const { return trial_.judged; }
  bool again() const { return again_; }  // whether a Jacobian told before is asked for once more
  bool by_qr() const { return backend_.by_qr(); }
  int64_t nfev() const { return nfev_; }
  int64_t njev() const { return njev_; }
  int64_t nit() const { return nit_; }
  int side(int64_t j) const { return box_.side(x_[static_cast<size_t>(j)], j); }
  Backend& backend() { return backend_; }

  // Of the accepted point, exact; null without a loss, or where J came in blocks.
  const T* jac_weight() {
    return weighted() ? residuals_.accepted_weight(backend_.space()) : nullptr;
  }
  bool weighted() const { return backend_.jac_weight() != nullptr; }

 private:
  void take_form(Form form) {
    have_point_ ? check_form(form, form_) : void(m_ = 0);  // a start that was refused had its own
    form_ = form;
  }

  void weigh(bool exact) {
    residuals_.weigh_trial(backend_.space(), exact);
    if (at_zero()) residuals_.add_start(backend_.space());
  }

  Rows with_weights(Rows rows) {
    rows.jac_weight = residuals_.jac_weight();
    rows.res_weight = residuals_.res_weight();
    return rows;
  }

  // A full step has done as predicted.
  bool near_by() const {
    return in_noise_ || (have_point_ && !finder_.held_back() && trial_.judged.as_predicted());
  }

  bool gauss_newton() const { return options_.method == Method::gauss_newton; }

  // No step will follow from the point whose Jacobian is told now.
  bool last_point() const { return (pending_ && !in_doubt()) || nfev_ >= options_.max_nfev; }

  // ftol is met by steps that λ holds back: far from a minimum, where a given x_scale is wrong.
  bool in_doubt() const {
    return pending_ == Status::ftol && finder_.held_back() && scaling_.given();
  }

  // --- judging the point on trial

  // Residual and Jacobian came together.
  Phase judge_whole(double cost) {
    trial_cost_ = cost;
    if (!have_point_) {
      check_start(cost);
      take_linearization([] {});  // where it throws, the solver still waits for the start
      ++nfev_;
      return next();
    }
    if (judge(cost_ - cost) == Phase::jacobian) take_linearization([] {}) ? next() : give_up();
    return phase_;
  }

  Phase judge(double actual) {
    ++nfev_;
    ++trials_;
    trial_.judged.actual = actual;
    look_ahead_.judged(actual, trial_.judged.predicted);
    radius_.tried(finder_.length(), finder_.held_back() && within_rounding<T>(trial_.judged));
    if (doubted_ > 0 && !stopping_.worth(trial_.judged)) return believe_or_shorten();
    doubted_ = 0;
    if (!std::isfinite(trial_cost_)) return reject(true);
    ++finite_trials_;
    if (too_far_at_first()) return reject(false);
    // The first step is as short as λ₀ makes it, however far the minimum.
    const bool free = gauss_newton() || !(radius_.first() || radius_.untold());
    const bool solved = gauss_newton() || box_.solved();
    // A step that λ held back and that did as predicted was merely short: the next may be longer.
    const bool longer = radius_.untold() || (finder_.held_back() && trial_.judged.as_predicted());
    // Where rounding hides what a step did to the cost, the step cannot meet ftol. The gradient
    // decides whether it is taken, and when such steps end (compare Hager and Zhang's approximate
    // Wolfe conditions, SIAM J. Optim. 16 (2005) 170-192).
    in_noise_ = by_chance<T>(trial_.judged);
    const bool ftol = stopping_.ftol(trial_.judged) && solved && !longer && !in_noise_;
    const bool xtol = stopping_.xtol(trial_.judged) && solved && free;
    if (ftol || xtol) {
      pending_ = ftol && xtol ? Status::ftol_and_xtol : ftol ? Status::ftol : Status::xtol;
    }
    if (!(actual > 0) && (rough() || !in_noise_)) return reject(false);
    if (!options_.last_jacobian && actual > 0 && pending_ && !in_doubt()) return accept_last();
    return phase_ = Phase::jacobian;
  }

  // A start is often wrong by about its own size |Dx|. A first step that is longer may lead into
  // another valley, so it is taken only where it gained what the model had predicted.
  bool too_far_at_first() const {
    return radius_.first() && !gauss_newton() && finder_.length() > scaling_.own_size(x_) &&
           !trial_.judged.as_predicted() && nfev_ < options_.max_nfev;
  }

  // Whether the point is a start whose size tells no length.
  bool at_zero() const { return !have_point_ && !gauss_newton() && trial_.at_zero(); }

  Phase accept_last() {
    residuals_.accept();
    x_ = trial_.point;
    cost_ = trial_cost_;
    ++nit_;
    return finish(*pending_);
  }

  // The step was no good: stop if that settles it, else try a shorter one.
  Phase reject(bool non_finite) {
    phase_ = Phase::residual;
    std::optional<Status> by_step = std::exchange(pending_, std::nullopt);
    if (non_finite && stopping_.xtol(trial_.judged)) by_step = too_short();
    if (by_step) return finish(*by_step);
    if (nfev_ >= options_.max_nfev) return finish(Status::max_nfev);
    if ((rough() || (accuracy_.doubt == trials_ && !in_noise_)) && !non_finite) return ask_again();
    if (gauss_newton()) {
      trial_.share /= 2;
      return try_step();
    }
    const double tried = finder_.length(), slope = trial_.slope;
    if (radius_.untold() || (radius_.first() && tried < 1e-4 * scaling_.own_size(x_))) {
      // λ made the step too short to tell anything, unless the step without it is about as short.
      radius_.told_nothing(tried, scaling_.own_size(x_));
      propose();
      if (finder_.length() > 2 * tried) return phase_;
      radius_.stay(tried);
    }
    radius_.rejected(tried, slope, non_finite ? -HUGE_VAL : trial_.judged.actual);
    if (radius_.first()) {
      const double size =
          std::max(scaling_.own_size(x_), 1e-3 * tried);  // an x near 0 tells no size
      const bool only_too_far = !non_finite && trial_.judged.actual > 0;
      only_too_far ? radius_.set(size) : radius_.limit(size);
    }
    return propose();
  }

  // ftol in doubt is believed once neither the undamped step nor shorter ones, down to those that
  // met it, lower the cost by more.
  Phase believe_or_shorten() {
    radius_.rejected(finder_.length(), trial_.slope,
                     std::isfinite(trial_cost_) ? trial_.judged.actual : -HUGE_VAL);
    if (radius_.value() <= doubted_ || nfev_ >= options_.max_nfev) return finish(Status::ftol);
    phase_ = Phase::residual;
    return propose();
  }

  // The gradient is lost in the errors of the Jacobian that gave it.
  bool rough() const { return stationarity_.cosine < accuracy_.error; }

  // For a better Jacobian of the accepted point.
  Phase ask_again() {
    again_ = true;
    in_noise_ = false;
    trial_.point = x_;
    trial_cost_ = cost_;
    residuals_.accept();  // swaps with those on trial; swapped back once J is told
    return phase_ = Phase::jacobian;
  }

  Phase give_up() {
    refused_ = true;
    if (again_) return keep_jacobian();
    if (!in_noise_) {
      --finite_trials_;  // its Jacobian was not finite
    } else if (!finder_.held_back() && stopping_.ftol_predicted(trial_.judged)) {
      pending_ = Status::ftol;
    }
    return reject(!in_noise_);
  }

  // --- the linearization of an accepted point

  // False where it is not finite, or where the cost is flat to rounding and the gradient did not
  // fall: the point is given up, and nothing has changed.
  template <class F>
  bool take_linearization(F&& accept_residuals) {
    // λ₀ is for the first step only: step.hpp.
    const bool undamped_next = !last_point() && (gauss_newton() || have_point_);
    const bool finite = backend_.finite(undamped_next);
    if (in_noise_ && finite &&
        !(scaled_gradient(box_, trial_.point, backend_.pending_gradient(), scaling_.D()) <
          0.9 * scaled_gradient(box_, x_, backend_.gradient(), scaling_.D()))) {
      return false;
    }
    refused_ = false;
    if (!finite && have_point_) return false;
    check_start_jacobian(finite);
    if (!have_point_) check_underflow(backend_);
    backend_.commit();
    accept_residuals();
    if (have_point_ && !again_) {
      ++nit_;
      look_ahead_.accepted(finder_.held_back());
      const double ratio = trial_.judged.actual / trial_.judged.predicted;
      radius_.accepted(ratio, finder_.length(), scaling_.own_size(x_), !finder_.held_back());
    }
    x_ = trial_.point;
    cost_ = trial_cost_;
    accuracy_ = told_;
    again_ = false;
    if (accuracy_.first) forget();
    scale();
    have_point_ = true;
    trials_ = finite_trials_ = 0;
    return true;
  }

  // Starts over from here: all Jacobians until now were noise.
  void forget() {
    scaling_ = {options_.method, options_.x_scale, x_.size()};
    finder_ = {options_.damping, x_.size(), scaling_.exponent()};
    radius_ = {};
    have_point_ = false;
  }

  void scale() {
    const double largest = scaling_.take_columns(backend_.norms2());
    if (have_point_) return;
    if (options_.method == Method::levenberg && largest > 0) finder_.set_unit(largest * largest);
    // A robust loss flattens rows with large residuals. The model is then of the other rows, and
    // says little about points far away.
    if (residuals_.robust()) {
      radius_.set(at_zero() ? residuals_.distance_to_zero(m_) / largest : scaling_.own_size(x_));
    }
  }

  // Stops, or the next point.
  Phase next() {
    stationarity_ = measure(box_, x_, backend_.gradient(), backend_.weighted_norms2(), cost_);
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
    if (doubt && stopping_.ftol_predicted(trial_.judged)) return finish(Status::ftol);
    if (gtol && !finder_.held_back() && box_.solved() && stopping_.flat(trial_.judged)) {
      return finish(Status::gtol);
    }
    return phase_;
  }

  // --- the next point

  Phase propose() {
    failed_ = true;  // and remains so where this throws, for the point has been taken
    if (!gauss_newton()) {
      // Exactly |Dx|, so that a start that is wrong by its own size arrives at zero. Other radii
      // within a tenth: exactly, MGH's problems took 8 % more evaluations at 1e-15.
      const bool by_size = radius_.value() == scaling_.own_size(x_);
      finder_.damped(backend_, box_, x_.data(), scaling_.D(), radius_.value(), by_size);
    } else if (!finder_.undamped(backend_, box_, x_.data(), scaling_.D())) {
      throw Error(ErrorKind::linalg, singular_text(nit_));
    }
    trial_.take(backend_, finder_.step());
    failed_ = false;
    return worth_looking_ahead() ? ask_ahead() : try_step();
  }

  bool worth_looking_ahead() const {
    return look_ahead_.due() && finder_.held_back() && backend_.keeps_rows() && !box_.bounded() &&
           nfev_ + 2 <= options_.max_nfev;
  }

  Phase ask_ahead() {
    ahead_ = true;
    for (size_t i = 0; i < x_.size(); ++i) trial_.point[i] = x_[i] + fraction * finder_.step()[i];
    return phase_ = Phase::residual;
  }

  // The residuals ahead are told, and the cost falls by `gain` there.
  Phase correct(double gain) {
    ahead_ = false;
    ++nfev_;
    look_ahead_.gained(gain, trial_.slope);
    finder_.accelerate(backend_, box_, scaling_.D(), fraction, residuals_.accepted(),
                       residuals_.trial());
    return try_step();
  }

  Phase try_step() {
    if (trial_.place(box_, x_, finder_.step(), scaling_, cost_)) return phase_ = Phase::residual;
    // A step below the resolution of x meets any xtol, unless it is λ₀ that made it so short.
    if (!gauss_newton() && finder_.take_first()) return propose();
    return finish(too_short());
  }

  // What a step shorter than xtol means: nothing, where all steps from here were non-finite.
  Status too_short() const {
    if (trials_ > 0 && finite_trials_ == 0) return Status::no_finite;
    return trial_.in_vain() ? Status::no_lower : Status::xtol;
  }

  Phase finish(Status status) {
    status_ = status;
    return phase_ = Phase::done;
  }

  static constexpr T fraction = static_cast<T>(LookAhead::fraction);

  Options<T> options_;
  int64_t n_, m_ = 0;
  Backend backend_;
  BoxModel<Backend> box_;
  Residuals<Backend> residuals_;
  StoppingRule stopping_;
  Radius radius_;
  LookAhead look_ahead_;
  std::vector<T> x_;
  Trial<Backend> trial_;
  Scaling<T> scaling_;
  StepFinder<Backend> finder_;
  double cost_ = 0, trial_cost_ = 0, block_cost_ = 0;
  Stationarity stationarity_{};
  Status status_ = Status::max_nfev;
  std::optional<Status> pending_;  // how the step on trial ends the fit, if it does
  Phase phase_ = Phase::residual;
  Form form_ = Form::whole;
  bool have_point_ = false, in_noise_ = false, refused_ = false;
  bool again_ = false;        // the Jacobian asked for is of the point accepted before
  Accuracy told_, accuracy_;  // in the next Jacobian, and in the accepted point's
  double doubted_ = 0;        // twice the length of the step that met ftol in doubt
  bool ahead_ = false;        // the point asked for is a look ahead, no trial
  bool failed_ = false;       // there is no step from the accepted point
  int64_t nfev_ = 0, njev_ = 0, nit_ = 0, block_rows_ = 0;
  int64_t trials_ = 0, finite_trials_ = 0;  // since the point was accepted
};

}  // namespace steepest::nlls
