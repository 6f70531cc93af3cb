// Bindings of sweeps and factorisations; they check what memory safety needs, no more.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>

#include "bindings/lapack_capsules.hpp"
#include "bindings/module.hpp"
#include "bindings/workspace.hpp"
#include "cpu/level.hpp"
#include "cpu/teams.hpp"
#include "linalg/systems/direct.hpp"
#include "linalg/systems/sweep.hpp"
#include "linalg/systems/symmetric.hpp"

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

void run_sweep(const py::array& a, const py::array& b, py::array x, double omega, bool backward,
               const std::optional<py::array>& x_start, std::optional<py::array> residual,
               bool triangle) {
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
  const linalg::SweepKernels kernels = linalg::sweep_kernels(dtype, simd_level());
  const Unlocked unlocked(a.nbytes() * n_rhs);
  linalg::sweep(dtype, task, kernels, threads);
}

// A of any strides.
bool safely_symmetric(const py::array& a) {
  const DType dtype = dtype_of(a, "a");
  if (a.ndim() != 2 || a.shape(0) != a.shape(1)) throw refuse("a", "a square matrix");
  return visit(dtype, [&](auto kind) {
    const int64_t item = sizeof kind, row = a.strides(0) / item, column = a.strides(1) / item;
    return linalg::safely_symmetric(static_cast<const decltype(kind)*>(a.data()), a.shape(0), row,
                                    column);
  });
}

// `a` with rows (c_style) or columns (f_style) contiguous, to be written to: a copy, or itself
// where that is allowed and laid out so.
template <class T>
py::array_t<T> to_overwrite(const py::array& a, int layout, bool allowed) {
  const auto& numpy = py::detail::npy_api::get();
  constexpr int ensure_copy = 0x20;  // NPY_ARRAY_ENSURECOPY, which pybind11 does not name
  const int flags = layout | py::detail::npy_api::NPY_ARRAY_ALIGNED_ | (allowed ? 0 : ensure_copy);
  PyObject* made =
      numpy.PyArray_FromAny_(a.ptr(), py::dtype::of<T>().release().ptr(), 0, 0, flags, nullptr);
  if (!made) throw py::error_already_set();
  return py::reinterpret_steal<py::array_t<T>>(made);
}

// The first n rows of b (m or m x k, by columns).
template <class T>
py::array first_rows(const py::array_t<T>& b, int64_t n) {
  if (b.ndim() == 1) return py::array_t<T>(n, b.data());
  py::array_t<T, py::array::f_style> x({n, static_cast<int64_t>(b.shape(1))});
  for (py::ssize_t j = 0; j < b.shape(1); ++j) {
    std::copy_n(b.data() + j * b.shape(0), n, x.mutable_data() + j * n);
  }
  return x;
}

// x, the reciprocal condition number, whether x is finite.
template <class T>
py::tuple solve_directly(const std::string& method, const py::array& a, const py::array& b,
                         bool overwrite_a, bool overwrite_b) {
  // Columns are wanted; rows are the columns of Aᵀ, which LU and Cholesky take as well.
  const bool transposed =
      method != "qr" && (a.flags() & py::array::c_style) && !(a.flags() & py::array::f_style);
  py::array_t<T> factor =
      to_overwrite<T>(a, transposed ? py::array::c_style : py::array::f_style, overwrite_a);
  py::array_t<T> x = to_overwrite<T>(b, py::array::f_style, overwrite_b);
  const int64_t m = a.shape(0), n = a.shape(1), k = b.ndim() == 1 ? 1 : b.shape(1);
  linalg::Direct<T> system({factor.mutable_data(), transposed, x.mutable_data(), m, n, k});
  T rcond = 0;
  bool finite = false;
  {
    const WithoutGil released(m * n * (n + k) >= work_without_gil);
    rcond = method == "cholesky" ? system.cholesky() : method == "lu" ? system.lu() : system.qr();
    finite = system.finite();
  }
  // x in the memory of b itself is a view of it
  const py::object found = m > n ? first_rows(x, n) : x.is(b) ? x.attr("view")() : x;
  return py::make_tuple(found, static_cast<double>(rcond), finite);
}

py::tuple run_direct(const std::string& method, const py::array& a, const py::array& b,
                     bool overwrite_a, bool overwrite_b) {
  const bool single = py::array_t<float>::check_(a);
  if (!single && !py::array_t<double>::check_(a)) throw refuse("a", "float32 or float64");
  if (a.ndim() != 2 || a.shape(0) < a.shape(1) || (method != "qr" && a.shape(0) != a.shape(1)))
    throw refuse("a", "a square matrix, or (m, n), m >= n, with 'qr'");
  if (!b.dtype().equal(a.dtype()) || b.ndim() < 1 || b.ndim() > 2 || b.shape(0) != a.shape(0))
    throw refuse("b", "(m,) or (m, k) of the matrix's dtype");
  load_lapack();
  const auto solve = single ? &solve_directly<float> : &solve_directly<double>;
  return solve(method, a, b, overwrite_a, overwrite_b);
}

}  // namespace

void bind_linear(py::module_& m) {
  m.def("safely_symmetric", &safely_symmetric);
  m.def("solve_directly", &run_direct);
  m.def("sweep", &run_sweep, py::arg("a"), py::arg("b"), py::arg("x"), py::arg("omega") = 1.0,
        py::arg("backward") = false, py::arg("x_start") = py::none(),
        py::arg("residual") = py::none(), py::arg("triangle") = false);
}

}  // namespace steepest
