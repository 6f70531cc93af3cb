// What differences decide alone: their steps, and what is noise in the residuals. Each line says
// what must hold; the numbers are worked out by hand from the formulas beside them.
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "nlls/differences.hpp"
#include "nlls/noise.hpp"
#include "parts.hpp"

using namespace steepest::nlls;

namespace {

// The steps that were asked for, and J, of f(x) = (x², x, 1) at x by one parameter; at other points
// f is NaN first where `hole`.
struct Differenced {
  std::vector<double> at, J;
  Differenced(double x, bool central, std::vector<double> rel, double lower, double upper,
              bool hole = false)
      : J(3) {
    Differences<double> d(central, std::move(rel), {lower}, {upper});
    const double f[] = {x * x, x, 1};
    double moved[3];
    d.jacobian(
        {x}, f, 3, std::numeric_limits<double>::epsilon(),
        [&](size_t, double to) {
          at.push_back(to);
          moved[0] = hole ? NAN : to * to, moved[1] = to, moved[2] = 1;
          return moved;
        },
        J.data());
  }
};

void differences() {
  const double eps = std::numeric_limits<double>::epsilon(), root = std::sqrt(eps);
  const double third = std::cbrt(eps), inf = HUGE_VAL;
  Differenced up(3, false, {}, -inf, inf), down(-3, false, {}, -inf, inf);
  must(near(up.at[0] - 3, 3 * root) && near(down.at[0] + 3, -3 * root), "away from zero");
  must(std::fabs(up.J[0] - 6) < 1e-6 && std::fabs(down.J[0] + 6) < 1e-6, "its slope");
  must(Differenced(3.3, false, {}, -inf, inf).J[1] == 1, "over the step as it was rounded");
  must(near(Differenced(3, false, {}, -inf, 3).at[0] - 3, -3 * root), "on its upper bound, down");
  must(near(Differenced(-3, false, {}, -3, inf).at[0] + 3, 3 * root), "on its lower bound, up");
  Differenced tight(3, false, {0.1}, 2.95, 3.02);
  must(near(tight.at[0], 2.95), "where neither way has room, to the farther bound");
  must(std::fabs(tight.J[0] - 5.95) < 1e-12, "by the step that was taken");
  must(near(Differenced(3, false, {0.01}, -inf, inf).at[0], 3.03), "diff_step times |x|");
  must(near(Differenced(0.0, false, {0.01}, -inf, inf).at[0], root), "and of zero the usual step");
  must(near(Differenced(1e-9, false, {0.01}, -inf, inf).at[0], 1.01e-9), "not of a small x");
  must(near(Differenced(3, false, {1e-20}, -inf, inf).at[0] - 3, 3 * root), "nor one that is lost");
  Differenced both(3, true, {}, -inf, inf);
  must(both.at.size() == 2 && near(both.at[0] - 3, 3 * third) && both.at[1] < 3, "both ways");
  must(std::fabs(both.J[0] - 6) < 1e-9, "the central slope");
  Differenced side(3, true, {0.1}, -inf, 3);
  must(side.at.size() == 2 && near(side.at[0], 2.7) && near(side.at[1], 2.4), "two steps down");
  must(std::fabs(side.J[0] - 6) < 1e-12, "the parabola is exact for x squared");
  Differenced little(3, true, {0.1}, 2.8, 3.02);
  must(near(little.at[0], 2.9) && near(little.at[1], 2.8), "half the room each");
  must(std::fabs(little.J[0] - 6) < 1e-12, "and exact there");
  // At 1e-12 neither can be told from rounding beside the 1: the column is taken with a step of √ε.
  Differenced lost(1e-12, false, {}, -inf, inf), minus(-1e-12, false, {}, -inf, inf);
  must(lost.at.size() == 2 && near(lost.at[1] - 1e-12, root), "once more where it drowns");
  must(minus.at.size() == 2 && minus.at[1] < 0, "away from zero too");
  must(Differenced(1e-12, false, {}, -inf, inf, true).at.size() == 1, "but not where it is NaN");
  must(Differenced(1e-12, false, {0.1}, -inf, inf).at.size() == 1, "nor with a diff_step");
  for (size_t k = 0; k < 9; ++k) {
    std::vector<double> f(9, 1.0), moved = f, J(9);
    moved[k] = 2;
    const auto times = [&] {
      int calls = 0;
      Differences<double>(false, {}, {}, {})
          .jacobian(
              {0}, f.data(), 9, eps, [&](size_t, double) { return ++calls, moved.data(); },
              J.data());
      return calls;
    };
    must(times() == 1 && J[k] == 1 / root && J[(k + 1) % 9] == 0, "the largest change, anywhere");
    moved[k] = NAN;
    must(times() == 1, "or the one that is NaN");
  }
  std::vector<double> far;
  double J = 0, one = 1;
  Differences<double>(false, {}, {}, {})
      .jacobian({8}, &one, 1, eps, [&](size_t, double to) { return far.push_back(to), &one; }, &J);
  must(far.size() == 3 && J == 0, "from 1 on two longer ones, which show that it has no influence");
  must(near(far[1], 8 + 8 * std::sqrt(0x1p-23)) && near(far[2], 8 + 8 * std::sqrt(0x1p-10)),
       "in float and in half they would have been seen");
  Differences<double> rough(false, {}, {}, {});
  must(near(rough.error(eps), 64 * root), "forward differences are wrong by so much");
  rough.close_in(65 * root, eps);
  must(rough.error(eps) > 0, "and stay while the cosine is above that");
  rough.close_in(63 * root, eps);
  must(rough.error(eps) == 0, "then they become central");
  rough.close_in(65 * root, eps);
  must(rough.error(eps) == 0, "and stay so");
  must(Differences<double>(false, {0.1}, {}, {}).error(eps) == 0, "a diff_step is kept");
}

// Residuals of x in two variables at (8, 2), and what their differences find.
template <class F>
struct Noisy {
  static constexpr double eps = std::numeric_limits<double>::epsilon();
  Differences<double> differences{false, {}, {}, {}};
  int calls = 0;
  std::vector<double> f, moved, J;

