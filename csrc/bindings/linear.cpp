// Bindings of the sweeps under steepest.linear: checks what memory safety needs, no more.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>

#include "bindings/module.hpp"
#include "bindings/workspace.hpp"
#include "cpu/level.hpp"
#include "cpu/teams.hpp"
#include "linalg/sweeps/sweep.hpp"
#include "linalg/sweeps/symmetric.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

// The distance between the rows of a square matrix whose rows are contiguous, in elements.
int64_t row_stride(const py::array& a, DType dtype) {
  const int64_t item = size_of(dtype);
  if (a.ndim() != 2 || a.shape(0) != a.shape(1)) throw refuse("a", "a square matrix");
  if (a.shape(0) > 1 &&
      (a.strides(1) != item || a.strides(0) % item != 0 || a.strides(0) < item * a.shape(1)))
    throw refuse("a", "a matrix whose rows are contiguous");
  return a.shape(0) > 1 ? a.strides(0) / item : a.shape(0);
}

// (n_rhs, n), C-contiguous, of the matrix's dtype.
void check_rows(const py::array& v, const char* name, const py::array& a, int64_t n_rhs) {
  if (!v.dtype().equal(a.dtype()) || v.ndim() != 2 || v.shape(0) != n_rhs ||
      v.shape(1) != a.shape(0) || !(v.flags() & py::array::c_style))
    throw refuse(name, "a C-contiguous (n_rhs, n) of the matrix's dtype");
}

void run_sweep(const py::array& a, const py::array& b, py::array x,
               const std::optional<py::array>& x_start, std::optional<py::array> residual,
               double omega, bool backward, bool triangle) {
  const DType dtype = dtype_of(a, "a");
  const int64_t n_rhs = b.ndim() == 2 ? b.shape(0) : -1;
  linalg::Sweep task{};
  task.lda = row_stride(a, dtype);
  check_rows(b, "b", a, n_rhs);
  check_rows(x, "x", a, n_rhs);
  if (x_start.has_value() != residual.has_value())
    throw Error(ErrorKind::value, "x_start and residual come together");
  if (x_start) {
    check_rows(*x_start, "x_start", a, n_rhs);
    check_rows(*residual, "residual", a, n_rhs);
    task.x_start = x_start->data();
    task.start_residual = residual->mutable_data();
  }
  task.a = a.data();
  task.b = b.data();
  task.x = x.mutable_data();
  task.n = a.shape(0);
  task.n_rhs = n_rhs;
  task.omega = omega;
  task.backward = backward;
  task.triangle = triangle;
  // Triangles are solved between products by BLAS, whose threads go on spinning after each: with a
  // team a solution took 6 to 25 times as long.
  const int threads = triangle ? 1 : threads_for(a.nbytes());
  const linalg::SweepKernels kernels = linalg::sweep_kernels(dtype, level_in_use());
  py::gil_scoped_release release;
  linalg::sweep(dtype, task, kernels, threads);
}

template <class T>
bool symmetric(const py::array& a) {
  const auto item = static_cast<int64_t>(sizeof(T));
  return linalg::safely_symmetric(static_cast<const T*>(a.data()), a.shape(0), a.strides(0) / item,
                                  a.strides(1) / item);
}

// A of any strides.
bool safely_symmetric(const py::array& a) {
  const DType dtype = dtype_of(a, "a");
  if (a.ndim() != 2 || a.shape(0) != a.shape(1)) throw refuse("a", "a square matrix");
  return dtype == DType::float32 ? symmetric<float>(a) : symmetric<double>(a);
}

}  // namespace

void bind_linear(py::module_& m) {
  m.def("safely_symmetric", &safely_symmetric);
  m.def("sweep", &run_sweep, py::arg("a"), py::arg("b"), py::arg("x"), py::kw_only(),
        py::arg("x_start") = py::none(), py::arg("residual") = py::none(), py::arg("omega") = 1.0,
        py::arg("backward") = false, py::arg("triangle") = false);
}

}  // namespace steepest
