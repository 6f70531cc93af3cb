// Bindings of the least-squares solver: arrays in, phases out. Python calls the user's functions.
#include <pybind11/numpy.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "bindings/lapack_capsules.hpp"
#include "bindings/least_squares/run.hpp"
#include "bindings/least_squares/solver.hpp"
#include "bindings/module.hpp"
#include "linalg/dense/dense.hpp"
#include "linalg/dense/pivoted_qr.hpp"
#include "nlls/solver.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

template <class T>
class Solver {
 public:
  using Scalar = T;
  using Array = py::array_t<T>;
  using Core = nlls::Solver<linalg::DenseCpu<T>>;

  Solver(const py::object& x0, py::dict given)
      : given_(std::move(given)), core_(start_of<T>(x0), options_of<T>(given_)) {}
  const py::dict& options() const { return given_; }

  int tell_residual(const py::object& f, const py::object& rho) {
    const Busy busy(turns_);
    const Array held = array(f, "fun");
    if (rho.is_none()) return phase(core_.tell_residual(held.data(), held.size()));
    const auto given = py::cast<InOrder<T>>(rho);
    return phase(core_.tell_residual(held.data(), held.size(), given.data()));
  }

  int tell_jacobian(const py::object& J) {
    const Busy busy(turns_);
    const Array held = matrix(J, core_.m());
    nlls::Phase next{};
    without_gil(core_.m(), [&] { next = core_.tell_jacobian(held.data(), ld(held), rows(held)); });
    if (!core_.refused()) kept_ = held;  // else the solver goes on with the last one
    return phase(next);
  }

  int tell_normal(double cost, const InOrder<T>& JtJ, const InOrder<T>& Jtf) {
    const Busy busy(turns_);
    need_lapack(0);
    return phase(core_.tell_normal(cost, JtJ.data(), Jtf.data()));
  }

  void begin_blocks() {
    const Busy busy(turns_);
    core_.begin_blocks();
  }

  bool add_block(const py::object& f, const py::object& J) {
    const Busy busy(turns_);
    const Array residual = array(f, "fun");
    const Array held = matrix(J, residual.size());
    if (residual.size() != held.shape(0)) {  // the conversion of J has run code of the user's
      refuse_jacobian(held.shape(0), held.shape(1), residual.size(), core_.n());
    }
    const linalg::Rows<T> block{held.data(), residual.size(), core_.n(),
                                ld(held),    rows(held),      residual.data()};
    bool wanted = true;
    without_gil(residual.size(), [&] { wanted = core_.add_block(block); });
    return wanted;
  }

  int end_blocks(bool whole) {
    const Busy busy(turns_);
    need_lapack(0);
    return phase(core_.end_blocks(whole));
  }

  // The whole fit with jac(x) -> J, as in steepest.nlls.loop: see `run`.
  py::tuple run_exact(const py::object& fun, const py::object& jac, const py::object& watch) {
    Function J(jac);
    return run(*this, Function(fun), watch,
               [&](const py::object&) { return owned(J(core_.point())); });
  }

  py::tuple run_differences(const py::object& fun, bool central, const py::object& rel_step,
                            const py::object& lower, const py::object& upper,
                            const py::object& watch) {
    DifferencedFunction<Solver> function(*this, fun, central, vector_or_none<T>(rel_step),
                                         vector_or_none<T>(lower), vector_or_none<T>(upper));
    return run(*this, Function(fun), watch,
               [&](const py::object& f) { return function.jacobian(f); });
  }

  py::object fun() {  // None after blocks of rows
    const Hold hold(turns_.mutex);
    return core_.fun() ? py::object(array_of(core_.fun(), core_.m())) : py::none();
  }
  // Without J, the accepted point's, no residuals and no weights of its rows.
  void put_state(const py::dict& result, const py::object& J) {
    const Hold hold(turns_.mutex);
    const T* weight = J.is_none() ? nullptr : core_.jac_weight();
    steepest::put_state(core_, result, J.is_none() ? J : fun(), J,
                        weight ? py::object(array_of(weight, core_.m())) : py::none());
  }
  py::tuple gram() {
    const Hold hold(turns_.mutex);
    return gram_of(core_, core_.backend().matrix());
  }
  int keep_jacobian() {
    const Busy busy(turns_);
    return phase(core_.keep_jacobian());
  }
  Core& core() { return core_; }
  Turns& turns() { return turns_; }

  // `value` as an array of T that can be read as it lies; anything unusual goes through Python.
  static Array array(const py::object& value, const char* what) {
    return plain<T>(value) ? py::reinterpret_borrow<Array>(value) : converted(value, what);
  }

