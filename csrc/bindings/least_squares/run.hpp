// The loop of least_squares over NumPy arrays: asks the user's functions for what the core wants.
// steepest.nlls.loop has the same loop for devices, complex steps and losses of the user's.
#pragma once
#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "bindings/least_squares/arrays.hpp"
#include "bindings/least_squares/model.hpp"
#include "bindings/least_squares/ownership.hpp"
#include "core/error.hpp"
#include "nlls/checks.hpp"
#include "nlls/differences.hpp"

namespace steepest {

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
    const bool taken = differences_.at_point(
        solver_.core(), fun_.rounding(f), [this] { return make_room(); },
        [this](const std::vector<T>& x) { return residual(x); });
    return taken ? pybind11::object(given_) : pybind11::none();
  }

 private:
  // Valid until the next call.
  const T* residual(const std::vector<T>& x) {
    const int64_t m = solver_.core().m();
    ahead_ = S::array(fun_(x), "fun");
    if (ahead_.size() != m) {
      throw Error(ErrorKind::value, "fun: residuals of shape (" + std::to_string(ahead_.size()) +
                                        ",), but (" + std::to_string(m) +
                                        ",) at x; it must not change");
    }
    return ahead_.data();
  }

  // Memory for J, by columns: that of the J before the last, if nobody has it any more. If it were
  // freed, the system would take it back and clear it before handing it out again.
  T* make_room() {
    const int64_t m = solver_.core().m(), n = solver_.core().n();
    std::swap(given_, before_);
    if (given_.size() != m * n || !sole(given_)) {
      given_ = Array({m, n}, {sizeof(T), sizeof(T) * static_cast<size_t>(m)});
    }
    return given_.mutable_data();
  }

  S& solver_;
  Array given_, before_, ahead_;
  Function fun_;
  nlls::Differences<T> differences_;
};

// Whether the residuals live on a CUDA device.
inline bool elsewhere(const pybind11::object& f) {
  if (is_numpy(f)) return false;
  return !pybind11::module_::import("steepest.nlls.arrays").attr("device_of")(f).is_none();
}

// The residuals at the point on trial. A model that is not defined on a bound, as log(b) at b = 0,
// may say so by an error: nothing is finite there.
template <class S>
pybind11::object residual_on_trial(S& solver, Function& fun) {
  const auto& core = solver.core();
  try {
    return fun(core.point());
  } catch (const pybind11::error_already_set& error) {
    const bool of_numbers = error.matches(PyExc_ArithmeticError) || error.matches(PyExc_ValueError);
    if (!of_numbers || !core.reaches_bound()) throw;
  }
  using T = typename S::Scalar;
  const std::vector<T> nothing(static_cast<size_t>(core.m()), std::numeric_limits<T>::quiet_NaN());
  return array_of(nothing.data(), core.m());
}

// (the last accepted Jacobian, None). Where the first residuals f live on a device, (None, f), and
// nothing is told. jacobian(f) gives J at the solver's point from f, what fun gave there.
template <class S, class Jacobian>
pybind11::tuple run(S& solver, Function fun, const pybind11::object& watch, Jacobian&& jacobian) {
  pybind11::object J = pybind11::none(), f = fun(solver.core().point());
  if (elsewhere(f)) return pybind11::make_tuple(J, f);
  solver.tell_residual(f, pybind11::none());
  while (solver.core().phase() != nlls::Phase::done) {
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
    if (solver.core().phase() == nlls::Phase::residual) {
      f = residual_on_trial(solver, fun);
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
    if (!watch.is_none()) watch();
  }
  return pybind11::make_tuple(J, pybind11::none());
}

}  // namespace steepest
