// The least-squares core by itself, under sanitizers: every method and linear solver on small
// problems whose arrays end where their memory ends, on the host and on the simulated device.
// LAPACK is not linked: sizes stay below it. Argument: the folder of the fake libraries.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "linalg/dense/dense.hpp"
#include "linalg/device/dense_cuda.hpp"
#include "nlls/solver.hpp"

using namespace steepest;
using linalg::LinearSolver;
using nlls::Method;
using nlls::Phase;

template <class T>
struct Problem {  // y = a exp(-b t) + c at m points, beyond an odd end
  explicit Problem(int64_t size) : m(size) {}
  std::vector<T> f(const std::vector<T>& p) const {
    std::vector<T> out;
    for (int64_t i = 0; i < m; ++i) {
      const T t = T(i) / T(8);
      out.push_back(p[0] * std::exp(-p[1] * t) + p[2] - (2 * std::exp(T(-1.5) * t) + T(0.5)));
    }
    return out;
  }
  std::vector<T> jac(const std::vector<T>& p, bool row_major) const {
    std::vector<T> J(static_cast<size_t>(3 * m));
    for (int64_t i = 0; i < m; ++i) {
      const T t = T(i) / T(8), e = std::exp(-p[1] * t);
      const T row[] = {e, -p[0] * t * e, T(1)};
      for (int64_t j = 0; j < 3; ++j) {
        J[static_cast<size_t>(row_major ? 3 * i + j : j * m + i)] = row[j];
      }
    }
    return J;
  }
  int64_t m;
};

template <class T>
linalg::HostSpace<T> space_of(const linalg::DenseCpu<T>*) {
  return {};
}
template <class T>
linalg::DeviceSpace<T> space_of(const linalg::DenseCuda<T>*) {
  return {0, [](int64_t bytes) {
            return std::shared_ptr<void>(std::malloc(static_cast<size_t>(bytes)), std::free);
          }};
}

template <class Backend, class T>
bool fit(nlls::Options<T> options, bool row_major, bool blocks) {
  const Problem<T> problem(27);
  options.max_nfev = 500;
  const double eps = std::numeric_limits<T>::epsilon();
  options.tolerances = {std::fmax(1e-8, eps), std::fmax(1e-8, eps), std::fmax(1e-8, eps)};
  const Backend* backend = nullptr;
  nlls::Solver<Backend> solver({T(1), T(1), T(0)}, options, space_of<T>(backend));
  std::vector<T> J, before;
  while (solver.phase() != Phase::done) {
    const std::vector<T> x = solver.point(), f = problem.f(x);
    if (blocks) {
      J = problem.jac(x, true);
      solver.begin_blocks();
      bool wanted = true;
      for (int64_t i = 0; wanted && i < problem.m; i += 5) {
        const int64_t rows = std::min<int64_t>(5, problem.m - i);
        const std::vector<T> part(J.begin() + 3 * i, J.begin() + 3 * (i + rows));
        const std::vector<T> part_f(f.begin() + i, f.begin() + i + rows);
        wanted = solver.add_block({part.data(), rows, 3, 3, true, part_f.data()});
      }
      solver.end_blocks(wanted);
    } else if (solver.tell_residual(f.data(), problem.m) == Phase::jacobian) {
      before = std::move(J);  // the solver may go back to it
      J = problem.jac(x, row_major);
      solver.tell_jacobian(J.data(), row_major ? 3 : problem.m, row_major);
    }
  }
  const std::vector<T>& x = solver.x();
  return std::fabs(x[0] - 2) < 1e-2 && std::fabs(x[1] - T(1.5)) < 1e-2;
}

template <class Backend>
int run(const char* type) {
  using T = typename Backend::Scalar;
  int failed = 0;
  for (const Method method : {Method::marquardt, Method::levenberg, Method::gauss_newton}) {
    for (const auto kind :
         {LinearSolver::automatic, LinearSolver::cholesky, LinearSolver::qr, LinearSolver::cg}) {
      for (const auto loss : {nlls::Loss::linear, nlls::Loss::soft_l1}) {
        for (const int form : {0, 1, 2, 3}) {  // rows, columns, blocks, in a box
          if (kind == LinearSolver::cg && (form == 2 || method == Method::gauss_newton)) continue;
          nlls::Options<T> options;
          options.method = method;
          options.linear_solver = kind;
          options.loss = loss;
          if (form == 3) {
            options.lower = {T(0), T(0.5), T(-1)};
            options.upper = {T(2), T(9), T(1)};
          }
          if (fit<Backend>(options, form != 1, form == 2)) continue;
          ++failed;
          std::printf("%s: method %d, solver %d, loss %d, form %d did not converge\n", type,
                      int(method), int(kind), int(loss), form);
        }
      }
    }
  }
  return failed;
}

int main(int, char** argv) {
  linalg::load_libraries({argv[1]});
  const int failed = run<linalg::DenseCpu<double>>("double") +
                     run<linalg::DenseCpu<float>>("float") +
                     run<linalg::DenseCuda<double>>("double on the device") +
                     run<linalg::DenseCuda<float>>("float on the device");
  if (!failed) std::puts("all fits converged");
  return failed;
}
