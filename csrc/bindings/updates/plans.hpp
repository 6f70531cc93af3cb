// What the plans of both modules share: their lock, their arrays and gradients, and how a step is
// asked for and answers.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/module.hpp"
#include "core/error.hpp"
#include "core/intervals.hpp"
#include "core/task.hpp"

namespace steepest {

// What kept a step from being taken: ("mismatch" | "overlap" | "shared" | "readonly" | "frozen" |
// "moved" | "nonfinite", index of the array).
using Trouble = std::optional<std::pair<const char*, int64_t>>;

// Python has counted them, but another thread may have added a group since.
inline void check_count(const pybind11::tuple& grads, int64_t tensors) {
  const auto n = static_cast<int64_t>(grads.size());
  if (n != tensors)
    throw Error(ErrorKind::value, "grads: " + std::to_string(n) + " given; expected " +
                                      std::to_string(tensors) + ", one for each parameter");
}

inline StepOptions step_options(double grad_scale, std::optional<double> max_norm, int nonfinite,
                                bool zero_grad) {
  return {grad_scale, max_norm.has_value(), max_norm.value_or(0), static_cast<Nonfinite>(nonfinite),
          zero_grad};
}

// Where the elements of an array lie, from the lowest in memory on.
struct Extent {
  void* lowest;
  int64_t n, itemsize;

  int64_t bytes() const { return n * itemsize; }
};

// The indices of two arrays that overlap, or none.
template <class Layout>
std::optional<std::pair<int64_t, int64_t>> find_overlap(
    const std::vector<typename Layout::Array>& arrays) {
  Intervals all;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const Extent extent = Layout::extent_of(arrays[i]);
    all.add(extent.lowest, extent.bytes(), static_cast<int64_t>(i));
  }
  return all.sort();
}

// A plan with the arrays that it writes, and the gradients of a step or those that were bound.
// `Engine` is the plan of the CPU or of a device, and `Layout` how an array lies in memory, with
//   Array, extent_of(a)   the class of arrays in Python, and where one of them lies
// `Derived` has
//   address_of(i, g)      where gradient i lies, or none if it is not laid out like its parameter
//   changed()             what the owner of a parameter has changed since it was added
//   run(grads, options)   the step on the gradients that were loaded
template <class Derived, class Engine, class Layout>
class PlanWithGradients {
 public:
  using Array = typename Layout::Array;

  // Arrays are checked in Python: aligned, writeable, dense, apart, states laid out like theta.
  void add_tensor(int group, const Array& theta, const std::vector<Array>& states,
                  const pybind11::object& ema, int64_t t, double scalar) {
    const Hold hold(mutex_);
    const Extent extent = Layout::extent_of(theta);
    Tensor tensor{};
    tensor.group = group;
    tensor.n = extent.n;
    tensor.dtype = extent.itemsize == 4 ? DType::float32 : DType::float64;
    tensor.theta = take(theta, extent);
    for (size_t s = 0; s < states.size(); ++s)
      tensor.states[s] = take(states[s], Layout::extent_of(states[s]));
    if (!ema.is_none()) tensor.ema = take(ema, Layout::extent_of(ema));
    layouts_.emplace_back(theta);
    plan_.add_tensor(tensor, t, scalar);
    bound_.push_back(nullptr);
    sorted_ = false;
  }

  // Called before groups are added. If memory runs out meanwhile, `undo` removes them again.
  void begin() {
    const Hold hold(mutex_);
    before_ = {plan_.groups(), plan_.size(), kept_.size()};
  }
  void undo() {
    const Hold hold(mutex_);
    plan_.truncate(before_.groups, before_.tensors);
    taken_.drop_owners_from(before_.tensors);
    layouts_.erase(layouts_.begin() + before_.tensors, layouts_.end());
    bound_.resize(static_cast<size_t>(before_.tensors));
    while (kept_.size() > before_.kept) {
      const pybind11::object last = std::move(kept_.back());  // its destructor may run any code
      kept_.pop_back();
    }
  }

  Trouble bind(pybind11::tuple grads) {
    const Hold hold(mutex_);
    bound_loaded_ = false;
    if (Trouble trouble = load(grads)) return trouble;
    for (size_t i = 0; i < bound_.size(); ++i)
      bound_[i] = plan_.tensor(static_cast<int64_t>(i)).grad;
    bound_loaded_ = true;
    std::swap(bound_grads_, grads);  // the old ones are released after the lock
    return {};
  }

  Trouble step(const pybind11::tuple& grads, const StepOptions& options) {
    const Hold hold(mutex_);
    if (Trouble trouble = derived().changed()) return trouble;
    bound_loaded_ = false;
    if (Trouble trouble = load(grads)) return trouble;
    return derived().run(grads, options);
  }

