// What a solver is asked for, and what it is told of Jacobians by differences.
#pragma once
#include <cstdint>
#include <vector>

#include "linalg/dense/dense.hpp"
#include "nlls/loss.hpp"
#include "nlls/stopping.hpp"

namespace steepest::nlls {

enum class Method { gauss_newton, levenberg, marquardt };

template <class T>
struct Options {
  Method method = Method::marquardt;
  linalg::LinearSolver linear_solver = linalg::LinearSolver::automatic;
  double damping = 1e-3;
  Tolerances tolerances{1e-8, 1e-8, 1e-8};
  int64_t max_nfev = 0;
  Loss loss = Loss::linear;
  double f_scale = 1;
  std::vector<T> x_scale;       // empty: by the Jacobian's columns for lm, 1 for the others
  std::vector<T> lower, upper;  // empty: no bounds
  // Whether to ask for J where the last step ends the fit, as MINPACK does not; without it gradient
  // and optimality are those of the point before.
  bool last_jacobian = true;
};

// What is known of a Jacobian by differences.
struct Accuracy {
  double error = 0;  // its relative error, where a better one can be had, else 0
  int patience = 0;  // failed steps until it is asked for again, as it may be noise; 0: any number
  bool first = false;  // all before it were noise
  double columns = 0;  // about what its columns are off by, over their norms; 0: J is given
};

}  // namespace steepest::nlls
