// Bindings of the update engine: rules, plans, SIMD levels.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/module.hpp"
#include "bindings/updates/plans.hpp"
#include "cpu/fetch_ahead.hpp"
#include "cpu/plan.hpp"
#include "rules/list.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

// Bytes of a step below which releasing the GIL costs more than other threads gain.
constexpr int64_t gil_bytes = 1 << 18;

using py::detail::npy_api;
constexpr int c_contiguous = npy_api::NPY_ARRAY_C_CONTIGUOUS_,
              f_contiguous = npy_api::NPY_ARRAY_F_CONTIGUOUS_,
              aligned = npy_api::NPY_ARRAY_ALIGNED_, writeable = npy_api::NPY_ARRAY_WRITEABLE_;

const py::detail::PyArray_Proxy* proxy(PyObject* array) { return py::detail::array_proxy(array); }

bool is_array(PyObject* object) { return Py_TYPE(object) == npy_api::get().PyArray_Type_; }

int64_t elements(PyObject* array) {
  const auto* p = proxy(array);
  int64_t n = 1;
  for (int i = 0; i < p->nd; ++i) n *= p->dimensions[i];
  return n;
}

// How a parameter lies in memory, to compare its gradients with.
struct Layout {
  using Array = py::array;

  PyObject* descr;  // kept alive by the parameter
  int nd, flags;
  std::vector<Py_ssize_t> dims, strides;
  int64_t offset;  // from the first element to the lowest in memory, in bytes

  explicit Layout(const py::array& array) {
    const auto* p = proxy(array.ptr());
    descr = p->descr;
    nd = p->nd;
    flags = p->flags;
    dims.assign(p->dimensions, p->dimensions + nd);
    strides.assign(p->strides, p->strides + nd);
    offset = to_lowest(p);
  }

  static Extent extent_of(py::handle array) {
    const auto given = py::reinterpret_borrow<py::array>(array);
    const auto* p = proxy(array.ptr());
    return {p->data + to_lowest(p), elements(array.ptr()), given.itemsize()};
  }

  // Whether an array has the same dtype, shape and order of elements.
  bool fits(PyObject* array) const {
    if (!is_array(array)) return false;
    const auto* p = proxy(array);
    if (p->nd != nd || !(p->flags & aligned) || !same_dtype(p->descr)) return false;
    for (size_t i = 0; i < dims.size(); ++i)
      if (p->dimensions[i] != dims[i]) return false;
    if (flags & p->flags & c_contiguous) return true;
    for (size_t i = 0; i < dims.size(); ++i)
      if (p->strides[i] != strides[i]) return false;
    return true;
  }

  // Arrays that were pickled have a dtype object of their own.
  bool same_dtype(PyObject* other) const {
    return other == descr || npy_api::get().PyArray_EquivTypes_(other, descr);
  }

  void* lowest(PyObject* array) const { return proxy(array)->data + offset; }

 private:
  static int64_t to_lowest(const py::detail::PyArray_Proxy* p) {
    int64_t offset = 0;
    for (int i = 0; i < p->nd; ++i) {
      if (p->dimensions[i] == 0) return 0;
      if (p->strides[i] < 0) offset += (p->dimensions[i] - 1) * p->strides[i];
    }
    return offset;
  }
};

// A parameter as its owner holds it; the owner may have changed what a step relies on.
struct Owned {
  PyObject *array, *descr;  // kept alive by the plan
  const void* data;
  int64_t tensor, n;

  bool frozen() const { return !(proxy(array)->flags & writeable); }
  bool moved() const {
    const auto* p = proxy(array);
    if (p->data != data) return true;
    if (p->descr == descr) return elements(array) < n;
    const auto given = py::reinterpret_borrow<py::array>(array);  // another dtype, set in place
    return given.nbytes() < n * py::reinterpret_borrow<py::dtype>(descr).itemsize();
  }
};

class PyPlan : public PlanWithGradients<PyPlan, Plan, Layout> {
 public:
  // The caller's own array, of which the tensor added last is a view: looked at before each step.
  void watch(const py::array& given) {
    Hold hold(mutex_);
    kept_.push_back(given);
    const auto* p = proxy(given.ptr());
    owned_.push_back({given.ptr(), p->descr, p->data, plan_.size() - 1, elements(given.ptr())});
  }

  void undo() {
    Hold hold(mutex_);
    PlanWithGradients::undo();
    while (!owned_.empty() && owned_.back().tensor >= plan_.size()) owned_.pop_back();
  }

  // Whether the parameters are where they were, for who reads them.
  Trouble moved() {
    Hold hold(mutex_);
    for (const Owned& p : owned_)
      if (p.moved()) return {{"moved", p.tensor}};
    return {};
  }

  void acquire() {
    Hold hold(mutex_);
    ++held_;
    hold.keep();
  }
  void release() {
    --held_;
    mutex_.unlock();
  }
  // In the child of a fork, by the thread that acquired before it: a mutex knows its owner by the
  // thread's number, which has changed.
  void renew_lock() {
    new (&mutex_) std::recursive_mutex;
    --held_;
    for (int i = 0; i < held_; ++i) mutex_.lock();
  }

  // f(plan), while nobody else has it.
  template <class F>
  auto with_plan(const F& f) {
    Hold hold(mutex_);
    return f(plan_);
  }

 private:
  friend PlanWithGradients;

  std::optional<void*> address_of(int64_t i, PyObject* g) const {
    const Layout& layout = layouts_[static_cast<size_t>(i)];
    if (!layout.fits(g)) return {};
    return layout.lowest(g);
  }

  Trouble changed() const {
    for (const Owned& p : owned_) {
      if (p.frozen()) return {{"frozen", p.tensor}};
      if (p.moved()) return {{"moved", p.tensor}};
    }
    return {};
  }

