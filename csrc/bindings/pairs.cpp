// Bindings of what L-BFGS keeps of its pairs, and of an ordinary iteration as one call.
#include "linalg/pairs.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "bindings/module.hpp"
#include "bindings/workspace.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

using linalg::Direction;
using linalg::Pairs;
using linalg::Products;

// Column `at` of (least or more, columns).
Products column(const py::array& products, int64_t at, int64_t least) {
  if (products.ndim() != 2 || products.shape(1) <= at || products.shape(0) < least)
    throw refuse("products", "an array (2 count + 1, ...)");
  return {doubles(products, "products") + at, products.shape(1)};
}

Pairs make(int64_t capacity, int64_t first_row) {
  if (capacity < 1 || first_row < 0) throw refuse("capacity, first_row", "at least 1 and 0");
  return {capacity, first_row};
}

int64_t append(Pairs& p, const py::array& products, double step, double ratio, int64_t d) {
  return p.append(column(products, 0, 2 * std::min(p.count + 1, p.capacity)), step, ratio, d);
}

// The direction and, by its coefficients (5, 2 count + 4) of the d_i and y_i, the gradient before,
// x, d and g: y, g, d, x + d and x + d once more.
Direction turn(const Pairs& p, const Products& on_g, double otherwise, double* c) {
  const int64_t before = 2 * p.count, x = before + 1, d = before + 2, g = before + 3, width = g + 1;
  std::fill_n(c, 5 * width, 0.0);
  double* row = c + 2 * width;
  const Direction to = p.direction(on_g, otherwise, row);
  std::swap(row[before], row[g]);
  c[before] = -1;
  c[g] = c[width + g] = 1;
  for (int64_t i : {3, 4}) c[i * width + x] = c[i * width + d] = 1;
  return to;
}

// (coefficients, scale, slope, magnitude); the last column of `products` is that with g.
py::tuple direction(const Pairs& p, const py::array& products, double otherwise) {
  const int64_t columns = products.ndim() == 2 ? products.shape(1) : 0;
  const Products on_g = column(products, columns - 1, 2 * p.count + 1);
  py::array_t<double> c({int64_t{5}, 2 * p.count + 4});
  const Direction to = turn(p, on_g, otherwise, c.mutable_data());
  return py::make_tuple(c, to.scale, to.slope, to.magnitude);
}

// Where the first step of a search meets the strong Wolfe conditions: learns from it and gives
// (slope, magnitude, row of the next direction, the user's copy of the next point). None, and
// nothing has changed, where it does not, where |g|^2 is at most `least_square`, where there is no
// curvature to learn.
py::object ordinary_iteration(Pairs& p, const py::array& workspace, double f, const py::object& g,
                              double f0, double slope0, double step, double c1, double c2,
                              double eps, double least_square, int64_t x, int64_t g_before,
                              int64_t trial, int64_t d) {
  if (!(f < f0 && f <= f0 + c1 * step * slope0 && std::isfinite(f))) return py::none();
  const Workspace w(workspace, "workspace");
  void* const told = w.vector(g, "g", false);

  // The first pass: as LBFGS._multiply
  Pointers rows;
  for (const int64_t i : p.rows_with(d)) rows.push_back(w.row(i));
  const size_t newest = rows.size() / 2;
  rows.insert(rows.end(), {nullptr, told});
  const Pointers columns = {nullptr, told};
  std::vector<double> products(2 * rows.size());
  const linalg::Pass pass =
      pass_over(w.dtype, static_cast<int64_t>(rows.size()) * w.n * size_of(w.dtype));
  linalg::inner(pass, w.view(rows), w.view(columns), w.n, products.data(), {told, w.row(g_before)});
  const double slope = products[2 * newest + 1], square = products.back();
  if (!(std::fabs(slope) <= -c2 * slope0 && slope - slope0 > eps * -slope0)) return py::none();
  if (!(square > least_square && std::isfinite(square))) return py::none();

  // The second: as LBFGS._turn
  const double ratio = linalg::curvature_ratio({f0, slope0}, {f, slope}, step, eps);
  const int64_t next = p.append({products.data(), 2}, step, ratio, d);
  std::vector<double> c(5 * static_cast<size_t>(2 * p.count + 4));
  const Direction to = turn(p, {products.data() + 1, 2}, 1.0, c.data());
  const py::array copy(workspace.dtype(), std::vector<py::ssize_t>{w.n});
  rows.clear();
  for (const int64_t i : p.rows()) rows.push_back(w.row(i));
  rows.insert(rows.end(), {w.row(g_before), w.row(x), w.row(next), told});
  const Pointers outs = {w.row(p.newest_y()), w.row(g_before), w.row(next), w.row(trial),
                         const_cast<void*>(copy.data())};
  linalg::combine(pass, c.data(), w.view(rows), w.view(outs), w.n);
  return py::make_tuple(to.slope, to.magnitude, next, copy);
}

// (count, d rows, y rows, sums), copied.
py::tuple state(const Pairs& p) {
  const py::array_t<double> sums({2 * p.capacity + 2, p.capacity}, p.sums.data());
  return py::make_tuple(p.count, p.d_rows, p.y_rows, sums);
}

void restore(Pairs& p, int64_t count, const std::vector<int64_t>& d_rows,
             const std::vector<int64_t>& y_rows, const py::array& sums) {
  const auto m = static_cast<size_t>(p.capacity);
  const double* from = doubles(sums, "sums");
  if (count < 0 || count > p.capacity || d_rows.size() != m || y_rows.size() != m ||
      sums.size() != static_cast<py::ssize_t>(p.sums.size()))
    throw refuse("state", "a state of as many pairs");
  p.count = count;
  p.d_rows = d_rows;
  p.y_rows = y_rows;
  std::copy_n(from, p.sums.size(), p.sums.begin());
}

Pairs from_state(const py::tuple& state) {
  const auto d_rows = state[1].cast<std::vector<int64_t>>();
  Pairs p(static_cast<int64_t>(d_rows.size()), 0);
  restore(p, state[0].cast<int64_t>(), d_rows, state[2].cast<std::vector<int64_t>>(),
          state[3].cast<py::array>());
  return p;
}

}  // namespace

void bind_pairs(py::module_& m) {
  py::class_<Pairs>(m, "Pairs")
      .def(py::init(&make))
      .def_readonly("count", &Pairs::count)
      .def_property_readonly("newest_y", &Pairs::newest_y)
      .def_property_readonly("next_y", &Pairs::next_y)
      .def("rows", [](const Pairs& p) { return p.rows(); })
      .def("rows_with", &Pairs::rows_with)
      .def("forget", [](Pairs& p) { p.count = 0; })
      .def("append", &append)
      .def("direction", &direction)
      .def("ordinary_iteration", &ordinary_iteration)
      .def("state", &state)
      .def("restore", &restore)
      .def(py::pickle(&state, &from_state))
      .def_property_readonly("sums", [](py::object self) {  // not a copy
        Pairs& p = self.cast<Pairs&>();
        return py::array_t<double>({2 * p.capacity + 2, p.capacity}, p.sums.data(), self);
      });
  m.def("curvature_ratio",
        [](double f0, double slope0, double f, double slope, double step, double eps) {
          return linalg::curvature_ratio({f0, slope0}, {f, slope}, step, eps);
        });
}

}  // namespace steepest
