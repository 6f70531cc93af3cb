// Bindings of the stored pairs of L-BFGS, and of a whole iteration as one call, also in a box.
#include "linalg/vectors/pairs.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "bindings/module.hpp"
#include "bindings/workspace.hpp"
#include "linalg/vectors/iteration.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

using linalg::BoxPairs;
using linalg::FirstStep;
using linalg::PairRows;
using linalg::Pairs;
using linalg::Products;

// Column `at` of an array with at least `least` rows.
Products column(const py::array& products, int64_t at, int64_t least) {
  if (products.ndim() != 2 || at < 0 || products.shape(1) <= at || products.shape(0) < least)
    throw refuse("products", "an array (2 count + 1, ...)");
  return {doubles(products, "products") + at, products.shape(1)};
}

template <class P>
P make(int64_t capacity, int64_t first_row) {
  if (capacity < 1 || first_row < 0) throw refuse("capacity, first_row", "at least 1 and 0");
  return {capacity, first_row};
}

int64_t append(Pairs& p, const py::array& products, double step, double ratio, int64_t d) {
  return p.append(column(products, 0, 2 * std::min(p.count + 1, p.capacity)), step, ratio, d);
}

int64_t append_in_box(BoxPairs& p, const py::array& products, int64_t d) {
  const int64_t rows = 2 * std::min(p.count + 1, p.capacity);
  return p.append(column(products, 0, rows), column(products, 1, rows), d);
}

int64_t newest_y(const PairRows& p) {
  if (p.count == 0) throw refuse("newest_y", "a pair");  // another thread may forget them
  return p.newest_y();
}

void learn(BoxPairs& p, int64_t j, const py::array& products) {
  if (j < 0 || j >= p.count) throw refuse("j", "the number of a pair");
  p.learn(j, column(products, 0, 2 * (j + 1)), column(products, 1, 2 * (j + 1)));
}

// (coefficients (1, 2 count + 1), scale); the last column of `products` is that with g.
py::tuple direction_in_box(const BoxPairs& p, const py::array& products, double otherwise) {
  const int64_t columns = products.ndim() == 2 ? products.shape(1) : 0;
  const Products on_g = column(products, columns - 1, 2 * p.count + 1);
  py::array_t<double> c({int64_t{1}, 2 * p.count + 1});
  const double scale = p.direction(on_g, otherwise, c.mutable_data());
  return py::make_tuple(c, scale);
}

// (coefficients, slope); the last column of `products` is that with g.
py::tuple direction(const Pairs& p, const py::array& products, double otherwise) {
  const int64_t columns = products.ndim() == 2 ? products.shape(1) : 0;
  const Products on_g = column(products, columns - 1, 2 * p.count + 1);
  py::array_t<double> c({int64_t{5}, 2 * p.count + 4});
  const double slope = p.second_pass(on_g, otherwise, c.mutable_data());
  return py::make_tuple(c, slope);
}

// (f0, slope0, length, c1, c2, roundoff)
FirstStep first_step(const py::tuple& line) {
  if (line.size() != 6) throw refuse("line", "six numbers");
  const auto number = [&](size_t i) { return line[i].cast<double>(); };
  return {{number(0), number(1)}, number(2), number(3), number(4), number(5)};
}

linalg::Places places(const py::tuple& rows) {
  if (rows.size() != 4) throw refuse("rows", "four");
  const auto row = [&](size_t i) { return rows[i].cast<int64_t>(); };
  return {row(0), row(1), row(2), row(3)};
}

// A workspace of which an iteration's rows are known to be there.
struct Checked : Workspace {
  Checked(const py::array& a, const PairRows& p, const linalg::Places& at)
      : Workspace(a, "workspace") {
    for (const auto* rows : {&p.d_rows, &p.y_rows})
      for (const int64_t i : *rows) row(i);
    for (const int64_t i : {at.x, at.g, at.before, at.d}) row(i);
  }

  linalg::WorkspaceRows rows() const { return {data, n * size_of(dtype)}; }

  linalg::Pass pass(int64_t vectors) const {
    return pass_over(dtype, vectors * n * size_of(dtype));
  }
};

// (slope, row of the next direction, the user's copy of the next point), or None.
py::object ordinary_iteration(Pairs& p, const py::array& workspace, double f, const py::object& g,
                              const py::tuple& line, double least_square, const py::tuple& rows) {
  const linalg::Places at = places(rows);
  const Checked w(workspace, p, at);
  py::array copy;
  const auto room = [&] {
    copy = py::array(workspace.dtype(), std::vector<int64_t>{w.n});
    return copy.mutable_data();
  };
  const auto next = linalg::ordinary_iteration(p, w.pass(2 * std::min(p.count + 1, p.capacity) + 1),
                                               w.rows(), w.n, at, first_step(line),
                                               {f, w.vector(g, "g", false), least_square}, room);
  if (!next) return py::none();
  return py::make_tuple(next->slope, next->d, copy);
}