  Trouble step_bound(const StepOptions& options) {
    const Hold hold(mutex_);
    if (Trouble trouble = derived().changed()) return trouble;
    if (!bound_loaded_)
      for (size_t i = 0; i < bound_.size(); ++i)
        plan_.set_gradient(static_cast<int64_t>(i), bound_[i]);
    bound_loaded_ = true;
    return derived().run(bound_grads_, options);
  }

  // For `collected`: a parameter of the user's own class may refer to its optimizer.
  template <class F>
  int visit(const F& see) const {
    for (const pybind11::object& array : kept_)
      if (const int stop = see(array)) return stop;
    return see(bound_grads_);
  }

 protected:
  template <class... Arguments>
  explicit PlanWithGradients(Arguments... arguments) : plan_(arguments...) {}

  // Gradients that share memory cannot be zeroed.
  Trouble shared_gradient() {
    if (apart_ == plan_.gradient_changes()) return {};
    Intervals seen;
    for (int64_t i = 0; i < plan_.size(); ++i) {
      const Tensor& tensor = plan_.tensor(i);
      if (tensor.grad) seen.add(tensor.grad, tensor.n * size_of(tensor.dtype), i);
    }
    if (const auto pair = seen.sort()) return {{"shared", pair->second}};
    apart_ = plan_.gradient_changes();
    return {};
  }

  std::recursive_mutex mutex_;  // its owner, and callbacks of a step, may call the plan again
  Engine plan_;
  std::vector<pybind11::object> kept_;
  std::vector<Layout> layouts_;  // of the parameters

 private:
  Derived& derived() { return static_cast<Derived&>(*this); }

  // An array that a step writes.
  void* take(const pybind11::object& array, const Extent& extent) {
    kept_.push_back(array);
    taken_.add(extent.lowest, extent.bytes(), plan_.size());
    return extent.lowest;
  }

  Trouble load(const pybind11::tuple& grads) {
    check_count(grads, plan_.size());
    if (!sorted_) taken_.sort();
    sorted_ = true;
    for (int64_t i = 0; i < plan_.size(); ++i) {
      PyObject* g = PyTuple_GET_ITEM(grads.ptr(), i);
      if (g == Py_None) {
        plan_.set_gradient(i, nullptr);
        continue;
      }
      const std::optional<void*> at = derived().address_of(i, g);
      if (!at) return {{"mismatch", i}};
      const Tensor& tensor = plan_.tensor(i);
      if (taken_.overlaps(*at, tensor.n * size_of(tensor.dtype))) return {{"overlap", i}};
      plan_.set_gradient(i, *at);
    }
    return {};
  }

  struct {
    int64_t groups, tensors;
    size_t kept;
  } before_{};
  Intervals taken_;  // by the arrays that a step writes
  bool sorted_ = true;
  std::vector<void*> bound_;
  pybind11::tuple bound_grads_;
  bool bound_loaded_ = false;  // whether the plan has them now
  int64_t apart_ = -1;         // gradient_changes() when the gradients were last found apart
};

// with_plan calls its function with the plan and, where that is a device's, with the stream.
template <class P>
void bind_groups(pybind11::class_<P>& c) {
  c.def("add_group",
        [](P& self, int rule, std::vector<double> given, double decay, bool maximize,
           double one_minus_ema) {
          const Group group{rule, std::move(given), decay, maximize, one_minus_ema};
          self.with_plan([&](auto& plan, auto...) { plan.add_group(group); });
        })
      .def("set_group",
           [](P& self, int i, int rule, std::vector<double> given, double decay, bool maximize,
              double one_minus_ema) {
             const Group group{rule, std::move(given), decay, maximize, one_minus_ema};
             self.with_plan([&](auto& plan, auto... s) { plan.set_group(i, group, s...); });
           })
      .def("set_lr",
           [](P& self, int i, double lr) {
             self.with_plan([&](auto& plan, auto... s) { plan.set_lr(i, lr, s...); });
           })
      .def("given_of_last_step",
           [](P& self) {
             return self.with_plan(
                 [](auto& plan, auto... s) { return plan.given_of_last_step(s...); });
           })
      .def("remember",
           [](P& self) { self.with_plan([](auto& plan, auto... s) { plan.remember(s...); }); })
      .def("restore", [](P& self, const std::vector<int64_t>& steps,
                         const std::vector<double>& scalars, int64_t step_count, int64_t skipped) {
        self.with_plan([&](auto& plan, auto... s) {
          plan.restore(steps, scalars, step_count, skipped, s...);
        });
      });
}

template <class P>
void bind_steps(pybind11::class_<P>& c) {
  c.def("__enter__", &P::acquire)  // the plan as a lock, for Python between calls
      .def("__exit__", [](P& self, const pybind11::args&) { self.release(); })
      .def("begin", &P::begin)
      .def("undo", &P::undo)
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
