// The module _cuda: plans on a device, least squares there, and which devices there are.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <type_traits>
#include <utility>

#include "bindings/errors.hpp"
#include "bindings/module.hpp"
#include "bindings/streams.hpp"
#include "bindings/updates/plans.hpp"
#include "core/error.hpp"
#include "cuda/plan.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

using cuda::Stream;

// An array of CuPy: what of it a plan compares and keeps.
struct DeviceArray {
  using Array = py::object;

  py::object dtype, shape, strides;
  Extent extent{};
  int64_t device;

  explicit DeviceArray(py::handle array)
      : dtype(array.attr("dtype")), shape(array.attr("shape")), strides(array.attr("strides")) {
    extent.n = array.attr("size").cast<int64_t>();
    extent.itemsize = array.attr("itemsize").cast<int64_t>();
    const py::object data = array.attr("data");
    device = data.attr("device_id").cast<int64_t>();
    auto at = static_cast<int64_t>(data.attr("ptr").cast<uintptr_t>());
    const auto dims = shape.cast<std::vector<int64_t>>(),
               steps = strides.cast<std::vector<int64_t>>();
    for (size_t i = 0; extent.n > 0 && i < dims.size(); ++i)
      if (steps[i] < 0) at += (dims[i] - 1) * steps[i];
    extent.lowest = reinterpret_cast<void*>(static_cast<uintptr_t>(at));
  }
  static Extent extent_of(py::handle array) { return DeviceArray(array).extent; }
  bool fits(const DeviceArray& other) const {
    return device == other.device && dtype.equal(other.dtype) && shape.equal(other.shape) &&
           (extent.n == 0 || strides.equal(other.strides));
  }
  // Of float32 or float64, whose sizes are powers of two. CuPy's views need not be.
  bool aligned() const {
    return !(reinterpret_cast<uintptr_t>(extent.lowest) &
             (static_cast<uintptr_t>(extent.itemsize) - 1));
  }
};

// CuPy gives an empty array the address 0, which would mean that it has no gradient.
void* empty_gradient() { return reinterpret_cast<void*>(uintptr_t{64}); }

struct LastStream {
  py::object last_stream_;  // of a base, the first, and so it goes after all that a plan holds
};

class CudaPlan : LastStream, public PlanWithGradients<CudaPlan, cuda::Plan, DeviceArray> {
 public:
  // stream() is the stream to use, allocate(bytes) device memory, each with a .ptr.
  CudaPlan(int device, py::function stream, py::function allocate)
      : PlanWithGradients(device),
        allocate_(std::move(allocate)),
        streams_(device, std::move(stream), last_stream_) {}

  // Memory for what will be added: nothing is, where there is none or a graph is being captured.
  void reserve(int64_t groups, const std::vector<int64_t>& sizes) {
    const Hold hold(mutex_);
    without_gil([&](Stream stream) { plan_.check_place(stream); });
    spare_ = allocate_(plan_.bytes_needed(groups, sizes));
  }

  void ready() {
    const Hold hold(mutex_);
    place();
  }

  void acquire() { Hold(mutex_).keep(); }
  void release() { mutex_.unlock(); }

  // f(plan, stream), while nobody else has it.
  template <class F>
  auto with_plan(const F& f) {
    const Hold hold(mutex_);
    return without_gil([&](Stream stream) { return f(plan_, stream); });
  }

 private:
  friend PlanWithGradients;

  // f(stream) without the GIL. Even a launch waits once a thousand are queued, and one of those may
  // be a Python function (launch_host_func), which waits for the GIL.
  template <class F>
  std::invoke_result_t<F, Stream> without_gil(const F& f) {
    StreamsInUse::Now now = streams_.ask();
    if (streams_.several(now)) return in_order(std::move(now), f);
    const Stream stream = streams_.take(std::move(now));
    const WithoutGil released;
    return f(stream);
  }

