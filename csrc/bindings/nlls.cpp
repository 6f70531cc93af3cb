// Bindings of the least-squares solver: arrays in, phases out. Python calls the user's functions.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/lapack_capsules.hpp"
#include "bindings/module.hpp"
#include "core/error.hpp"
#include "linalg/dense.hpp"
#include "nlls/solver.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

using linalg::LinearSolver;
using nlls::Loss;
using nlls::Method;

template <class Enum>
Enum choice(const char* name, std::string_view value,
            std::initializer_list<std::pair<std::string_view, Enum>> table) {
  for (const auto& [word, meaning] : table) {
    if (value == word) return meaning;
  }
  throw Error(ErrorKind::value,
              std::string(name) + ": '" + std::string(value) + "' is not known to the solver");
}

// Work (m * n²) from which a call gives up the GIL.
constexpr int64_t work_without_gil = 1 << 18;

template <class T>
class Solver {
 public:
  using Array = py::array_t<T>;
  using Core = nlls::Solver<linalg::DenseCpu<T>>;

  Solver(const Array& x0, std::string_view method, std::string_view linear_solver, double damping,
         double ftol, double xtol, double gtol, int64_t max_nfev, std::string_view loss,
         double f_scale, const py::object& x_scale, const py::object& lower,
         const py::object& upper) {
    nlls::Options<T> o;
    o.method = choice<Method>("method", method,
                              {{"lm", Method::marquardt},
                               {"levenberg", Method::levenberg},
                               {"gn", Method::gauss_newton}});
    o.linear_solver = kind_ = choice<LinearSolver>("linear_solver", linear_solver,
                                                   {{"auto", LinearSolver::automatic},
                                                    {"cholesky", LinearSolver::cholesky},
                                                    {"qr", LinearSolver::qr},
                                                    {"cg", LinearSolver::cg}});
    o.loss = choice<Loss>("loss", loss,
                          {{"linear", Loss::linear},
                           {"soft_l1", Loss::soft_l1},
                           {"huber", Loss::huber},
                           {"cauchy", Loss::cauchy},
                           {"arctan", Loss::arctan},
                           {"tukey", Loss::tukey},
                           {"given", Loss::given}});
    o.damping = damping;
    o.tolerances = {ftol, xtol, gtol};
    o.max_nfev = max_nfev;
    o.f_scale = f_scale;
    o.x_scale = vector_or_none(x_scale);
    o.lower = vector_or_none(lower);
    o.upper = vector_or_none(upper);
    for (py::ssize_t j = 0; j < x0.size(); ++j) {
      if (!std::isfinite(x0.data()[j])) {
        throw Error(ErrorKind::value, "x0: x0[" + std::to_string(j) + "] is " +
                                          std::to_string(x0.data()[j]) + "; wanted is finite");
      }
    }
    core_ = std::make_unique<Core>(std::vector<T>(x0.data(), x0.data() + x0.size()), o);
  }

  int tell_residual(const py::object& f, const py::object& rho) {
    const Busy busy(*this);
    const Array held = array(f, "residual");
    if (rho.is_none()) return phase(core_->tell_residual(held.data(), held.size()));
    const auto given = py::cast<py::array_t<T, py::array::c_style | py::array::forcecast>>(rho);
    return phase(core_->tell_residual(held.data(), held.size(), given.data()));
  }

  int tell_jacobian(const py::object& J) {
    const Busy busy(*this);
    const Array held = matrix(J, core_->m());
    previous_ = std::move(kept_);  // the solver goes back to it where the new one is not finite
    kept_ = held;
    nlls::Phase next{};
    without_gil(core_->m(),
                [&] { next = core_->tell_jacobian(held.data(), ld(held), rows(held)); });
    return phase(next);
  }

  int tell_normal(double cost, const Array& JtJ, const Array& Jtf) {
    const Busy busy(*this);
    need_lapack(0);
    return phase(core_->tell_normal(cost, JtJ.data(), Jtf.data()));
  }

