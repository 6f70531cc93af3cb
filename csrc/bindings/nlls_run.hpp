// The loop of least_squares over NumPy arrays: asks the user's functions for what the core wants.
// steepest.nlls.loop has the same loop for devices, complex steps and losses of the user's.
#pragma once
#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/nlls_solver.hpp"
#include "core/error.hpp"
#include "nlls/checks.hpp"
#include "nlls/differences.hpp"

namespace steepest {

// What a call to Python gave, or the error that it raised.
inline pybind11::object answer(PyObject* value) {
  if (!value) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(value);
}

// Whether the array's memory is its own. To have no base does not tell: extensions give arrays of
// NumPy over memory of theirs without one, and CuPy gives such arrays over that of other libraries.
inline bool owns_memory(const pybind11::object& value) {
  namespace py = pybind11;
  using py::detail::npy_api;
  if (Py_TYPE(value.ptr()) == npy_api::get().PyArray_Type_) {
    return py::detail::array_proxy(value.ptr())->flags & npy_api::NPY_ARRAY_OWNDATA_;
  }
  if (!py::hasattr(py::type::of(value), "__cuda_array_interface__") ||
      !py::getattr(value, "base", py::int_(0)).is_none()) {
    return false;
  }
  const py::object memory = value.attr("data").attr("mem");
  return py::type::of(memory).attr("__name__").cast<std::string_view>() == "PooledMemory";
}

// True where nobody else can write to the array: it owns its memory, and this is the only
// reference to it. A free-threaded CPython does not count all references of local variables.
inline bool sole(const pybind11::object& value) {
  if (!owns_memory(value)) return false;
  PyObject* a = value.ptr();
#if !defined(Py_GIL_DISABLED)
  return Py_REFCNT(a) == 1;
#elif PY_VERSION_HEX >= 0x030e0000
  return PyUnstable_Object_IsUniquelyReferenced(a);
#else
  return false;
#endif
}

// A 1-D array of T whose numbers can be read as they lie.
template <class T>
bool plain(const pybind11::object& value) {
  using pybind11::detail::npy_api;
  constexpr int wanted = npy_api::NPY_ARRAY_ALIGNED_ | npy_api::NPY_ARRAY_C_CONTIGUOUS_;
  if (!value || !holds<T>(value)) return false;
  const auto* fields = pybind11::detail::array_proxy(value.ptr());
  return fields->nd == 1 && (fields->flags & wanted) == wanted;
}

// The numbers of such an array if they may be overwritten, as nobody else sees it; else null.
template <class T>
T* unseen(const pybind11::object& value, int64_t n) {
  if (!plain<T>(value) || !sole(value)) return nullptr;
  auto array = pybind11::reinterpret_borrow<pybind11::array_t<T>>(value);
  return array.size() == n && array.writeable() ? array.mutable_data() : nullptr;
}

// The rounding unit of the numbers that a user's function gave; 0 for integers.
inline double rounding_of(const pybind11::object& f) {
  if (holds<double>(f)) {
    return std::numeric_limits<double>::epsilon();
  }
  const auto arrays = pybind11::module_::import("steepest.nlls.arrays");
  return arrays.attr("rounding")(f).cast<double>();
}

// curve_fit's p -> (f(xdata, *p) - ydata) * weight, without a frame of Python's and its unpacking
// of arrays; without the difference or the product where ydata or weight is None. A weight that is
// a function is called. At most `most` calls are allowed, any number where it is 0. Values that are
// not laid out like ydata go through Python, which converts them or says what is wrong with f.
class Model {
 public:
  Model(pybind11::object f, pybind11::object xdata, pybind11::object ydata, pybind11::object weight,
        int64_t most)
      : f_(std::move(f)),
        xdata_(std::move(xdata)),
        ydata_(std::move(ydata)),
        weight_(std::move(weight)),
        most_(most) {}

  // p is copied to an array that serves again: f sees only numbers taken from it.
  template <class T>
  pybind11::object operator()(const T* p, int64_t n) {
    if (p_.size() != n) p_ = pybind11::array_t<double>(n);
    std::copy_n(p, n, p_.mutable_data());
    return (*this)(p_);
  }

  pybind11::object operator()(const pybind11::object& p) {
    if (0 < most_ && most_ <= calls_) {
      throw std::runtime_error(
          "Optimal parameters not found: Number of calls to function has reached maxfev = " +
          std::to_string(most_) + ".");
    }
    ++calls_;
    const Py_ssize_t n = PyObject_Length(p.ptr());
    if (n < 0) throw pybind11::error_already_set();
    std::vector<pybind11::object> scalars(static_cast<size_t>(n));
    std::vector<PyObject*> args;
    args.reserve(scalars.size() + 1);
    args.push_back(xdata_.ptr());
    for (Py_ssize_t j = 0; j < n; ++j) {
      pybind11::object& scalar = scalars[static_cast<size_t>(j)];
      scalar = answer(PySequence_GetItem(p.ptr(), j));
      args.push_back(scalar.ptr());
    }
    pybind11::object y = answer(PyObject_Vectorcall(f_.ptr(), args.data(), args.size(), nullptr));
    if (ydata_.is_none()) return weighted(std::move(y));
    if (!like_ydata(y)) {
      y = pybind11::module_::import("steepest.nlls.curve_data")
              .attr("model_values")(std::move(y), ydata_, p);
    }
    if (calls_ == 1) rounding_ = rounding_of(y);
    if (in_place(y)) return y;
    return weighted(answer(PyNumber_Subtract(y.ptr(), ydata_.ptr())));
  }

