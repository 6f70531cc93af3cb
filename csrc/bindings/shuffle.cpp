// Binding of the shuffle of minibatches.
#include "core/shuffle.hpp"

#include <pybind11/numpy.h>

#include "bindings/module.hpp"

namespace py = pybind11;

namespace steepest {

namespace {

py::array_t<int64_t> shuffled(const py::array_t<uint64_t, py::array::c_style>& words) {
  py::array_t<int64_t> order(words.size());
  int64_t* out = order.mutable_data();
  const WithoutGil release;
  shuffle(words.data(), words.size(), out);
  return order;
}

}  // namespace

void bind_shuffle(py::module_& m) { m.def("shuffled", &shuffled, py::arg("words").noconvert()); }

}  // namespace steepest
