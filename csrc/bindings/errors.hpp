// How errors of the C++ side reach Python; one copy a module.
#pragma once
#include <pybind11/pybind11.h>

#include "core/error.hpp"

namespace steepest {

// The Python exception of an error's kind; two live in Python modules and are looked up when
// raised.
inline void raise(const Error& e) {
  namespace py = pybind11;
  switch (e.kind) {
    case ErrorKind::type:
      return py::set_error(PyExc_TypeError, e.what());
    case ErrorKind::value:
      return py::set_error(PyExc_ValueError, e.what());
    case ErrorKind::backend:
      return py::set_error(py::module_::import("steepest.errors").attr("BackendError"), e.what());
    case ErrorKind::linalg:
      return py::set_error(py::module_::import("numpy.linalg").attr("LinAlgError"), e.what());
  }
}

inline void translate_errors() {
  pybind11::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error& e) {
      raise(e);
    }
  });
}

}  // namespace steepest