  int64_t calls() const { return calls_; }
  double rounding() const { return rounding_; }  // f's own: float32 does not show in f - ydata

 private:
  pybind11::object weighted(pybind11::object y) const {
    if (weight_.is_none()) return y;
    return answer(PyCallable_Check(weight_.ptr()) ? PyObject_CallOneArg(weight_.ptr(), y.ptr())
                                                  : PyNumber_Multiply(weight_.ptr(), y.ptr()));
  }

  bool like_ydata(const pybind11::object& y) const {
    return plain<double>(ydata_) &&
           numbers(y, pybind11::reinterpret_borrow<pybind11::array>(ydata_).size());
  }

  // m numbers that can be read as they lie; else null.
  static const double* numbers(const pybind11::object& values, int64_t m) {
    if (!plain<double>(values)) return nullptr;
    const auto array = pybind11::reinterpret_borrow<pybind11::array_t<double>>(values);
    return array.size() == m ? array.data() : nullptr;
  }

  // Forms the residuals in y, if nobody else sees it: a ufunc takes half a microsecond.
  bool in_place(const pybind11::object& y) const {
    if (!plain<double>(ydata_)) return false;
    const int64_t m = pybind11::reinterpret_borrow<pybind11::array>(ydata_).size();
    const double* ydata = numbers(ydata_, m);
    const double* weight = weight_.is_none() ? nullptr : numbers(weight_, m);
    double* to = unseen<double>(y, m);
    if (!to || (!weight && !weight_.is_none())) return false;
    for (int64_t i = 0; i < m; ++i) to[i] -= ydata[i];
    if (!weight) return true;
    for (int64_t i = 0; i < m; ++i) to[i] *= weight[i];
    return true;
  }

  pybind11::object f_, xdata_, ydata_, weight_;
  int64_t most_, calls_ = 0;
  double rounding_ = 0;
  pybind11::array_t<double> p_;
};

// fun(x); a Model is called without Python.
class Function {
 public:
  explicit Function(pybind11::object fun)
      : fun_(std::move(fun)), model_(is_model(fun_) ? &fun_.cast<Model&>() : nullptr) {}

  // x is copied, as the user may keep it. If nobody did, the same array serves again: making one
  // takes a fifth of a microsecond.
  template <class T>
  pybind11::object operator()(const std::vector<T>& x) {
    const auto n = static_cast<int64_t>(x.size());
    if (model_) return (*model_)(x.data(), n);
    if (T* numbers = unseen<T>(handed_, n)) {
      std::copy(x.begin(), x.end(), numbers);
    } else {
      handed_ = array_of(x.data(), n);
    }
    return (*this)(handed_);
  }

  pybind11::object operator()(const pybind11::object& x) const {
    return answer(PyObject_CallOneArg(fun_.ptr(), x.ptr()));
  }

  // The rounding unit of f, which fun gave.
  double rounding(const pybind11::object& f) const {
    return model_ ? model_->rounding() : rounding_of(f);
  }

 private:
  static bool is_model(const pybind11::object& fun) {  // isinstance asks Python
    static const pybind11::handle type = pybind11::type::of<Model>().release();
    return pybind11::type::handle_of(fun).is(type);
  }

  pybind11::object fun_, handed_;
  Model* model_;
};

// A Jacobian that stays as it is until the next one: a copy, if someone else may write to it.
inline pybind11::object owned(pybind11::object value) {
  if (sole(value)) return value;
  return pybind11::module_::import("steepest.nlls.arrays").attr("copied")(value);
}

inline pybind11::object owned_call(const pybind11::object& jac, const pybind11::object& x) {
  return owned(Function(jac)(x));
}

// fun(x); where that is a pair (f, J) with a J as `owned` gives it.
inline pybind11::object owned_pair(const pybind11::object& fun, const pybind11::object& x) {
  pybind11::object value = Function(fun)(x);
  if (!PyTuple_Check(value.ptr()) || PyTuple_GET_SIZE(value.ptr()) != 2) return value;
  const pybind11::object f = pybind11::reinterpret_borrow<pybind11::tuple>(value)[0];
  pybind11::object J = pybind11::reinterpret_borrow<pybind11::tuple>(value)[1];
  value = pybind11::none();  // a tuple that nobody else holds lets go of J
  return pybind11::make_tuple(f, owned(std::move(J)));
}

// fun(x) of "2-point" and "3-point", with J by differences.
template <class S>
class DifferencedFunction {
 public:
  using T = typename S::Scalar;
  using Array = pybind11::array_t<T>;

