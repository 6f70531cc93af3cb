// curve_fit's function of the parameters, from the user's model and data.
#pragma once
#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "bindings/least_squares/arrays.hpp"
#include "bindings/least_squares/ownership.hpp"

namespace steepest {

// What a call to Python gave, or the error that it raised.
inline pybind11::object answer(PyObject* value) {
  if (!value) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(value);
}

// The rounding unit of the numbers that a user's function gave; 0 for integers.
inline double rounding_of(const pybind11::object& f) {
  if (holds<double>(f)) {
    return std::numeric_limits<double>::epsilon();
  }
  const auto arrays = pybind11::module_::import("steepest.nlls.arrays");
  return arrays.attr("rounding")(f).cast<double>();
}

// curve_fit's p -> (f(xdata, *p) - ydata) * weight, which saves a frame of Python and its unpacking
// of arrays. There is no difference if ydata is None, and no product if weight is; a weight that is
// a function is called. `most` calls are allowed; 0: any number. Values that are not laid out like
// ydata go through Python, which converts them or says what is wrong with f.
class Model {
 public:
  Model(pybind11::object f, pybind11::object xdata, pybind11::object ydata, pybind11::object weight,
        int64_t most)
      : f_(std::move(f)),
        xdata_(std::move(xdata)),
        ydata_(std::move(ydata)),
        weight_(std::move(weight)),
        most_(most) {}

  // p is copied to an array that is used again and again: f sees only numbers taken from it.
  template <class T>
  pybind11::object operator()(const T* p, int64_t n) {
    if (p_.size() != n) p_ = pybind11::array_t<double>(n);
    std::copy_n(p, n, p_.mutable_data());
    return (*this)(p_);
  }

  pybind11::object operator()(const pybind11::object& p) {
    if (0 < most_ && most_ <= calls_) curve_data("refuse_call")(most_);
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
      y = curve_data("model_values")(std::move(y), ydata_, p);
    }
    if (calls_ == 1) rounding_ = rounding_of(y);
    if (in_place(y)) return y;
    return weighted(answer(PyNumber_Subtract(y.ptr(), ydata_.ptr())));
  }

  // For `collected`: an error that the user keeps refers to this object through its traceback.
  template <class F>
  int visit(const F& see) const {
    for (const pybind11::object* object : {&f_, &xdata_, &ydata_, &weight_})
      if (const int stop = see(*object)) return stop;
    return 0;
  }

  int64_t calls() const { return calls_; }
  double rounding() const { return rounding_; }  // f's own: float32 does not show in f - ydata

 private:
  static pybind11::object curve_data(const char* function) {
    return pybind11::module_::import("steepest.nlls.curve_data").attr(function);
  }

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

}  // namespace steepest
