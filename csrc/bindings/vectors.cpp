// Bindings of the vector kernels of the full-batch methods.
//
// Vectors are rows of a workspace, an array (k, n) that is picked from by number, or arrays (n,) of
// their own.
#include "linalg/vectors.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/module.hpp"
#include "core/error.hpp"
#include "cpu/level.hpp"
#include "cpu/threads.hpp"
#include "linalg/two_loop.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

using linalg::Triangle;
using linalg::Vectors;
using Pointers = std::vector<void*>;

Error refuse(const char* what, const char* allowed) {
  return Error(ErrorKind::value, std::string(what) + ": allowed is " + allowed);
}

DType dtype_of(const py::array& a, const char* what) {
  constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (a.flags() & aligned) {
    if (py::array_t<double>::check_(a)) return DType::float64;
    if (py::array_t<float>::check_(a)) return DType::float32;
  }
  throw Error(ErrorKind::type, std::string(what) + ": dtype " +
                                   py::str(a.dtype()).cast<std::string>() +
                                   "; allowed is aligned float32 or float64, native byte order");
}

const double* doubles(const py::array& a, const char* what) {
  if (!py::array_t<double>::check_(a) || !(a.flags() & py::array::c_style))
    throw refuse(what, "a C-contiguous float64 array");
  return static_cast<const double*>(a.data());
}

// A rows-contiguous matrix and what its vectors must agree with.
struct Workspace {
  Workspace(const py::array& a, const char* what) : dtype(dtype_of(a, what)) {
    if (a.ndim() != 2 || !(a.flags() & py::array::c_style))
      throw refuse(what, "a C-contiguous array (k, n)");
    k = a.shape(0);
    n = a.shape(1);
    data = static_cast<char*>(const_cast<void*>(a.data()));
    writeable = a.writeable();
  }

  void* row(int64_t i) const {
    if (i < 0 || i >= k)
      throw Error(ErrorKind::value, "picks: row " + std::to_string(i) + " of a workspace of " +
                                        std::to_string(k) + " rows");
    return data + i * n * size_of(dtype);
  }

  void* vector(const py::handle& h, const char* what, bool write) const {
    if (!py::isinstance<py::array>(h)) throw refuse(what, "arrays");
    const auto a = py::reinterpret_borrow<py::array>(h);
    if (dtype_of(a, what) != dtype) throw refuse(what, "the dtype of the matrix");
    if (a.ndim() != 1 || a.shape(0) != n || (n > 1 && a.strides(0) != size_of(dtype)))
      throw refuse(what, "contiguous arrays (n,), n as the rows of the matrix");
    if (write && !a.writeable()) throw refuse(what, "writable arrays");
    return const_cast<void*>(a.data());
  }

  Pointers vectors(const py::list& list, const char* what, bool write = false) const {
    Pointers out;
    for (const py::handle h : list) out.push_back(vector(h, what, write));
    return out;
  }

  Pointers picked(const py::list& picks, const py::list& others) const {
    Pointers out;
    out.reserve(picks.size() + others.size());
    for (const py::handle h : picks) out.push_back(row(h.cast<int64_t>()));
    for (const py::handle h : others) out.push_back(vector(h, "vectors", false));
    return out;
  }

  Vectors view(const Pointers& p) const { return {p.data(), static_cast<int64_t>(p.size())}; }

  DType dtype;
  int64_t k, n;
  char* data;
  bool writeable;
};

linalg::Pass pass_over(DType dtype, int64_t bytes) {
  return {dtype, linalg::vector_kernels(dtype, level_in_use()), threads_for(bytes)};
}

// Releases the GIL where the work outlasts the release.
class Unlocked {
 public:
  explicit Unlocked(int64_t bytes) {
    if (bytes > (64 << 10)) release_.emplace();
  }

 private:
  std::optional<py::gil_scoped_release> release_;
};