 private:
  static int phase(nlls::Phase p) { return static_cast<int>(p); }

  static Array converted(const py::object& value, const char* what) {
    const py::object read = py::module_::import("steepest.nlls.arrays")
                                .attr("on_host")(what, value, py::dtype::of<T>());
    constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    return py::reinterpret_borrow<Array>(py::array_t<T, aligned>(read));
  }

  Array matrix(const py::object& value, int64_t m) {
    Array J = readable(value) ? py::reinterpret_borrow<Array>(value) : converted(value, "jac");
    if (J.shape(0) != m || J.shape(1) != core_.n()) {
      refuse_jacobian(J.shape(0), J.shape(1), m, core_.n());
    }
    need_lapack(m);
    return J;
  }

  // A matrix whose rows or columns lie without gaps between their elements, a fixed stride apart.
  static bool readable(const py::object& value) {
    constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if (!holds<T>(value)) return false;
    const auto* fields = py::detail::array_proxy(value.ptr());
    if (fields->nd != 2 || !(fields->flags & aligned)) return false;
    const auto J = py::reinterpret_borrow<Array>(value);
    return rows(J) || columns(J);
  }
  static bool rows(const Array& J) {
    const auto *stride = J.strides(), *shape = J.shape();
    return stride[1] == item && stride[0] % item == 0 && stride[0] >= item * shape[1];
  }
  static bool columns(const Array& J) {
    const auto *stride = J.strides(), *shape = J.shape();
    return stride[0] == item && stride[1] % item == 0 && stride[1] >= item * shape[0];
  }
  static int64_t ld(const Array& J) { return (rows(J) ? J.strides(0) : J.strides(1)) / item; }
  static constexpr py::ssize_t item = sizeof(T);

  void need_lapack(int64_t m) const {
    if (linalg::needs_lapack(m, core_.n())) load_lapack();
  }

  template <class F>
  void without_gil(int64_t m, F&& work) {
    if (m * core_.n() * core_.n() < work_without_gil) return work();
    const WithoutGil released;
    work();
  }

  py::dict given_;
  Core core_;
  py::object kept_;
  Turns turns_;
};

template <class T>
void bind_solver(py::module_& m, const char* name) {
  using S = Solver<T>;
  py::class_<S> c(m, name);
  c.def(py::init<const py::object&, py::dict>());
  c.def_property_readonly("options", &S::options);
  c.attr("device") = py::none();
  c.def("run_exact", &S::run_exact);
  c.def("run_differences", &S::run_differences);
  c.def("fun", &S::fun);
  bind_shared(c);
}

using Numbers = InOrder<double>;
// MINPACK's view of J[:, ipvt] = QR, m >= n: fjac (n, m) with R in the upper triangle of fjac.T,
// ipvt and qtf; and factor (JᵀJ)⁻¹, or None where it is not finite.
py::tuple pivoted_qr(const Numbers& J, const Numbers& f, double factor) {
  const int64_t m = J.shape(0), n = J.shape(1);
  std::vector<double> W(static_cast<size_t>(m * (n + 1)));
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < m; ++i) W[static_cast<size_t>(j * m + i)] = J.data()[i * n + j];
  }
  std::copy_n(f.data(), m, W.data() + m * n);
  py::array_t<int> ipvt(n);
  linalg::pivoted_qr(W.data(), m, n, ipvt.mutable_data());
  Numbers fjac({n, m});
  std::copy_n(W.data(), m * n, fjac.mutable_data());
  Numbers inverse({n, n});
  const bool finite =
      linalg::gram_inverse(W.data(), m, n, ipvt.data(), factor, inverse.mutable_data());
  return py::make_tuple(fjac, ipvt, array_of(W.data() + m * n, n),
                        finite ? py::object(inverse) : py::none());
}

bool all_finite(const Numbers& a) {
  return std::all_of(a.data(), a.data() + a.size(), [](double v) { return std::isfinite(v); });
}

}  // namespace

void bind_nlls(py::module_& m) {
  py::class_<Model>(m, "Model", collected<Model>())
      .def(py::init<py::object, py::object, py::object, py::object, int64_t>())
      .def("__call__", [](Model& f, const py::object& p) { return f(p); })
      .def_property_readonly("calls", &Model::calls);
  m.def("pivoted_qr", &pivoted_qr);
  m.def("all_finite", &all_finite);
  m.def("owned_call", &owned_call);
  m.def("owned_pair", &owned_pair);
  bind_solver<double>(m, "Solver64");
  bind_solver<float>(m, "Solver32");
}

}  // namespace steepest
