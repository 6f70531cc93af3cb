// Bindings of the update engine.
#include "bindings/module.hpp"

namespace py = pybind11;

namespace steepest {

void bind_updates(py::module_& m) { m.def("simd_level", [] { return "base"; }); }

}  // namespace steepest
