// What the plans of both modules share: their lock, and how a step is asked for and answers.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/task.hpp"

namespace steepest {

// Waits for a mutex without holding the GIL; nobody then waits for it who holds the GIL.
class Hold {
 public:
  explicit Hold(std::recursive_mutex& mutex) : lock_(mutex, std::try_to_lock) {
    if (lock_) return;
    const pybind11::gil_scoped_release release;
    lock_.lock();
  }
  // Does not unlock at the end.
  void keep() { lock_.release(); }

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

// What kept a step from being taken: ("mismatch" | "overlap" | "shared" | "readonly" | "frozen" |
// "moved" | "nonfinite", index of the array).
using Trouble = std::optional<std::pair<const char*, int64_t>>;

// They were counted in Python, but another thread may have added a group since.
inline void check_count(const pybind11::tuple& grads, int64_t due) {
  const auto n = static_cast<int64_t>(grads.size());
  if (n != due)
    throw Error(ErrorKind::value,
                "grads: " + std::to_string(n) + " where " + std::to_string(due) + " are due");
}

inline StepOptions step_options(double grad_scale, std::optional<double> max_norm, int nonfinite,
                                bool zero_grad) {
  return {grad_scale, max_norm.has_value(), max_norm.value_or(0), static_cast<Nonfinite>(nonfinite),
          zero_grad};
}

template <class P>
void bind_steps(pybind11::class_<P>& c) {
  c.def("__enter__", &P::acquire)  // the plan as a lock, for Python between calls
      .def("__exit__", [](P& self, const pybind11::args&) { self.release(); })
      .def("add_tensor", &P::add_tensor)
      .def("bind", &P::bind)
      .def("step",
           [](P& self, const pybind11::tuple& grads, double grad_scale,
              std::optional<double> max_norm, int nonfinite, bool zero_grad) {
             return self.step(grads, step_options(grad_scale, max_norm, nonfinite, zero_grad));
           })
      .def("step_bound",
           [](P& self, double grad_scale, std::optional<double> max_norm, int nonfinite,
              bool zero_grad) {
             return self.step_bound(step_options(grad_scale, max_norm, nonfinite, zero_grad));
           })
      // The same with every option at its default: half the price of a call.
      .def("step_plain", [](P& self, const pybind11::tuple& grads) { return self.step(grads, {}); })
      .def("step_bound_plain", [](P& self) { return self.step_bound({}); });
}

}  // namespace steepest
