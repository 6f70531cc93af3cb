// Gauss-Newton, Levenberg and Levenberg-Marquardt as a state machine: it never calls the user's
// functions, it is told what they gave at the point it asked for.
//
//   phase residual   asks for f at point(): tell_residual, or tell_normal, or blocks of rows
//   phase jacobian   the point is accepted, asks for J there: tell_jacobian; or for a better J
//                    where a step from a rough one failed
//   phase done       point() is the answer, status() says why
//
// What follows from what it is told is decided in trust_region.hpp.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "linalg/dense/dense.hpp"
#include "nlls/checks.hpp"
#include "nlls/gradient.hpp"
#include "nlls/options.hpp"
#include "nlls/stopping.hpp"
#include "nlls/trust_region.hpp"

namespace steepest::nlls {

template <class Backend>
class Solver {
 public:
  using T = typename Backend::Scalar;
  using Rows = linalg::Rows<T>;

  Solver(std::vector<T> x0, const Options<T>& options, typename Backend::Space space = {})
      : region_(std::move(x0), options, std::move(space)) {}

  Phase phase() const { return phase_of(region_.asked()); }
  const std::vector<T>& point() const { return phase() == Phase::done ? x() : region_.trial(); }

  // given_rho: ρ, ρ' and ρ'' of Loss::given, residuals.hpp.
  Phase tell_residual(const T* f, int64_t m, const T* given_rho = nullptr) {
    expect(region_.asked(), Phase::residual, "tell_residual");
    take_form(Form::whole);
    check_size(m, m_);
    const auto costs = residuals().costs(space(), f, m, given_rho, region_.started());
    if (region_.asked() == Asked::ahead) {
      region_.correct(costs.decrease);
    } else if (region_.started()) {
      region_.judge(costs.trial, costs.decrease);
    } else {
      check_start(costs.trial, space(), f, m);
      m_ = m;
      region_.start(costs.trial);
    }
    return phase();
  }

  // J of the point, m x n. It must stay as it is until the next one has been told.
  Phase tell_jacobian(const T* J, int64_t ld, bool row_major) {
    expect(region_.asked(), Phase::jacobian, "tell_jacobian");
    if (residuals().robust()) region_.weigh(Form::whole);
    const int64_t m = residuals().size();
    const Rows rows = with_weights({J, m, n(), ld, row_major, residuals().trial()});
    backend().begin();
    backend().keep(rows);
    region_.last_point() ? backend().add_gradient_only(rows) : backend().add(rows);
    ++njev_;
    take_linearization();
    return phase();
  }

  // How exact the next Jacobian will be, if it is by differences.
  void set_accuracy(Accuracy accuracy) { next_accuracy_ = accuracy; }
  const Accuracy& accuracy() const { return next_accuracy_; }

  // In the place of tell_jacobian: the Jacobian asked for again is as before.
  Phase keep_jacobian() {
    expect(region_.asked(), Phase::jacobian, "keep_jacobian");
    region_.keep_jacobian(next_accuracy_.error);
    return phase();
  }

  // Cost ½Σf², JᵀJ (row-major) and Jᵀf at the point, summed elsewhere.
  Phase tell_normal(double cost, const T* JtJ, const T* Jtf) {
    expect(region_.asked(), Phase::residual, "tell_normal");
    take_form(Form::normal);
    backend().set_normal(JtJ, Jtf);
    return tell_whole(cost);
  }

  // Blocks of rows at the point: begin_blocks, add_block for each, end_blocks.
  void begin_blocks() {
    expect(region_.asked(), Phase::residual, "begin_blocks");
    take_form(Form::blocks);
    backend().begin();
    block_cost_ = 0;
    block_rows_ = 0;
  }

  // False: the cost is above the accepted point's, beyond rounding; the rest need not be told.
  bool add_block(const Rows& rows) {
    block_cost_ += residuals().costs(space(), rows.f, rows.m, nullptr, false).trial;
    block_rows_ += rows.m;
    if (region_.hopeless(block_cost_)) return false;
    if (residuals().robust()) {
      if (region_.least_weight(Form::blocks) > 0) {  // the covariance is by exact ones
        residuals().weigh_trial(space(), 0);
        backend().add_exact(with_weights(rows));
      }
      region_.weigh(Form::blocks);
    }
    backend().add(with_weights(rows));
    return true;
  }

  Phase end_blocks(bool whole) {
    if (whole) check_size(block_rows_, m_);
    if (!region_.started()) m_ = block_rows_;
    tell_whole(block_cost_);
    ++njev_;
    return phase();
  }

  // Whether to ask for residuals ahead of a step (true at first).
  void set_look_ahead(bool on) { region_.set_look_ahead(on); }

  // The callback asked to stop.
  void stop() { region_.finish(Status::stopped); }

  Status status() const { return region_.status(); }
  const std::vector<T>& x() const { return region_.x(); }
  const T* fun() const { return region_.residuals().accepted(); }
  const T* trial_fun() const { return region_.residuals().trial(); }
  const T* gradient() const { return region_.backend().gradient(); }
  bool started() const { return region_.started(); }  // x0 and its Jacobian have been told
  int64_t n() const { return region_.backend().size(); }
  int64_t m() const { return m_; }
  double cost() const { return region_.cost(); }
  bool reaches_bound() const { return region_.reaches_bound(); }  // by the step on trial
  bool refused() const { return refused_; }  // whether the last Jacobian's point was given up
  const Stationarity& stationarity() const { return region_.stationarity(); }
  double lambda() const { return region_.lambda(); }
  const Step& judged() const { return region_.judged(); }
  bool misled() const { return region_.misled(); }
  bool again() const { return region_.asked() == Asked::better_jacobian; }
  bool by_qr() const { return region_.backend().by_qr(); }
  int64_t nfev() const { return region_.nfev(); }
  int64_t njev() const { return njev_; }
  int64_t nit() const { return region_.nit(); }
  int side(int64_t j) const { return region_.side(j); }
  Backend& backend() { return region_.backend(); }

  // Of the accepted point, exact; null without a loss, or where J came in blocks.
  const T* jac_weight() { return weighted() ? residuals().accepted_weight(space()) : nullptr; }
  bool weighted() const { return region_.backend().jac_weight() != nullptr; }

 private:
  Residuals<Backend>& residuals() { return region_.residuals(); }
  typename Backend::Space& space() { return backend().space(); }

  void take_form(Form form) {
    if (region_.started()) {
      check_form(form, form_);
    } else {
      m_ = 0;  // a start that was refused had its own
    }
    form_ = form;
  }

  Rows with_weights(Rows rows) {
    rows.jac_weight = residuals().jac_weight();
    rows.res_weight = residuals().res_weight();
    return rows;
  }

  // Residual and Jacobian came together.
  Phase tell_whole(double cost) {
    if (region_.started()) {
      region_.judge(cost, region_.cost() - cost);
      if (phase() == Phase::jacobian) take_linearization();
    } else {
      check_start(cost);
      region_.start_whole(cost, next_accuracy_);
    }
    return phase();
  }

  void take_linearization() {
    refused_ = !region_.take(form_ == Form::whole, next_accuracy_);
    if (!refused_) return region_.next();
    again() ? region_.keep_jacobian(next_accuracy_.error) : region_.give_up();
  }

  TrustRegion<Backend> region_;
  int64_t m_ = 0, njev_ = 0, block_rows_ = 0;
  double block_cost_ = 0;
  Form form_ = Form::whole;
  Accuracy next_accuracy_;
  bool refused_ = false;
};

}  // namespace steepest::nlls