// With `minus`, the first vector less `minus` is one more, which stands before the vectors.
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
  linalg::inner(pass, w.view(rows), w.view(columns), w.n, out, formed);
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
  linalg::combine(pass, c, w.view(rows), w.view(into), w.n);
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
  linalg::symmetric_product(pass, Triangle{w.data, w.n, w.n}, w.view(columns), w.view(into));
}

void rank_two(const py::array& a, const py::array& u, const py::array& v) {
  const Workspace w = square(a);
  if (!w.writeable) throw refuse("A", "a writable array");
  const void* up = w.vector(u, "u", false);
  const void* vp = w.vector(v, "v", false);
  const int64_t bytes = w.n * w.n * size_of(w.dtype);
  const linalg::Pass pass = pass_over(w.dtype, bytes);
  const Unlocked unlocked(bytes);
  linalg::rank_two(pass, Triangle{w.data, w.n, w.n}, up, vp);
}

// The rows of `pairs`, (2 m + 2, m): of sy, of yy, the steps and the ratios.
linalg::PairProducts pairs_of(const py::array& pairs, int64_t count) {
  const double* at = doubles(pairs, "pairs");
  const int64_t m = pairs.ndim() == 2 ? pairs.shape(1) : 0;
  if (m == 0 || pairs.shape(0) != 2 * m + 2 || count < 0 || count > m || !pairs.writeable())
    throw refuse("pairs", "a writable array (2 m + 2, m), 0 < m, count <= m");
  double* sy = const_cast<double*>(at);
  double *yy = sy + m * m, *steps = yy + m * m, *ratios = steps + m;
  return {sy, yy, steps, ratios, m, count};
}

linalg::Products column(const py::array& products, int64_t at, int64_t least) {
  if (products.ndim() != 2 || products.shape(1) < 1 || products.shape(0) < least)
    throw refuse("products", "an array (2 count + 1, ...)");
  return {doubles(products, "products") + at, products.shape(1)};
}

// Takes a pair in: `count` are there before; column 0 of `products` holds the products of the d_i
// and y_i there are then with the new y.
void append_pair(const py::array& pairs, int64_t count, const py::array& products, double step,
                 double ratio) {
  linalg::PairProducts there = pairs_of(pairs, count);
  const linalg::Products on_y = column(products, 0, 2 * std::min(count + 1, there.capacity));
  linalg::append_pair(there, on_y, step, ratio);
}

// (coefficients, scale, slope, magnitude). The last column of `products` holds the products of the
// d_i, y_i and g with g. The coefficients, (5, 2 count + 4), are those of the d_i and y_i, the
// gradient before, x, d and g; the rows give y, g, d, x + d, and x + d once more.
py::tuple two_loop(const py::array& pairs, int64_t count, const py::array& products,
                   double otherwise) {
  const linalg::PairProducts there = pairs_of(pairs, count);
  const int64_t columns = products.ndim() == 2 ? products.shape(1) : 0;
  const linalg::Products on_g = column(products, columns - 1, 2 * count + 1);
  const int64_t before = 2 * count, x = before + 1, d = before + 2, g = before + 3, width = g + 1;
  py::array_t<double> coefficients({int64_t{5}, width});
  double* c = coefficients.mutable_data();
  std::fill_n(c, 5 * width, 0.0);
  double* row = c + 2 * width;
  const linalg::Direction to = linalg::two_loop(there, on_g, otherwise, row);
  std::swap(row[before], row[g]);
  c[before] = -1;
  c[g] = c[width + g] = 1;
  for (int64_t i : {3, 4}) c[i * width + x] = c[i * width + d] = 1;
  return py::make_tuple(coefficients, to.scale, to.slope, to.magnitude);
}

}  // namespace

void bind_vectors(py::module_& m) {
  m.def("inner", &inner, py::arg("workspace"), py::arg("picks"), py::arg("vectors"),
        py::arg("minus") = py::none());
  m.def("combine", &combine);
  m.def("symmetric_product", &symmetric_product);
  m.def("rank_two", &rank_two);
  m.def("append_pair", &append_pair);
  m.def("two_loop", &two_loop);
}

}  // namespace steepest
