// What the plans of both modules share.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "core/error.hpp"

namespace steepest {

// They were counted in Python, but another thread may have added a group since.
inline void check_count(const pybind11::tuple& grads, int64_t due) {
  const auto n = static_cast<int64_t>(grads.size());
  if (n != due)
    throw Error(ErrorKind::value,
                "grads: " + std::to_string(n) + " where " + std::to_string(due) + " are due");
}

}  // namespace steepest
