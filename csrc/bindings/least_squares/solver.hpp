// What the bindings of the least-squares solver share, on the host and on a device.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cmath>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/least_squares/arrays.hpp"
#include "bindings/module.hpp"
#include "core/error.hpp"
#include "nlls/gradient.hpp"
#include "nlls/options.hpp"
#include "nlls/stopping.hpp"

namespace steepest {

template <class Enum>
Enum choice(std::string_view name, const pybind11::handle& given,
            std::initializer_list<std::pair<std::string_view, Enum>> table) {
  const auto value = pybind11::cast<std::string_view>(given);
  for (const auto& [word, meaning] : table) {
    if (value == word) return meaning;
  }
  throw Error(ErrorKind::value,
              std::string(name) + ": '" + std::string(value) + "' is not known to the solver");
}

// What a solver is made with beside x0, by the names of least_squares; what is not given stays as
// nlls::Options has it.
template <class T>
nlls::Options<T> options_of(const pybind11::dict& given) {
  using linalg::LinearSolver;
  using nlls::Loss;
  using nlls::Method;
  nlls::Options<T> o;
  for (const auto& item : given) {
    const auto name = pybind11::cast<std::string_view>(item.first);
    const pybind11::handle value = item.second;
    const auto number = [&] { return pybind11::cast<double>(value); };
    if (name == "method") {
      o.method = choice<Method>(name, value,
                                {{"lm", Method::marquardt},
                                 {"levenberg", Method::levenberg},
                                 {"gn", Method::gauss_newton}});
    } else if (name == "linear_solver") {
      o.linear_solver = choice<LinearSolver>(name, value,
                                             {{"auto", LinearSolver::automatic},
                                              {"cholesky", LinearSolver::cholesky},
                                              {"qr", LinearSolver::qr},
                                              {"cg", LinearSolver::cg}});
    } else if (name == "damping") {
      o.damping = number();
    } else if (name == "x_scale") {
      o.x_scale = vector_or_none<T>(value);
    } else if (name == "loss") {
      o.loss = choice<Loss>(name, value,
                            {{"linear", Loss::linear},
                             {"soft_l1", Loss::soft_l1},
                             {"huber", Loss::huber},
                             {"cauchy", Loss::cauchy},
                             {"arctan", Loss::arctan},
                             {"tukey", Loss::tukey},
                             {"given", Loss::given}});
    } else if (name == "f_scale") {
      o.f_scale = number();
    } else if (name == "lower") {
      o.lower = vector_or_none<T>(value);
    } else if (name == "upper") {
      o.upper = vector_or_none<T>(value);
    } else if (name == "ftol") {
      o.tolerances.f = number();
    } else if (name == "xtol") {
      o.tolerances.x = number();
    } else if (name == "gtol") {
      o.tolerances.g = number();
    } else if (name == "max_nfev") {
      o.max_nfev = pybind11::cast<int64_t>(value);
    } else if (name == "last_jacobian") {
      o.last_jacobian = pybind11::cast<bool>(value);
    } else {
      throw Error(ErrorKind::value, std::string(name) + " is not an option of the solver");
    }
  }
  return o;
}

// x0 as the user gave it, which may be a view with gaps. The parameter is no array_t: pybind11
// would make an empty array for that first.
template <class T>
std::vector<T> start_of(const pybind11::object& given) {
  const InOrder<T> x0(given);
  for (pybind11::ssize_t j = 0; j < x0.size(); ++j) {
    if (!std::isfinite(x0.data()[j])) {
      throw Error(ErrorKind::value, "x0: x0[" + std::to_string(j) + "] is " +
                                        std::to_string(x0.data()[j]) +
                                        "; expected a finite number");
    }
  }
  return std::vector<T>(x0.data(), x0.data() + x0.size());
}

[[noreturn]] inline void refuse_jacobian(int64_t rows, int64_t columns, int64_t m, int64_t n) {
  throw Error(ErrorKind::value, "jac: shape (" + std::to_string(rows) + ", " +
                                    std::to_string(columns) + "); expected (" + std::to_string(m) +
                                    ", " + std::to_string(n) +
                                    "), one row per residual, one column per parameter");
}

// Lets one call in at a time, with the GIL or without: a call that tells the solver something is
// refused while another is inside; one that reads arrays waits.
struct Turns {
  std::atomic_flag told = ATOMIC_FLAG_INIT;
  std::recursive_mutex mutex;  // a call may run Python, which reads
};

class Busy {
 public:
  explicit Busy(Turns& turns) : turn_(turns.told), hold_(turns.mutex) {}
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  struct Turn {
    explicit Turn(std::atomic_flag& flag) : told(flag) {
      if (told.test_and_set()) {
        throw Error(ErrorKind::value, "LeastSquares: another thread is inside this solver");
      }
    }
    ~Turn() { told.clear(); }
    std::atomic_flag& told;
  };
  Turn turn_;
  Hold hold_;
};

// Puts into a result, by their names, what the solver knows of it and the Jacobian J, in one call.
// The names are made once; a dict of the solver's, to be copied into the result, took a
// microsecond.
template <class Core>
void put_state(const Core& c, const pybind11::dict& result, const pybind11::object& f,
               const pybind11::object& J, const pybind11::object& weight) {
  namespace py = pybind11;
  const auto key = [](const char* name) { return py::handle(PyUnicode_InternFromString(name)); };
  static const py::handle x = key("x"), cost = key("cost"), fun = key("fun"), jac = key("jac"),
                          grad = key("grad"), optimality = key("optimality"),
                          active_mask = key("active_mask"), nfev = key("nfev"), njev = key("njev"),
                          nit = key("nit"), status = key("status"), damping = key("damping"),
                          jac_weight = key("jac_weight");
  const int64_t n = c.n();
  std::vector<int64_t> mask(static_cast<size_t>(n));
  for (int64_t j = 0; j < n; ++j) mask[static_cast<size_t>(j)] = c.side(j);
  const auto put = [&](const py::handle& name, const py::object& value) {
    if (PyDict_SetItem(result.ptr(), name.ptr(), value.ptr()) != 0) throw py::error_already_set();
  };
  put(x, array_of(c.x().data(), n));
  put(cost, py::float_(c.cost()));
  put(fun, f);
  put(jac, J);
  put(grad, array_of(c.gradient(), n));
  put(optimality, py::float_(c.stationarity().optimality));
  put(active_mask, array_of(mask.data(), n));
  put(nfev, py::int_(c.nfev()));
  put(njev, py::int_(c.njev()));
  put(nit, py::int_(c.nit()));
  put(status, py::int_(static_cast<int>(c.status())));
  put(damping, py::float_(c.lambda()));
  put(jac_weight, weight);
}

// (True, R) or (False, JᵀJ); only one triangle of either has a meaning.
template <class Core, class T>
pybind11::tuple gram_of(const Core& core, const std::vector<T>& from) {
  const int64_t n = core.n();
  pybind11::array_t<T> matrix({n, n});
  const bool triangle = core.by_qr();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      matrix.mutable_at(i, j) = from[static_cast<size_t>(triangle ? j * n + i : i * n + j)];
    }
  }
  return pybind11::make_tuple(triangle, matrix);
}