  // Gradients that are to be zeroed must be writeable and apart from each other.
  Trouble cannot_zero(const py::tuple& grads) {
    for (int64_t i = 0; i < plan_.size(); ++i)
      if (plan_.tensor(i).grad && !(proxy(PyTuple_GET_ITEM(grads.ptr(), i))->flags & writeable))
        return {{"readonly", i}};
    return shared_gradient();
  }

  Trouble run(const py::tuple& grads, const StepOptions& options) {
    if (options.zero_grad)
      if (Trouble trouble = cannot_zero(grads)) return trouble;
    const WithoutGil released(plan_.bytes() > gil_bytes);
    const int64_t bad = plan_.step(options);
    if (bad >= 0) return {{"nonfinite", bad}};
    return {};
  }

  int held_ = 0;  // how often it is acquired and not yet released
  std::vector<Owned> owned_;
};

// A group as Python gives it: the rule's number, its hyperparameters, decay, maximize, 1 - ema.
using GivenGroup = std::tuple<int, std::vector<double>, double, bool, double>;

// One step of one parameter with nothing kept, as st.functional takes it. arrays: the parameter,
// its gradient, its states; t: steps taken so far. What the rule then carries beside its arrays;
// none, with nothing changed, where these are not NumPy's own, in order, laid out alike and apart.
std::optional<double> step_alone(const GivenGroup& group, double lr, const py::tuple& arrays,
                                 int64_t t, double scalar) {
  const py::object param = arrays[0];
  const bool known = py::array_t<float>::check_(param) || py::array_t<double>::check_(param);
  if (!known || !(proxy(param.ptr())->flags & (c_contiguous | f_contiguous))) return {};
  const Layout layout(param);
  Intervals ranges;
  std::vector<void*> at;
  for (const py::handle array : arrays) {
    const bool written = at.size() != 1;
    if (!layout.fits(array.ptr())) return {};
    if (written && !(proxy(array.ptr())->flags & writeable)) return {};
    const Extent extent = Layout::extent_of(array);
    ranges.add(extent.lowest, extent.bytes(), 0);
    at.push_back(extent.lowest);
  }
  if (ranges.sort()) return {};
  const Extent extent = Layout::extent_of(param);
  Tensor tensor{};
  tensor.theta = at[0];
  tensor.grad = at[1];
  std::copy(at.begin() + 2, at.end(), tensor.states.begin());
  tensor.n = extent.n;
  tensor.dtype = extent.itemsize == 4 ? DType::float32 : DType::float64;
  Plan plan;
  const auto& [rule, given, decay, maximize, one_minus_ema] = group;
  plan.add_group({rule, given, decay, maximize, one_minus_ema});
  plan.set_lr(0, lr);
  plan.add_tensor(tensor, t, scalar);
  const WithoutGil released(plan.bytes() > gil_bytes);
  plan.step({});
  return plan.scalars()[0];
}

template <class Rule>
py::tuple describe() {
  const char* scalar = "";
  if constexpr (base::HasScalar<Rule>::value) scalar = Rule::scalar;
  return py::make_tuple(Rule::name, Rule::given, Rule::states, scalar);
}

template <class... Rules>
py::list describe_all(base::List<Rules...>) {
  py::list all;
  (all.append(describe<Rules>()), ...);
  return all;
}

void bind_plan(py::module_& m) {
  py::class_<PyPlan> c(m, "Plan", collected<PyPlan>());
  bind_groups(c);
  bind_steps(c);
  c.def(py::init())
      .def("renew_lock", &PyPlan::renew_lock)
      .def("watch", &PyPlan::watch)
      .def("moved", &PyPlan::moved)
      .def("clocks",
           [](PyPlan& self) {
             return self.with_plan(
                 [](Plan& plan) { return std::pair(plan.steps(), plan.scalars()); });
           })
      .def("counts",
           [](PyPlan& self) {
             return self.with_plan(
                 [](Plan& plan) { return std::pair(plan.step_count, plan.skipped); });
           })
      .def("calls",  // of step so far, skipped ones included
           [](PyPlan& self) {
             return self.with_plan([](Plan& plan) { return plan.step_count + plan.skipped; });
           })
      .def("grad_norm",
           [](PyPlan& self) { return self.with_plan([](Plan& plan) { return plan.grad_norm; }); })
      .def("set_cuts", [](PyPlan& self, std::vector<double> cuts) {
        self.with_plan([&](Plan& plan) { plan.cuts = std::move(cuts); });
      });
}

}  // namespace

using Distances = std::array<int64_t, 3>;

void bind_updates(py::module_& m) {
  m.def("rules", [] { return describe_all(base::AllRules{}); });
  m.def("find_overlap", &find_overlap<Layout>);
  m.def("step_alone", &step_alone);
  m.def("simd_level", &level_in_use);
  // (L1, L2, lines) of each, and above how many bytes the first two are
  m.def("set_fetch_ahead", [](const Distances& alone, const Distances& staged,
                              const Distances& norm, int64_t above) {
    const auto ahead = [](const Distances& d) { return Ahead{d[0], d[1], static_cast<int>(d[2])}; };
    const auto pair = [](const Ahead& a) { return py::make_tuple(a.l1, a.l2, a.lines); };
    const FetchAhead before =
        std::exchange(fetch_ahead, {ahead(alone), ahead(staged), ahead(norm), above});
    return py::make_tuple(pair(before.alone), pair(before.staged), pair(before.norm), before.above);
  });
  m.def("set_simd_level", [](const std::string& name) { set_level(name.c_str()); });
  m.def("simd_levels", &level_names);
  bind_plan(m);
}

}  // namespace steepest
