// Bindings of the vector kernels of the full-batch methods.
#include "linalg/vectors/vectors.hpp"

#include <pybind11/numpy.h>

#include "bindings/module.hpp"
#include "bindings/workspace.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

using linalg::SymmetricMatrix;
using linalg::view;

// With `minus`, the first vector less `minus` is one vector more, before the others.
py::array_t<double> inner(const py::array& workspace, const py::list& picks,
                          const py::list& vectors, const py::object& minus) {
  const Workspace w(workspace, "workspace");
  Pointers rows = w.picked(picks, vectors), columns = w.vectors(vectors, "vectors");
  linalg::Difference formed{};
  if (!minus.is_none()) {
    if (columns.empty()) throw refuse("minus", "with at least one vector");
    formed = {columns[0], w.vector(minus, "minus", false)};
    rows.insert(rows.end() - static_cast<int64_t>(columns.size()), nullptr);
    columns.insert(columns.begin(), nullptr);
  }
  py::array_t<double> products({rows.size(), columns.size()});
  double* out = products.mutable_data();
  const int64_t bytes = static_cast<int64_t>(rows.size()) * w.n * size_of(w.dtype);
  const linalg::Pass pass = pass_over(w.dtype, bytes);
  const Unlocked unlocked(bytes);
  linalg::inner(pass, view(rows), view(columns), w.n, out, formed);
  return products;
}

void combine(const py::array& workspace, const py::list& picks, const py::list& vectors,
             const py::array& coefficients, const py::list& outs) {
  const Workspace w(workspace, "workspace");
  const Pointers rows = w.picked(picks, vectors);
  const Pointers into = w.vectors(outs, "outs", true);
  const double* c = doubles(coefficients, "coefficients");
  if (coefficients.size() != static_cast<int64_t>(into.size() * rows.size()))
    throw refuse("coefficients", "an array (outs, picks and vectors)");
  const int64_t bytes = static_cast<int64_t>(rows.size()) * w.n * size_of(w.dtype);
  const linalg::Pass pass = pass_over(w.dtype, bytes);
  const Unlocked unlocked(bytes);
  linalg::combine(pass, c, view(rows), view(into), w.n);
}

Workspace square(const py::array& a) {
  const Workspace w(a, "A");
  if (w.k != w.n) throw refuse("A", "a square array");
  return w;
}

void symmetric_product(const py::array& a, const py::list& vectors, const py::list& outs) {
  const Workspace w = square(a);
  const Pointers columns = w.vectors(vectors, "vectors");
  const Pointers into = w.vectors(outs, "outs", true);
  if (columns.size() != into.size()) throw refuse("outs", "one for each vector");
  const int64_t bytes = w.n * w.n * size_of(w.dtype) / 2;
  const linalg::Pass pass = pass_over(w.dtype, bytes);
  const Unlocked unlocked(bytes);
  linalg::symmetric_product(pass, SymmetricMatrix{w.data, w.n}, view(columns), view(into));
}

void rank_two(const py::array& a, const py::array& u, const py::array& v) {
  const Workspace w = square(a);
  if (!w.writeable) throw refuse("A", "a writable array");
  const void* up = w.vector(u, "u", false);
  const void* vp = w.vector(v, "v", false);
  const int64_t bytes = w.n * w.n * size_of(w.dtype);
  const linalg::Pass pass = pass_over(w.dtype, bytes);
  const Unlocked unlocked(bytes);
  linalg::rank_two(pass, SymmetricMatrix{w.data, w.n}, up, vp);
}

}  // namespace

void bind_vectors(py::module_& m) {
  m.def("inner", &inner, py::arg("workspace"), py::arg("picks"), py::arg("vectors"),
        py::arg("minus") = py::none());
  m.def("combine", &combine);
  m.def("symmetric_product", &symmetric_product);
  m.def("rank_two", &rank_two);
}

}  // namespace steepest
