// What the least-squares solver adds to the module _cuda.
#pragma once
#include <pybind11/pybind11.h>

namespace steepest {

void bind_nlls_cuda(pybind11::module_& m);

}  // namespace steepest