  void begin_blocks() {
    const Busy busy(*this);
    core_->begin_blocks();
  }

  bool add_block(const py::object& f, const py::object& J) {
    const Busy busy(*this);
    const Array residual = array(f, "residual");
    const Array held = matrix(J, residual.size());
    const linalg::Rows<T> block{held.data(), residual.size(), core_->n(),
                                ld(held),    rows(held),      residual.data()};
    bool wanted = true;
    without_gil(residual.size(), [&] { wanted = core_->add_block(block); });
    return wanted;
  }

  int end_blocks(bool whole) {
    const Busy busy(*this);
    need_lapack(0);
    return phase(core_->end_blocks(whole));
  }

  int get_phase() const { return phase(core_->phase()); }
  Array point() const { return copy(core_->point().data(), core_->n()); }
  Array x() const { return copy(core_->x().data(), core_->n()); }
  Array fun() const { return copy(core_->fun(), core_->m()); }

  // All that a result holds, in one call: x, f (None after blocks of rows), gradient, active mask,
  // row weights of the Jacobian or None, cost, optimality, nfev, njev, nit, status, damping.
  py::tuple state(bool with_fun) const {
    const Core& c = *core_;
    const int64_t n = c.n();
    py::array_t<int64_t> mask(n);
    for (int64_t j = 0; j < n; ++j) mask.mutable_data()[j] = c.side(j);
    const py::object f = with_fun ? py::object(fun()) : py::none();
    const py::object weight = c.jac_weight() ? py::object(copy(c.jac_weight(), c.m())) : py::none();
    return py::make_tuple(x(), f, copy(c.gradient(), n), mask, weight, c.cost(), c.optimality(),
                          c.nfev(), c.njev(), c.nit(), static_cast<int>(c.status()), c.lambda());
  }