// An accepted point in a box, as Python gives it: `bounds` are lower and upper bounds, near, and
// the variables that were free, or None.
template <class T>
struct InBox {
  InBox(const Checked& w, const linalg::Places& places, const py::object& g,
        const py::tuple& bounds)
      : d(static_cast<T*>(w.row(places.d))) {
    if (bounds.size() != 4) throw refuse("bounds", "four");
    const auto vector = [&](const py::handle& h, const char* what) {
      return static_cast<T*>(w.vector(h, what, false));
    };
    box = {vector(bounds[0], "lower"), vector(bounds[1], "upper"), vector(bounds[2], "near"), w.n};
    at = {static_cast<T*>(w.row(places.x)), static_cast<T*>(w.row(places.before)),
          static_cast<T*>(w.row(places.g)), vector(g, "g")};
    if (bounds[3].is_none()) return;
    if (!py::isinstance<py::array_t<bool, py::array::c_style>>(bounds[3]))
      throw refuse("free", "None or a contiguous array (n,) of bool");
    const auto a = py::reinterpret_borrow<py::array>(bounds[3]);
    if (a.ndim() != 1 || a.shape(0) != w.n)
      throw refuse("free", "None or a contiguous array (n,) of bool");
    free = static_cast<const bool*>(a.data());
  }

  const T* d;
  linalg::Box<T> box;
  linalg::Accepted<T> at;
  const bool* free = nullptr;
};

// (slope, row of the next direction, the user's copy of the next point, free variables)
template <class T>
py::object advance(BoxPairs& p, const Checked& w, const InBox<T>& in, int64_t d, double roundoff) {
  py::array_t<bool> free(w.n);
  const linalg::Pass pass = w.pass(2 * p.count + 4);
  linalg::BoxIteration<T> iteration(p, pass, in.box, w.rows());
  const double slope = iteration.advance(in.at, d, in.free, free.mutable_data(), roundoff);
  return py::make_tuple(slope, d, py::array_t<T>(w.n, in.at.before), free);
}

py::object advance_in_box(BoxPairs& p, const py::array& workspace, const py::object& g,
                          double roundoff, const py::tuple& rows, const py::tuple& bounds) {
  const linalg::Places at = places(rows);
  const Checked w(workspace, p, at);
  return visit(w.dtype, [&](auto kind) {
    return advance(p, w, InBox<decltype(kind)>(w, at, g, bounds), at.d, roundoff);
  });
}

// As `advance`, or None where the first step is not taken, or the run ends there.
py::object ordinary_iteration_in_box(BoxPairs& p, const py::array& workspace, double f,
                                     const py::object& g, const py::tuple& line, double gtol,
                                     const py::tuple& rows, const py::tuple& bounds) {
  const linalg::Places at = places(rows);
  const linalg::FirstStep first = first_step(line);
  const Checked w(workspace, p, at);
  return visit(w.dtype, [&](auto kind) -> py::object {
    const InBox<decltype(kind)> in(w, at, g, bounds);
    if (!linalg::goes_on(first, f, in.box, in.at, in.d, gtol)) return py::none();
    return advance(p, w, in, at.d, first.roundoff);
  });
}

std::vector<int64_t> sums_shape(const PairRows& p) {
  return {static_cast<int64_t>(p.sums.size()) / p.capacity, p.capacity};
}

// (count, d rows, y rows, sums), copied.
py::tuple state(const PairRows& p) {
  const py::array_t<double> sums(sums_shape(p), p.sums.data());
  return py::make_tuple(p.count, p.d_rows, p.y_rows, sums);
}

void restore(PairRows& p, int64_t count, const std::vector<int64_t>& d_rows,
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

template <class P>
P from_state(const py::tuple& state) {
  const auto d_rows = state[1].cast<std::vector<int64_t>>();
  P p(static_cast<int64_t>(d_rows.size()), 0);
  restore(p, state[0].cast<int64_t>(), d_rows, state[2].cast<std::vector<int64_t>>(),
          state[3].cast<py::array>());
  return p;
}

template <class P>
py::class_<P, PairRows> bind(py::module_& m, const char* name) {
  return py::class_<P, PairRows>(m, name)
      .def(py::init(&make<P>))
      .def(py::pickle([](const P& p) { return state(p); }, &from_state<P>))
      // With protocols 0 and 1, copyreg makes a bare pybind11 object, which ends the process.
      .def("__reduce_ex__", [](const py::object& self, int protocol) {
        const auto object = py::module_::import("builtins").attr("object");
        return object.attr("__reduce_ex__")(self, std::max(protocol, 2));
      });
}

}  // namespace

void bind_pairs(py::module_& m) {
  py::class_<PairRows>(m, "PairRows")
      .def_readonly("count", &PairRows::count)
      .def_property_readonly("newest_y", &newest_y)
      .def_property_readonly("next_y", &PairRows::next_y)
      .def("rows", [](const PairRows& p) { return p.rows(); })
      .def("rows_with", &PairRows::rows_with)
      .def("forget", [](PairRows& p) { p.count = 0; })
      .def("state", &state)
      .def("restore", &restore)
      .def_property_readonly("sums", [](py::object self) {  // not a copy
        PairRows& p = self.cast<PairRows&>();
        return py::array_t<double>(sums_shape(p), p.sums.data(), self);
      });
  bind<Pairs>(m, "Pairs")
      .def("append", &append)
      .def("direction", &direction)
      .def("ordinary_iteration", &ordinary_iteration);
  bind<BoxPairs>(m, "BoxPairs")
      .def("append", &append_in_box)
      .def("learn", &learn)
      .def("scale", &BoxPairs::scale)
      .def("direction", &direction_in_box)
      .def("ordinary_iteration", &ordinary_iteration_in_box)
      .def("advance", &advance_in_box);
  m.def("curvature_ratio",
        [](double f0, double slope0, double f, double slope, double step, double roundoff) {
          return linalg::curvature_ratio({f0, slope0}, {f, slope}, step, roundoff);
        });
}

}  // namespace steepest
