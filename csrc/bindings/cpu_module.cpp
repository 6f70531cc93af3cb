// The module _cpu: translates errors and gathers the bindings.
#include "bindings/module.hpp"
#include "core/error.hpp"

namespace py = pybind11;

namespace {

// The Python exception of an error's kind; two live in Python modules and are looked up when
// raised.
void raise(const steepest::Error& e) {
  using steepest::ErrorKind;
  switch (e.kind) {
    case ErrorKind::type:
      return py::set_error(PyExc_TypeError, e.what());
    case ErrorKind::value:
      return py::set_error(PyExc_ValueError, e.what());
    case ErrorKind::floating_point:
      return py::set_error(PyExc_FloatingPointError, e.what());
    case ErrorKind::backend:
      return py::set_error(py::module_::import("steepest.errors").attr("BackendError"), e.what());
    case ErrorKind::linalg:
      return py::set_error(py::module_::import("numpy.linalg").attr("LinAlgError"), e.what());
  }
}

}  // namespace

PYBIND11_MODULE(_cpu, m, py::mod_gil_not_used()) {
  m.attr("version") = STEEPEST_VERSION;
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const steepest::Error& e) {
      raise(e);
    }
  });
  steepest::bind_stream(m);
  steepest::bind_threads(m);
  steepest::bind_updates(m);
  steepest::bind_linear(m);
  steepest::bind_vectors(m);
  steepest::bind_nlls(m);
}
