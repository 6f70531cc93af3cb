// Bindings of the memory yardstick.
#include "cpu/stream.hpp"

#include <pybind11/numpy.h>

#include "bindings/module.hpp"
#include "core/error.hpp"

namespace py = pybind11;

namespace steepest {

namespace {

using Doubles = py::array_t<double, py::array::c_style>;

void triad(Doubles& a, const Doubles& b, const Doubles& c, double scalar) {
  if (a.size() != b.size() || a.size() != c.size())
    throw Error(ErrorKind::value, "stream_triad: sizes " + std::to_string(a.size()) + ", " +
                                      std::to_string(b.size()) + ", " + std::to_string(c.size()) +
                                      " differ");
  double* out = a.mutable_data();
  const WithoutGil release;
  stream_triad(out, b.data(), c.data(), scalar, a.size());
}

}  // namespace

void bind_stream(py::module_& m) {
  m.def("stream_triad", &triad, py::arg("a").noconvert(), py::arg("b").noconvert(),
        py::arg("c").noconvert(), py::arg("scalar"));
}

}  // namespace steepest