  explicit Noisy(F fun, size_t m = 400) {
    std::vector<double> x = {8, 2};
    const auto at = [&](const std::vector<double>& point) {
      ++calls, moved.resize(m);
      for (size_t i = 0; i < m; ++i) moved[i] = fun(i, point[0], point[1]);
      return moved.data();
    };
    f.assign(at(x), at(x) + m), calls = 0, J.resize(2 * m);
    const auto take = [&] {
      const auto one = [&](size_t j, double to) {
        std::vector<double> point = x;
        point[j] = to;
        return at(point);
      };
      differences.jacobian(x, f.data(), static_cast<int64_t>(m), eps, one, J.data());
    };
    take();
    if (differences.find_noise(f.data(), static_cast<int64_t>(m), eps, at)) take();
  }
  double slope(size_t j) const {  // the mean of a column
    const auto m = static_cast<ptrdiff_t>(f.size()), start = static_cast<ptrdiff_t>(j) * m;
    return std::accumulate(J.begin() + start, J.begin() + start + m, 0.0) / static_cast<double>(m);
  }
};

void noisy_residuals() {
  const auto plain = [](size_t i, double x, double y) { return 3 * x - y + double(i % 7); };
  const Noisy quiet(plain);
  must(quiet.calls == 3 && quiet.differences.noise() == 0, "one evaluation more tells no noise");
  must(quiet.differences.patience() == 3, "and next where three steps failed");
  const Noisy curved(
      [](size_t i, double x, double y) { return std::sin(1e6 * x + double(i)) + y; });
  must(curved.calls == 6 && curved.differences.noise() == 0, "three more that it is curvature");
  std::mt19937 random(0);
  std::normal_distribution<double> normal(0, 1e-5);
  const Noisy noisy([&](size_t i, double x, double y) { return plain(i, x, y) + normal(random); });
  must(noisy.calls == 8, "or noise, and two take the columns again");
  must(std::fabs(noisy.differences.noise() * 28 / 1e-5 - 1) < 0.1,
       "it is over the largest residual");
  must(std::fabs(noisy.slope(0) / 3 - 1) < 1e-3 && std::fabs(noisy.slope(1) + 1) < 1e-3, "slopes");
  const Noisy wild(
      [&](size_t i, double x, double y) { return plain(i, x, y) + 1e6 * normal(random); });
  must(wild.differences.noise() == 1e-2, "steps stay below a tenth of x");
  const Noisy rounded([](size_t i, double x, double y) {
    return static_cast<double>(static_cast<float>(3 * x - y + double(i % 7)));
  });
  must(rounded.differences.noise() == 0x1p-23, "a step that is lost in float");
  must(std::fabs(rounded.slope(0) / 3 - 1) < 1e-3 && std::fabs(rounded.slope(1) + 1) < 2e-3,
       "is taken longer");
  const Noisy coarse([](size_t, double x, double y) { return std::round(64 * (3 * x - y)) / 64; });
  must(coarse.differences.noise() == 0x1p-10 && std::fabs(coarse.slope(0) / 3 - 1) < 0.1,
       "by half");
  const Noisy infinite([](size_t, double x, double y) { return x > 8 && y > 2 ? NAN : x + y; });
  must(infinite.calls == 3 && infinite.differences.noise() == 0,
       "what is not finite tells nothing");
}

// What differences ask of a core and tell it, which has f of two variables on trial at x.
struct Core {
  struct {
    double cosine = 1;
  } stationary;
  struct {
    bool predicted = true;
    bool close() const { return predicted; }
  } step;
  struct {
    double error = 0;
    int patience = 0;
    bool first = false;
    double columns = 0;
  } told;
  bool asked_again = false;
  int64_t jacobians = 0;
  std::vector<double> x{8, 2}, f;

