// What each file of bindings adds to the module.
#pragma once
#include <pybind11/pybind11.h>

namespace steepest {

void bind_nlls(pybind11::module_& m);     // the least-squares solver
void bind_updates(pybind11::module_& m);  // plans, rules, threads, SIMD level

}  // namespace steepest