  DifferencedFunction(S& solver, pybind11::object fun, bool central, std::vector<T> rel_step,
                      std::vector<T> lower, std::vector<T> upper)
      : solver_(solver),
        fun_(std::move(fun)),
        differences_(central, std::move(rel_step), std::move(lower), std::move(upper)) {}

  // J at the solver's point, where f is what fun gave, and the core has it as its trial. None where
  // the last one stands.
  pybind11::object jacobian(const pybind11::object& f) {
    auto& core = solver_.core();
    const std::vector<T> x = core.point();
    const double rounding =
        std::max(fun_.rounding(f), static_cast<double>(std::numeric_limits<T>::epsilon()));
    bool first = false;  // that is no noise
    if (core.again() && differences_.doubt() > 0 && x == at_) {
      first = find_noise(rounding);
      const double error = differences_.error(std::max(rounding, differences_.noise()));
      if (!first && core.stationarity().cosine > error) {
        core.set_accuracy({error});
        return pybind11::none();
      }
    }
    take(x, rounding);
    if (core.njev() > 0 && differences_.doubt() == 1 && !core.judged().close() &&
        find_noise(rounding)) {
      first = true;
      take(x, rounding);
    }
    const double eps = std::max(rounding, differences_.noise());
    core.set_accuracy({differences_.error(eps), differences_.doubt(), first});
    return given_;
  }

 private:
  void take(const std::vector<T>& x, double rounding) {
    const auto& core = solver_.core();
    const double eps = std::max(rounding, differences_.noise());
    if (core.njev() > 0) differences_.close_in(core.stationarity().cosine, eps);
    make_room(core.m(), core.n());
    std::vector<T> moved = at_ = x;
    differences_.jacobian(
        x, core.trial_fun(), core.m(), eps,
        [&](size_t j, T x_j) {
          moved[j] = x_j;
          const T* f = residual(moved);
          moved[j] = x[j];
          return f;
        },
        given_.mutable_data());
  }

  bool find_noise(double rounding) {
    const auto& core = solver_.core();
    return differences_.find_noise(at_, core.trial_fun(), core.m(), rounding, given_.data(),
                                   [this](const std::vector<T>& x) { return residual(x); });
  }

  // Valid until the next call.
  const T* residual(const std::vector<T>& x) {
    const int64_t m = solver_.core().m();
    ahead_ = S::array(fun_(x), "fun");
    if (ahead_.size() != m) {
      throw Error(ErrorKind::value, "fun: residuals of shape (" + std::to_string(ahead_.size()) +
                                        ",), (" + std::to_string(m) +
                                        ",) at x; they may not change");
    }
    return ahead_.data();
  }

  // Memory for J, by columns: that of the J before the last, if nobody has it any more. If it were
  // freed, the system would take it back and clear it before handing it out again.
  void make_room(int64_t m, int64_t n) {
    std::swap(given_, before_);
    if (given_.size() != m * n || !sole(given_)) {
      given_ = Array({m, n}, {sizeof(T), sizeof(T) * static_cast<size_t>(m)});
    }
  }

  S& solver_;
  Array given_, before_, ahead_;
  std::vector<T> at_;  // where the last J was taken
  Function fun_;
  nlls::Differences<T> differences_;
};

// Whether the residuals live on a CUDA device.
inline bool elsewhere(const pybind11::object& f) {
  if (Py_TYPE(f.ptr()) == pybind11::detail::npy_api::get().PyArray_Type_) return false;
  return !pybind11::module_::import("steepest.nlls.arrays").attr("device_of")(f).is_none();
}

// (the last accepted Jacobian, None). Where the first residuals f live on a device, (None, f), and
// nothing is told. jacobian(f) gives J at the solver's point from f, what fun gave there.
template <class S, class Jacobian>
pybind11::tuple run(S& solver, Function fun, const pybind11::object& watch, Jacobian&& jacobian) {
  pybind11::object J = pybind11::none(), f = fun(solver.core().point());
  if (elsewhere(f)) return pybind11::make_tuple(J, f);
  solver.tell_residual(f, pybind11::none());
  int64_t seen = -1;
  while (solver.core().phase() != nlls::Phase::done) {
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
    if (solver.core().phase() == nlls::Phase::residual) {
      f = fun(solver.core().point());
      solver.tell_residual(f, pybind11::none());
      continue;
    }
    pybind11::object told = jacobian(f);
    if (told.is_none()) {
      solver.keep_jacobian();
      continue;
    }
    solver.tell_jacobian(told);
    if (solver.core().refused()) continue;  // the last one stands
    J = std::move(told);
    if (solver.core().nit() == seen) continue;  // a better one of the same point
    seen = solver.core().nit();
    if (!watch.is_none()) watch();
  }
  return pybind11::make_tuple(J, pybind11::none());
}

}  // namespace steepest