  // (True, R) or (False, JᵀJ); only one triangle of either has a meaning.
  py::tuple gram() const {
    const int64_t n = core_->n();
    Array matrix({n, n});
    const std::vector<T> from = core_->backend().matrix();
    const bool triangle = core_->by_qr();
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        matrix.mutable_at(i, j) = from[static_cast<size_t>(triangle ? j * n + i : i * n + j)];
      }
    }
    return py::make_tuple(triangle, matrix);
  }
  void set_look_ahead(bool on) { core_->set_look_ahead(on); }
  void stop() { core_->stop(); }
  const Core& core() const { return *core_; }

 private:
  // One call at a time, also where there is no GIL or a call has given it up.
  class Busy {
   public:
    explicit Busy(Solver& solver) : flag_(solver.busy_) {
      if (flag_.test_and_set()) {
        throw Error(ErrorKind::value, "LeastSquares: another thread is inside this solver");
      }
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() { flag_.clear(); }

   private:
    std::atomic_flag& flag_;
  };

  static int phase(nlls::Phase p) { return static_cast<int>(p); }

  static Array copy(const T* from, int64_t n) {
    Array to(n);
    std::memcpy(to.mutable_data(), from, static_cast<size_t>(n) * sizeof(T));
    return to;
  }

  static std::vector<T> vector_or_none(const py::object& value) {
    if (value.is_none()) return {};
    const auto a = py::cast<py::array_t<T, py::array::c_style | py::array::forcecast>>(value);
    return std::vector<T>(a.data(), a.data() + a.size());
  }

  static bool ready(const py::handle& value, int ndim) {
    constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if (!Array::check_(value)) return false;
    const auto* fields = py::detail::array_proxy(value.ptr());
    return fields->nd == ndim && (fields->flags & aligned);
  }

  // `value` as an array of T that can be read as it lies; anything unusual goes through Python.
  static Array array(const py::object& value, const char* what) {
    if (ready(value, 1) && py::reinterpret_borrow<py::array>(value).strides(0) == sizeof(T)) {
      return py::reinterpret_borrow<Array>(value);
    }
    const py::object read =
        py::module_::import("steepest.nlls.arrays").attr(what)(value, py::dtype::of<T>());
    return py::reinterpret_borrow<Array>(read);
  }

  Array matrix(const py::object& value, int64_t m) {
    const bool as_it_lies = ready(value, 2) && readable(py::reinterpret_borrow<Array>(value));
    const py::object read = as_it_lies ? value
                                       : py::module_::import("steepest.nlls.arrays")
                                             .attr("jacobian")(value, py::dtype::of<T>());
    Array J = py::reinterpret_borrow<Array>(read);
    if (J.shape(0) != m || J.shape(1) != core_->n()) {
      throw Error(ErrorKind::value, "jac: shape (" + std::to_string(J.shape(0)) + ", " +
                                        std::to_string(J.shape(1)) + "); wanted is (" +
                                        std::to_string(m) + ", " + std::to_string(core_->n()) +
                                        "), a row a residual, a column a parameter");
    }
    need_lapack(m);
    return J;
  }

  // Rows or columns lie without gaps between their elements, and are a fixed stride apart.
  static bool readable(const Array& J) { return rows(J) || columns(J); }
  static bool rows(const Array& J) {
    return J.strides(1) == item && J.strides(0) % item == 0 && J.strides(0) >= item * J.shape(1);
  }
  static bool columns(const Array& J) {
    return J.strides(0) == item && J.strides(1) % item == 0 && J.strides(1) >= item * J.shape(0);
  }
  static int64_t ld(const Array& J) { return (rows(J) ? J.strides(0) : J.strides(1)) / item; }
  static constexpr py::ssize_t item = sizeof(T);

  void need_lapack(int64_t m) const {
    if (linalg::needs_lapack(kind_, m, core_->n())) load_lapack();
  }

  template <class F>
  void without_gil(int64_t m, F&& work) {
    if (m * core_->n() * core_->n() < work_without_gil) return work();
    const py::gil_scoped_release released;
    work();
  }

  std::unique_ptr<Core> core_;
  LinearSolver kind_ = LinearSolver::automatic;
  py::object kept_, previous_;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

template <class T>
void bind_solver(py::module_& m, const char* name) {
  using S = Solver<T>;
  py::class_<S> c(m, name);
  c.def(py::init<const typename S::Array&, std::string_view, std::string_view, double, double,
                 double, double, int64_t, std::string_view, double, const py::object&,
                 const py::object&, const py::object&>());
  c.def("tell_residual", &S::tell_residual, py::arg("f"), py::arg("rho") = py::none());
  c.def("tell_jacobian", &S::tell_jacobian);
  c.def("tell_normal", &S::tell_normal);
  c.def("begin_blocks", &S::begin_blocks);
  c.def("add_block", &S::add_block);
  c.def("end_blocks", &S::end_blocks);
  c.def("point", &S::point);
  c.def("x", &S::x);
  c.def("fun", &S::fun);
  c.def("state", &S::state);
  c.def("gram", &S::gram);
  c.def("set_look_ahead", &S::set_look_ahead);
  c.def("stop", &S::stop);
  c.def_property_readonly("phase", &S::get_phase);
  const auto number = [&c](const char* field, auto member) {
    c.def_property_readonly(field, [member](const S& s) { return (s.core().*member)(); });
  };
  using Core = typename S::Core;
  number("n", &Core::n);
  number("m", &Core::m);
  number("cost", &Core::cost);
  number("refused", &Core::refused);
  number("cosine", &Core::cosine);
  number("optimality", &Core::optimality);
  number("damping", &Core::lambda);
  number("step_norm", &Core::step_norm);
  number("reduction", &Core::actual);
  number("by_qr", &Core::by_qr);
  number("nfev", &Core::nfev);
  number("njev", &Core::njev);
  number("nit", &Core::nit);
}

}  // namespace

void bind_nlls(py::module_& m) {
  bind_solver<double>(m, "Solver64");
  bind_solver<float>(m, "Solver32");
}

}  // namespace steepest
