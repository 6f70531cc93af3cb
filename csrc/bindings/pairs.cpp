// Bindings of the stored pairs of L-BFGS, and of a whole iteration as one call, also in a box.
#include "linalg/vectors/pairs.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "bindings/module.hpp"
#include "bindings/workspace.hpp"
#include "linalg/vectors/box.hpp"
#include "linalg/vectors/boxed_pairs.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

using linalg::Direction;
using linalg::FirstStep;
using linalg::Pairs;
using linalg::Products;

// Column `at` of an array with at least `least` rows.
Products column(const py::array& products, int64_t at, int64_t least) {
  if (products.ndim() != 2 || at < 0 || products.shape(1) <= at || products.shape(0) < least)
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

int64_t newest_y(const Pairs& p) {
  if (p.count == 0) throw refuse("newest_y", "a pair");  // another thread may forget them
  return p.newest_y();
}

void learn(Pairs& p, int64_t j, const py::array& products) {
  if (j < 0 || j >= p.count) throw refuse("j", "the number of a pair");
  p.learn(j, column(products, 0, 2 * (j + 1)));
}

// (coefficients, scale, slope, magnitude); the last column of `products` is that with g.
py::tuple direction(const Pairs& p, const py::array& products, double otherwise) {
  const int64_t columns = products.ndim() == 2 ? products.shape(1) : 0;
  const Products on_g = column(products, columns - 1, 2 * p.count + 1);
  py::array_t<double> c({int64_t{5}, 2 * p.count + 4});
  const Direction to = p.turn(on_g, otherwise, c.mutable_data());
  return py::make_tuple(c, to.scale, to.slope, to.magnitude);
}

// (f0, slope0, length, c1, c2, eps)
FirstStep first_step(const py::tuple& line) {
  if (line.size() != 6) throw refuse("line", "six numbers");
  const auto number = [&](size_t i) { return line[i].cast<double>(); };
  return {{number(0), number(1)}, number(2), number(3), number(4), number(5)};
}

std::array<int64_t, 4> four_rows(const py::tuple& rows) {
  if (rows.size() != 4) throw refuse("rows", "four");
  std::array<int64_t, 4> row;
  for (size_t i = 0; i < 4; ++i) row[i] = rows[i].cast<int64_t>();
  return row;
}

// Where the first step of a search meets the strong Wolfe conditions: learns from it and gives
// (slope, magnitude, row of the next direction, the user's copy of the next point). None, and
// nothing has changed, where it does not, or where |g|^2 is at most `least_square`. The rows are
// those of x, of the gradient before, of the point before, whose place the next trial point takes,
// and of the direction.
py::object ordinary_iteration(Pairs& p, const py::array& workspace, double f, const py::object& g,
                              const py::tuple& line, double least_square, const py::tuple& places) {
  const FirstStep first = first_step(line);
  if (!first.low_enough(f)) return py::none();
  const Workspace w(workspace, "workspace");
  void* const told = w.vector(g, "g", false);
  const auto [x, g_before, trial, d] = four_rows(places);

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
  if (!first.strong(slope)) return py::none();
  if (!(square > least_square && std::isfinite(square))) return py::none();

  // The second: as LBFGS._turn
  const double ratio = linalg::curvature_ratio(first.from, {f, slope}, first.length, first.eps);
  const int64_t next = p.append({products.data(), 2}, first.length, ratio, d);
  std::vector<double> c(5 * static_cast<size_t>(2 * p.count + 4));
  const Direction to = p.turn({products.data() + 1, 2}, 1.0, c.data());
  const py::array copy(workspace.dtype(), std::vector<int64_t>{w.n});
  rows.clear();
  for (const int64_t i : p.rows()) rows.push_back(w.row(i));
  rows.insert(rows.end(), {w.row(g_before), w.row(x), w.row(next), told});
  const Pointers outs = {w.row(p.newest_y()), w.row(g_before), w.row(next), w.row(trial),
                         const_cast<void*>(copy.data())};
  linalg::combine(pass, c.data(), w.view(rows), w.view(outs), w.n);
  return py::make_tuple(to.slope, to.magnitude, next, copy);
}

// An accepted point in a box, as Python gives it: the rows of x, of the gradient before, of the
// point before and of the direction; lower and upper bounds, near, and the variables that were
// free.
struct InBox {
  InBox(const py::array& workspace, const py::tuple& rows, const py::tuple& sides)
      : w(workspace, "workspace"), bounds(sides), row(four_rows(rows)) {
    if (bounds.size() != 4) throw refuse("bounds", "four");
  }

  template <class T>
  T* at(int64_t i) const {
    return static_cast<T*>(w.row(i));
  }

  template <class T>
  T* vector(const py::handle& h, const char* what) const {
    return static_cast<T*>(w.vector(h, what, false));
  }

  template <class T>
  linalg::Box<T> box() const {
    return {vector<T>(bounds[0], "lower"), vector<T>(bounds[1], "upper"),
            vector<T>(bounds[2], "near"), w.n};
  }

  // Null for None.
  const bool* free() const {
    if (bounds[3].is_none()) return nullptr;
    if (py::isinstance<py::array_t<bool, py::array::c_style>>(bounds[3])) {
      const auto a = py::reinterpret_borrow<py::array>(bounds[3]);
      if (a.ndim() == 1 && a.shape(0) == w.n) return static_cast<const bool*>(a.data());
    }
    throw refuse("free", "None or a contiguous array (n,) of bool");
  }

  const Workspace w;
  const py::tuple bounds;
  const std::array<int64_t, 4> row;
};

// (slope, row of the next direction, the user's copy of the next point, free variables)
template <class T>
py::object advance(Pairs& p, const InBox& in, const linalg::Box<T>& box, T* told, double eps) {
  const auto [x, g, before, d] = in.row;
  for (const auto* rows : {&p.d_rows, &p.y_rows})
    for (const int64_t i : *rows) in.w.row(i);  // all there
  in.w.row(d);
  const linalg::Accepted<T> at = {in.at<T>(x), in.at<T>(before), in.at<T>(g), told};
  const bool* free_before = in.free();
  py::array_t<bool> free(box.n);
  const linalg::Pass pass = pass_over(in.w.dtype, (2 * p.count + 3) * box.n * size_of(in.w.dtype));
  linalg::BoxedPairs<T> pairs(p, pass, box, in.at<T>(0));
  int64_t next = d;
  const double slope = pairs.advance(at, next, free_before, free.mutable_data(), eps);
  return py::make_tuple(slope, next, py::array_t<T>(box.n, at.before), free);
}

py::object advance_in_box(Pairs& p, const py::array& workspace, const py::object& g, double eps,
                          const py::tuple& rows, const py::tuple& bounds) {
  const InBox in(workspace, rows, bounds);
  return visit(in.w.dtype, [&](auto kind) {
    using T = decltype(kind);
    return advance<T>(p, in, in.box<T>(), in.vector<T>(g, "g"), eps);
  });
}

// As `ordinary_iteration`, by the weak Wolfe conditions along the projected path; None also where
// no element of the projected gradient is above gtol.
py::object ordinary_iteration_in_box(Pairs& p, const py::array& workspace, double f,
                                     const py::object& g, const py::tuple& line, double gtol,
                                     const py::tuple& rows, const py::tuple& bounds) {
  const FirstStep first = first_step(line);
  if (!first.low_enough(f)) return py::none();
  const InBox in(workspace, rows, bounds);
  return visit(in.w.dtype, [&](auto kind) -> py::object {
    using T = decltype(kind);
    const auto [x, g_before, before, d] = in.row;
    const linalg::Box<T> box = in.box<T>();
    T* const told = in.vector<T>(g, "g");
    if (!std::all_of(told, told + box.n, [](T gi) { return std::isfinite(gi); })) return py::none();
    const auto length = static_cast<T>(first.length);
    if (!first.weak(box.slope(in.at<T>(before), in.at<T>(d), length, told))) return py::none();
    if (!(box.violation(in.at<T>(x), told) > gtol)) return py::none();
    return advance<T>(p, in, box, told, first.eps);
  });
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
      .def_property_readonly("newest_y", &newest_y)
      .def_property_readonly("next_y", &Pairs::next_y)
      .def("rows", [](const Pairs& p) { return p.rows(); })
      .def("rows_with", &Pairs::rows_with)
      .def("forget", [](Pairs& p) { p.count = 0; })
      .def("append", &append)
      .def("learn", &learn)
      .def("direction", &direction)
      .def("ordinary_iteration", &ordinary_iteration)
      .def("ordinary_iteration_in_box", &ordinary_iteration_in_box)
      .def("advance_in_box", &advance_in_box)
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
