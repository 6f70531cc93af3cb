// Bindings of the vector part of conjugate gradients.
#include "linalg/vectors/cg_vectors.hpp"

#include <utility>

#include "bindings/module.hpp"
#include "bindings/workspace.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

// x, r and p are the rows of the workspace.
struct Iteration {
  explicit Iteration(const py::array& workspace) : w(workspace, "workspace") {
    if (w.k != 3 || !w.writeable) throw refuse("workspace", "a writable array (3, n)");
    vectors = {w.row(0), w.row(1), w.row(2), w.n};
  }
  int64_t bytes() const { return w.n * size_of(w.dtype); }

  Workspace w;
  linalg::CgVectors vectors;
};

double turn(const py::array& workspace, const py::array& z, double rho_before) {
  const Iteration it(workspace);
  void* const at = it.w.vector(z, "z", false);
  const linalg::Pass pass = pass_over(it.w.dtype, it.bytes());
  const Unlocked unlocked(it.bytes());
  return linalg::cg_turn(pass, it.vectors, at, rho_before);
}

std::pair<double, double> advance(const py::array& workspace, const py::array& Ap, double rho,
                                  bool turns) {
  const Iteration it(workspace);
  void* const at = it.w.vector(Ap, "Ap", false);
  const linalg::Pass pass = pass_over(it.w.dtype, it.bytes());
  const Unlocked unlocked(it.bytes());
  const auto [pAp, rr] = linalg::cg_advance(pass, it.vectors, at, rho, turns);
  return {pAp, rr};
}

}  // namespace

void bind_cg_vectors(py::module_& m) {
  m.def("cg_turn", &turn);
  m.def("cg_advance", &advance);
}

}  // namespace steepest