  const std::vector<double>& point() const { return x; }
  const double* trial_fun() const { return f.data(); }
  int64_t m() const { return static_cast<int64_t>(f.size()); }
  int64_t njev() const { return jacobians; }
  bool again() const { return asked_again; }
  const auto& stationarity() const { return stationary; }
  const auto& judged() const { return step; }
  void set_accuracy(decltype(told) accuracy) { told = accuracy; }
};

// Jacobians at one point of a core, by evaluations of a function with or without noise.
void jacobians_of_a_core() {
  constexpr double eps = std::numeric_limits<double>::epsilon();
  std::mt19937 random(0);
  std::normal_distribution<double> normal(0, 1e-5);
  for (const bool noisy : {false, true}) {
    Core core;
    Differences<double> differences(false, {}, {}, {});
    std::vector<double> moved, J(800);
    int calls = 0;
    const auto at = [&](const std::vector<double>& x) {
      ++calls, moved.resize(400);
      for (double& f : moved) f = 3 * x[0] - x[1] + (noisy ? normal(random) : 0);
      return moved.data();
    };
    core.f.assign(at(core.x), at(core.x) + 400);
    const auto evaluations = [&] {
      calls = 0;
      return differences.at_point(core, eps, [&] { return J.data(); }, at) ? calls : -calls;
    };
    must(evaluations() == 2 && core.told.patience == 1 && !core.told.first,
         "the first is believed");
    must(core.told.columns == std::sqrt(eps), "forward differences are off by their steps");
    core.jacobians = 1;
    must(evaluations() == 2, "and the next after a step that does as predicted");
    core.step.predicted = false;
    must(evaluations() == (noisy ? 8 : 3), "else noise is looked for, and J taken again by it");
    must(core.told.first == noisy && core.told.patience == (noisy ? 0 : 3),
         "which the core is told");
    must(std::fabs(J[0] / 3 - 1) < (noisy ? 1e-1 : 1e-6), "a slope");
    const double columns = core.told.columns;
    must(noisy ? columns > 1e-4 : columns == std::sqrt(eps), "or by the noise");
    core.asked_again = true;
    must(evaluations() == (noisy ? 2 : -1), "asked again, one that is no noise stands");
    must(core.told.columns == columns, "and is as far off as before");
    core.stationary.cosine = 0;
    must(evaluations() == (noisy ? 4 : 5) && core.told.error == 0, "unless the gradient is lost");
    must(core.told.columns < columns * (noisy ? 0.5 : 1e-2), "as central ones are off by less");
  }
}

// Noise from five points on a line.
void noise() {
  std::vector<double> f[5];
  const auto found = [&] {
    const double* const line[] = {f[0].data(), f[1].data(), f[2].data(), f[3].data(), f[4].data()};
    return noise_along(line, static_cast<int64_t>(f[0].size()));
  };
  const auto fill = [&](auto value) {
    for (size_t k = 0; k < 5; ++k) {
      f[k].clear();
      for (size_t i = 0; i < 1000; ++i) f[k].push_back(value(i, static_cast<double>(k)));
    }
  };
  std::mt19937 random(0);
  std::normal_distribution<double> normal(0, 1e-6);
  const auto smooth = [](size_t i, double k) {
    return std::sin(static_cast<double>(i) + 0.1 * k) + 1e3 * k;
  };
  fill(smooth);
  must(found() == 0, "a curve has no noise");
  fill([&](size_t i, double k) { return 1e-3 * smooth(i, 1e-3 * k) + normal(random); });
  must(0.9e-6 < found() && found() < 1.1e-6, "its size is found, on a curve");
  fill([&](size_t i, double k) { return k > 2 && i % 7 == 0 ? HUGE_VAL : normal(random); });
  must(found() == 0, "what is not finite is no noise");
  fill([](size_t, double) { return 1.0; });
  must(found() == 0, "nor is what does not change");
}

}  // namespace

int main() {
  differences();
  noisy_residuals();
  jacobians_of_a_core();
  noise();
  return verdict();
}
