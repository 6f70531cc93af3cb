// The parts of the least-squares core that decide alone: stopping, the radius and its λ, looking
// ahead, failed steps, scaling, losses. Each line says what must hold; the numbers are worked out
// by hand from the formulas beside them.
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "nlls/gradient.hpp"
#include "nlls/look_ahead.hpp"
#include "nlls/loss.hpp"
#include "nlls/norm.hpp"
#include "nlls/residuals.hpp"
#include "nlls/rise.hpp"
#include "nlls/scaling.hpp"
#include "nlls/step/damping.hpp"
#include "nlls/step/finder.hpp"
#include "nlls/stopping.hpp"
#include "parts.hpp"

using namespace steepest::nlls;

namespace {

Step reduced(double actual, double predicted) {
  Step s{};
  s.actual = actual, s.predicted = predicted, s.cost = 1;
  return s;
}

void ftol() {
  const auto rule = [] { return StoppingRule({1e-3, 0, 0}); };
  StoppingRule twice = rule();
  must(!twice.ftol(reduced(0.5, 0.5)), "a large reduction does not stop");
  must(!twice.ftol(reduced(9e-3, 9e-3)), "nor one above ftol * cost");
  must(!twice.ftol(reduced(9e-4, 9e-4)), "one small reduction alone does not stop");
  must(twice.ftol(reduced(8e-4, 8e-4)), "two in a row do");
  StoppingRule broken = rule();
  broken.ftol(reduced(9e-4, 9e-4));
  broken.ftol(reduced(9e-3, 9e-3));
  must(!broken.ftol(reduced(8e-4, 8e-4)), "two that are not in a row do not");
  StoppingRule fast = rule();
  fast.ftol(reduced(0.05, 0.05));
  must(fast.ftol(reduced(5e-4, 5e-4)), "one a hundred times below the step before stops");
  StoppingRule slow = rule();
  slow.ftol(reduced(0.04, 0.04));
  must(!slow.ftol(reduced(5e-4, 5e-4)), "one eighty times below does not");
  StoppingRule hoped = rule();
  hoped.ftol(reduced(1e-4, 2e-3));
  must(!hoped.ftol(reduced(1e-4, 2e-3)), "nor where more was expected");
  StoppingRule lucky = rule();
  lucky.ftol(reduced(9e-4, 4e-4));
  must(!lucky.ftol(reduced(9e-4, 4e-4)), "nor where it is more than twice what was expected");
  StoppingRule rising = rule();
  rising.ftol(reduced(-9e-4, 1e-4));
  must(rising.ftol(reduced(-9e-4, 1e-4)), "a small rise counts as a small change");
  must(rule().ftol_predicted(reduced(1, 1e-3)) && !rule().ftol_predicted(reduced(0, 2e-3)),
       "what is expected alone");
}

void rounding() {
  Step s = reduced(0, 1e-15);
  s.x_norm = 1e200;
  must(within_rounding<double>(s), "what is below the rounding of the cost");
  s.predicted = 1e-13;
  must(!within_rounding<double>(s), "no more than that, however far x is in units of x_scale");
  s.Jx_norm = 1e3;
  must(within_rounding<double>(s), "unless Jx is large beside f");
}

void xtol_and_gtol() {
  const StoppingRule rule({0, 1e-3, 1e-3});
  Step s{};
  s.x_norm = s.plain_x_norm = s.unit_norm = s.plain_unit = 1;
  s.length = s.plain_length = 1e-3;
  must(rule.xtol(s), "a step of xtol |x| stops");
  s.length = 2e-3;
  must(!rule.xtol(s), "but not one that is longer in units of D");
  s.length = 1e-3, s.plain_length = 2e-3;
  must(!rule.xtol(s), "nor one that is longer as it is");
  s = Step{};
  s.unit_norm = s.plain_unit = 1, s.length = s.plain_length = 1e-6;
  must(rule.xtol(s), "an x below xtol counts as zero");
  s.unit_norm = s.plain_unit = 1e-3;
  must(!rule.xtol(s), "but not one in a small unit");
  must(rule.gtol(1e-3) && !rule.gtol(2e-3), "gtol is a cosine");
  must(rule.flat(reduced(0, 1e-6)) && !rule.flat(reduced(0, 2e-6)), "its square is an energy");
}

void radius() {
  Radius r;
  must(std::isinf(r.value()), "at first any step may be taken");
  r.tried(4, false);
  must(near(r.value(), 4) && r.first() && !r.uninformed(), "the first step is a limit");
  r.tried(4, false);
  must(!r.first(), "it was the first");
  r.accepted(0.2, 4, 9, false);
  must(near(r.value(), 2), "a poor step halves it");
  r.accepted(0.5, 2, 9, false);
  must(near(r.value(), 2), "a fair one leaves it");
  r.accepted(0.9, 2, 9, false);
  must(near(r.value(), 4), "a good one doubles it");
  r.accepted(0.5, 1, 9, true);
  must(near(r.value(), 2), "an undamped one sets it to twice its length");
  for (const double size : {9.0, HUGE_VAL}) {
    Radius one;
    one.tried(2, false);
    one.accepted(0.9, 2, size, false);
    must(near(one.value(), size < 10 ? 9 : 4), "after the first |Dx| is as good a guess");
  }
  Radius plateau;
  plateau.tried(2, false);
  plateau.accepted(0.9, 2, HUGE_VAL, false);
  for (const double after : {20.0, HUGE_VAL}) plateau.measured_anew(2, after);
  plateau.measured_anew(0, 1);
  must(near(plateau.value(), 4), "units that grew tenfold are as good as before");
  plateau.measured_anew(2, 2e9);
  must(near(plateau.value(), 4e9), "in far larger ones the radius is as many times as large");
  Radius hidden;
  hidden.tried(1, true);
  hidden.accepted(1, 1, 5, false);
  must(hidden.uninformed() && near(hidden.value(), 1e3), "a step that told nothing was too short");
  hidden.stay(1);
  must(!hidden.uninformed() && near(hidden.value(), 1), "unless others are no longer");
  r.set(9);
  r.rejected(9, -1, -HUGE_VAL);
  must(near(r.value(), 0.9), "a trial that is not finite: a tenth");
  r.rejected(0.9, -1, -1);
  must(near(r.value(), 0.9 * 0.25), "the vertex of the parabola: 0.5 * slope / (slope + actual)");
  r.rejected(0.225, -1, 0);
  must(near(r.value(), 0.1125), "no change: half");
  r.limit(1);
  must(near(r.value(), 0.1125), "a limit does not lengthen it");
  r.set(1);
  must(near(r.value(), 1), "but it may be set");
  r.rejected(1, -1, -100);
  must(near(r.value(), 0.1), "no less than a tenth");
  r.set(100);
  r.rejected(1, -1, 0.3);
  must(near(r.value(), 5), "no more than a half, of ten times the step at most");
  r.set(100);
  r.accepted(0.1, 1, 9, true);
  must(near(r.value(), 5), "so for a poor step");
}

// The step of the one-variable system (1 + λ) s = -1 has the length 1 / (1 + λ).
void radius_equation() {
  RadiusEquation e(0.1, 1e-16, 1, 10);
  must(e.first(5) == 5, "the last λ is tried first");
  must(near(e.first(50), 1e-2) && near(e.first(0), 1e-2), "but not one that is out of bounds");
  must(near(e.next(1e-2, 1 / 1.01), 9), "the secant through two λ is exact here");
  RadiusEquation far(1e100, 0, 2e100, 1e-3);
  must(near(far.next(1e-3, 1e3), 0.5e-100), "a secant over decades is not lost in rounding");
  must(e.solved(0.109) && e.solved(0.091) && !e.solved(0.12) && !e.solved(0.08), "to a tenth");
  must(RadiusEquation(1, 2, 3, 1).first(3) == 3, "there are λ above the smallest");
}

void norms() {
  must(near(norm<double>({3, 4}), 5), "plain");
  must(near(norm<double>({3e200, 4e200}), 5e200), "squares that overflow");
  must(near(norm<double>({3e-200, 4e-200}), 5e-200), "squares that vanish");
  const double scale[] = {1e200, 1e-200};
  must(near(norm<double>({3e-200, 4e200}, scale), 5), "scaled");
}

void scaling() {
  Scaling<double> given(Method::marquardt, {1e-200, 1e-198}, 2);
  const double norms2[] = {4, 9}, other[] = {1, 16};
  given.take_columns(norms2);
  const std::vector<double> v = {3e-200, 4e-198}, ones = {1, 1};
  must(near(given.length(v), 5), "in units of x_scale");
  must(near(given.unit_norm(), std::hypot(1e200, 1e198)), "a step of ones, too");
  must(near(given.by_columns({2, 1}), 5), "by columns, whatever x_scale");
  must(near(given.D()[0] / given.D()[1], 100) && std::fabs(std::log10(given.D()[0])) < 2,
       "of D only the ratios count");
  Scaling<double> columns(Method::marquardt, {}, 2), unit(Method::levenberg, {}, 2);
  must(columns.take_columns(norms2) == 1 && unit.take_columns(norms2) == 3, "the largest over D");
  columns.take_columns(other), unit.take_columns(other);
  must(columns.D()[0] == 2 && columns.D()[1] == 4, "D keeps the largest norm of each column");
  must(unit.D()[0] == 1 && unit.D()[1] == 1, "or is 1");
  must(near(columns.length(ones), std::hypot(2, 4)) && near(unit.length(ones), std::hypot(2, 4)),
       "lengths are in units of the columns all the same");
}

// What the parts need of a backend: f = 1 + x in one variable; `correction` is what resolve gives.
struct Stub {
  using Scalar = double;
  using Space = steepest::linalg::HostSpace<double>;
  double correction = 0, one = 1;
  bool bends = true;
  bool curvature(const double*, double, const double*, const double*, double* second) const {
    second[0] = 1;
    return bends;
  }
  const double* gradient() const { return &one; }
  const double* norms2() const { return &one; }
  bool solve(steepest::linalg::Damping<double> damping, const std::vector<int64_t>&, const double*,
             const double* r, double* d) {
    d[0] = -r[0] / (1 + damping.lambda);
    return true;
  }
  void resolve(steepest::linalg::Damping<double>, const std::vector<int64_t>&, const double*,
               double* a) {
    a[0] = correction;
  }
  void product(const double* v, double* out) { out[0] = v[0]; }
};

double corrected(double by, bool bends = true, double lower = -HUGE_VAL) {
  Stub backend;
  backend.correction = by, backend.bends = bends;
  const bool open = std::isinf(lower);
  const Box<double> box = open ? Box<double>({}, {}) : Box<double>({lower}, {4});
  BoxModel<Stub> model(box, 1);
  StepFinder<Stub> finder(1e-3, 1, 0);
  const double x = 0, D = 1, f = 1, ahead = 0.9;
  model.set_limits(backend, &x, steepest::nlls::Reach::any_bound);
  const StepFinder<Stub>::At at{backend, model, &x, &D};
  must(finder.undamped(at) && finder.step()[0] == -1, "the undamped step");
  finder.accelerate(at, 0.1, &f, &ahead);
  return finder.step()[0];
}

void corrections() {
  must(near(corrected(0.37), -0.63) && near(corrected(-0.37), -1.37), "a short one is trusted");
  must(corrected(0.38) == -1 && corrected(-4) == -1 && corrected(NAN) == -1, "no other one");
  must(corrected(0.37, false) == -1, "none where the second derivative is not finite");
  must(near(corrected(-0.37, true, -2), -1.37), "in a box, too");
  must(corrected(-0.37, true, -1.3) == -1, "none that meets a bound");
}

void stationarity() {
  const Box<double> box({0, -HUGE_VAL}, {4, 4}), open({}, {});
  const double norms2[] = {1, 4}, D[] = {1, 2};
  const double rests[] = {3, 2}, moves[] = {-3, 2};
  const std::vector<double> x = {0, 1};
  Stationarity s = measure(box, x, rests, norms2, 2.0);
  must(near(s.optimality, 2), "times the way to a bound: none, or 1 where there is no bound");
  must(near(s.cosine, 2 / (2 * 2.0)), "a variable that rests has no cosine");
  must(near(scaled_gradient(box, x, rests, D), 1), "nor a part of the gradient");
  s = measure(box, x, moves, norms2, 2.0);
  must(near(s.optimality, 12) && near(s.cosine, 1.5), "one that may move has both");
  must(near(scaled_gradient(box, x, moves, D), std::hypot(3, 1)), "and this part");
  must(near(measure(open, x, rests, norms2, 2.0).optimality, 3), "without bounds, the gradient");
}

void costs() {
  const double trial[] = {1}, before[] = {1 + 1e-9};
  const steepest::linalg::Sums s = SquaredCosts<double>{trial, before}(0);
  const double more = before[0] - 1;
  must(s.first == 1 && near(s.second, more * (2 + more)), "a small decrease does not cancel");
  Stub::Space space;
  Residuals<Stub> r(Loss::cauchy, 1);
  const double f[] = {0, 0, 1e4, 1e4, 1e4};
  r.costs(space, f, 5, nullptr, false);
  r.weigh_trial(space, 0);
  must(std::fabs(r.curvature_left(space) - 1) < 1e-6, "1 while some rows are near");
  r.costs(space, f + 2, 3, nullptr, false);
  r.weigh_trial(space, 0);
  must(near(r.curvature_left(space), std::numeric_limits<double>::epsilon()), "else very little");
}

// Whether failed steps, which raised the cost in proportion to their lengths by these slopes, are
// told to have met one.
bool steady_after(const std::vector<std::pair<double, double>>& steps) {
  Rise<double> rise;
  for (const auto& [length, slope] : steps) {
    Step step{};
    step.cost = 1;
    step.length = length;
    step.actual = -slope * length;
    step.predicted = 1e-3;
    rise.failed(step);
    step.length = length / 3;
    step.actual = -1e-13;
    rise.failed(step);  // of which rounding is too large a part
    step.actual = -1e-6;
    step.predicted = 1e-6;
    step.Jx_norm = 1e10;
    rise.failed(step);  // lost in that of |Jx|
  }
  return rise.steady();
}

void rises() {
  must(steady_after({{1, 2}, {0.5, 2.1}, {0.2, 2}}), "three steps that met one slope");
  must(!steady_after({{1, 2}, {0.5, 2}}), "two are few");
  must(!steady_after({{1, 2}, {0.9, 2}, {0.85, 2}}), "nearly the same step tells nothing more");
  must(!steady_after({{1, 2}, {0.5, 1.5}, {0.2, 1.1}}), "a rise that bends");
  must(!steady_after({{1, 2}, {0.5, 2}, {0.2, 9}, {0.1, 9}}), "another slope begins anew");
}

// After six held-back steps, of which the last was corrected and gained this; the model foretold 1,
// the parabola of slope -2 with a gain of 0.16 at a tenth of the step: 2 + (0.16 - 0.2) / 0.01 =
// -2.
bool due_after(double actual) {
  LookAhead l;
  for (int k = 0; k < 6; ++k) {
    must(!l.due(), "not before six steps");
    l.accepted(true);
  }
  must(l.due(), "then it is");
  l.gained(0.16, -2);
  l.judged(actual, 1, true);
  return l.due();
}

void look_ahead() {
  must(due_after(0.9), "a good step goes on so");
  must(due_after(-1.6) && due_after(-2.4), "a poor one, too, where the correction changed it");
  must(!due_after(-2) && !due_after(-1.8), "but not one that gained what it would have without");
  must(due_after(NAN) && due_after(-HUGE_VAL), "a trial that is not finite says nothing");
  LookAhead l;
  l.set_on(false);
  for (int k = 0; k < 9; ++k) l.accepted(true);
  must(!l.due(), "never where it is off");
  l.set_on(true);
  must(l.due(), "nine in a row");
  l.judged(-2, 1, true);
  must(l.due(), "a step without correction does not count");
  l.accepted(false);
  must(!l.due(), "a free step begins anew");
  LookAhead rough;
  for (const int steps : {6, 12, 18}) {
    for (int k = 0; k < steps; ++k) {
      must(!rough.due(), "after four poor steps in a row it waits, each time for longer");
      rough.accepted(true);
    }
    for (int k = 0; k < 4; ++k) {
      must(rough.due(), "fewer are no reason to");
      rough.gained(0.16, -2);
      rough.judged(0.5, 1, true);
    }
  }
  LookAhead patient;
  for (int k = 0; k < 6; ++k) patient.accepted(true);
  const auto corrected = [&](int times, double actual, bool by_differences) {
    for (int k = 0; k < times; ++k) {
      patient.gained(0.16, -2);
      patient.judged(actual, 1, by_differences);
      must(patient.due(), "it waits neither where J is exact nor after steps that are good");
    }
  };
  corrected(9, 0.5, false);
  corrected(9, 0.9, true);
  corrected(3, 0.5, true);
  corrected(1, 0.9, true);
  corrected(3, 0.5, true);
  patient.bent(1e-6, 1e-8);
  must(patient.due(), "a step that is bent");
  patient.bent(1e-9, 1e-8);
  must(!patient.due(), "by no more than rounding it is not");
}

// ρ' and ρ'' are the derivatives of ρ, and all losses begin as z.
void losses() {
  for (const Loss loss :
       {Loss::linear, Loss::soft_l1, Loss::huber, Loss::cauchy, Loss::arctan, Loss::tukey}) {
    must(near(rho(loss, 1e-14).value, 1e-14) && near(rho(loss, 1e-14).first, 1), "z near zero");
    for (const double z : {0.3, 0.9, 1.1, 4.0}) {
      const double h = 1e-5;
      const Rho at = rho(loss, z), up = rho(loss, z + h), low = rho(loss, z - h);
      must(std::fabs((up.value - low.value) / (2 * h) - at.first) < 1e-8, "rho' of rho");
      must(std::fabs((up.first - low.first) / (2 * h) - at.second) < 1e-8, "rho'' of rho'");
      const RowWeights<double> w = row_weights<double>(at.first, at.second, z, 0);
      must(near(w.jacobian * w.residual + 1, at.first + 1), "Jᵀf is the gradient of the cost");
      const double curved = at.first + 2 * at.second * z;
      const double least = std::numeric_limits<double>::epsilon();
      must(near(w.jacobian * w.jacobian, curved > least ? curved : least), "JᵀJ is its curvature");
    }
  }
  must(row_weights<float>(0, -1, 1, 0).jacobian == std::sqrt(std::numeric_limits<float>::epsilon()),
       "the least curvature is of the type");
  must(near(rho(Loss::tukey, 1).value, 1.0 / 3) && near(rho(Loss::tukey, 9).value, 1.0 / 3),
       "Tukey's is flat from 1 on");
}

}  // namespace

int main() {
  ftol();
  rounding();
  xtol_and_gtol();
  radius();
  radius_equation();
  norms();
  scaling();
  corrections();
  stationarity();
  costs();
  rises();
  look_ahead();
  losses();
  return verdict();
}