// What both solvers have: what they are told, and, of core(), what needs no array.
template <class S>
void bind_shared(pybind11::class_<S>& c) {
  // The solver as a lock, for Python that asks for several things at one point.
  c.def("__enter__", [](S& s) { Hold(s.turns().mutex).keep(); });
  c.def("__exit__", [](S& s, const pybind11::args&) { s.turns().mutex.unlock(); });
  c.def("tell_residual", &S::tell_residual, pybind11::arg("f"),
        pybind11::arg("rho") = pybind11::none());
  c.def("tell_jacobian", &S::tell_jacobian);
  c.def("tell_normal", &S::tell_normal);
  c.def("begin_blocks", &S::begin_blocks);
  c.def("add_block", &S::add_block);
  c.def("end_blocks", &S::end_blocks);
  c.def("put_state", &S::put_state);
  c.def("gram", &S::gram);
  c.def("set_look_ahead", [](S& s, bool on) { s.core().set_look_ahead(on); });
  c.def(
      "set_accuracy",
      [](S& s, double error, int patience, bool first, double columns) {
        s.core().set_accuracy({error, patience, first, columns});
      },
      pybind11::arg("error"), pybind11::arg("patience") = 0, pybind11::arg("first") = false,
      pybind11::arg("columns") = 0.0);
  c.def("keep_jacobian", &S::keep_jacobian);
  c.def("stop", [](S& s) { s.core().stop(); });
  const auto number = [&c](const char* field, auto member) {
    c.def_property_readonly(field, [member](S& s) { return (s.core().*member)(); });
  };
  using Core = typename S::Core;
  number("n", &Core::n);
  number("m", &Core::m);
  number("cost", &Core::cost);
  number("started", &Core::started);
  number("refused", &Core::refused);
  number("reaches_bound", &Core::reaches_bound);
  number("misled", &Core::misled);
  number("damping", &Core::lambda);
  number("again", &Core::again);
  number("nfev", &Core::nfev);
  number("njev", &Core::njev);
  number("nit", &Core::nit);
  const auto part = [&c](const char* field, auto of, auto member) {
    c.def_property_readonly(field, [=](S& s) { return (s.core().*of)().*member; });
  };
  part("cosine", &Core::stationarity, &nlls::Stationarity::cosine);
  part("optimality", &Core::stationarity, &nlls::Stationarity::optimality);
  part("columns_off", &Core::accuracy, &nlls::Accuracy::columns);
  part("reduction", &Core::judged, &nlls::Step::actual);
  part("predicted", &Core::judged, &nlls::Step::predicted);
  c.def("point", [](S& s) {
    const Hold hold(s.turns().mutex);
    return array_of(s.core().point().data(), s.core().n());
  });
  c.def("x", [](S& s) {
    const Hold hold(s.turns().mutex);
    return array_of(s.core().x().data(), s.core().n());
  });
  c.def("flat", [](S& s) {  // the parameters by which the gradient is 0
    const Hold hold(s.turns().mutex);
    pybind11::list flat;
    for (int64_t j = 0; j < s.core().n(); ++j) {
      if (s.core().gradient()[j] == 0) flat.append(j);
    }
    return flat;
  });
  c.def_property_readonly("phase", [](S& s) { return static_cast<int>(s.core().phase()); });
}

}  // namespace steepest