  // The same after all that other streams were given: what a plan has on the device is written and
  // read by each of its calls, also where none of the user's arrays is.
  template <class F>
  std::invoke_result_t<F, Stream> in_order(StreamsInUse::Now now, const F& f) {
    bool leads = false;
    {
      const WithoutGil released;
      leads = streams_.follow(now);
    }
    const Stream stream = streams_.take(std::move(now));
    const WithoutGil released;
    if constexpr (std::is_void_v<std::invoke_result_t<F, Stream>>) {
      f(stream);
      if (leads) streams_.lead();
    } else {
      auto result = f(stream);
      if (leads) streams_.lead();
      return result;
    }
  }

  // The plan's own memory, from the caller's allocator; before the first step, or with it.
  void place() {
    if (plan_.placed()) return;
    if (!spare_) spare_ = allocate_(plan_.bytes_needed());
    auto* memory = reinterpret_cast<void*>(spare_.attr("ptr").cast<uintptr_t>());
    without_gil([&](Stream stream) { plan_.place(memory, stream); });
    memory_.push_back(std::exchange(spare_, {}));  // beside the old: a captured graph may use that
  }

  std::optional<void*> address_of(int64_t i, py::handle g) const {
    if (Py_TYPE(g.ptr()) != Py_TYPE(kept_.front().ptr())) return {};
    const DeviceArray seen(g);
    if (!layouts_[static_cast<size_t>(i)].fits(seen) || !seen.aligned()) return {};
    return seen.extent.n ? seen.extent.lowest : empty_gradient();
  }

  // CuPy arrays neither become read-only nor move.
  Trouble changed() const { return {}; }

  Trouble run(const py::tuple&, const StepOptions& options) {
    if (options.zero_grad)
      if (Trouble trouble = shared_gradient()) return trouble;
    place();
    const int64_t bad = without_gil([&](Stream stream) { return plan_.step(options, stream); });
    if (plan_.last_was_captured()) streams_.expect_replays();
    if (bad >= 0) return {{"nonfinite", bad}};
    return {};
  }

  py::function allocate_;
  std::vector<py::object> memory_;
  py::object spare_;      // reserved, for the next place
  StreamsInUse streams_;  // last, so that it goes before the memory above
};

void bind_counts(py::class_<CudaPlan>& c) {
  c.def("clocks",
        [](CudaPlan& self) {
          return self.with_plan([](auto& plan, Stream s) {
            std::pair<std::vector<int64_t>, std::vector<double>> clocks;
            for (const cuda::Clock& clock : plan.clocks(s)) {
              clocks.first.push_back(clock.t);
              clocks.second.push_back(clock.scalar);
            }
            return clocks;
          });
        })
      .def("counts",
           [](CudaPlan& self) {
             return self.with_plan([](auto& plan, Stream s) {
               const cuda::Counts counts = plan.counts(s);
               return std::pair(counts.step_count, counts.skipped);
             });
           })
      .def("calls",
           [](CudaPlan& self) {
             return self.with_plan([](auto& plan, Stream s) { return plan.calls(s); });
           })
      .def("grad_norm", [](CudaPlan& self) {
        return self.with_plan([](auto& plan, Stream s) { return plan.grad_norm(s); });
      });
}

}  // namespace
}  // namespace steepest

PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
  using namespace steepest;
  translate_errors();
  m.def("device_count", &cuda::device_count);
  m.def("runtime_version", &cuda::runtime_version);
  // The current device's memory is at `to`.
  m.def("write", [](uintptr_t to, const py::array& from, uintptr_t stream) {
    const void* data = from.data();
    const int64_t bytes = from.nbytes();
    const WithoutGil released;
    cuda::write(reinterpret_cast<void*>(to), data, bytes, reinterpret_cast<Stream>(stream));
  });
  m.def("find_overlap", &find_overlap<DeviceArray>);
  // What was asked of the devices so far: launches, copies, waits.
  m.def("calls", [] {
    return py::make_tuple(cuda::calls.launches.load(), cuda::calls.copies.load(),
                          cuda::calls.waits.load());
  });
  py::class_<CudaPlan> plan(m, "Plan", collected<CudaPlan>());
  plan.def(py::init<int, py::function, py::function>())
      .def("reserve", &CudaPlan::reserve)
      .def("ready", &CudaPlan::ready);
  bind_groups(plan);
  bind_steps(plan);
  bind_counts(plan);
  bind_nlls_cuda(m);
}
