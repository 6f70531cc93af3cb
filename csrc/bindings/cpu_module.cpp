// The module _cpu: translates errors and gathers the bindings.
#include "bindings/errors.hpp"
#include "bindings/module.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_cpu, m, py::mod_gil_not_used()) {
  m.attr("version") = STEEPEST_VERSION;
  steepest::translate_errors();
  steepest::bind_shuffle(m);
  steepest::bind_stream(m);
  steepest::bind_structures(m);
  steepest::bind_tensors(m);
  steepest::bind_threads(m);
  steepest::bind_updates(m);
  steepest::bind_linear(m);
  steepest::bind_vectors(m);
  steepest::bind_cg_vectors(m);
  steepest::bind_pairs(m);
  steepest::bind_nlls(m);
}
