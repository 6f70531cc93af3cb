// Bindings of the least-squares solver over a CUDA device. steepest.nlls.device hands over arrays
// of CuPy that have been checked; vectors of length n are NumPy's.
#include <memory>
#include <tuple>
#include <utility>

#include "bindings/least_squares/solver.hpp"
#include "bindings/module.hpp"
#include "bindings/streams.hpp"
#include "linalg/device/dense_cuda.hpp"
#include "nlls/solver.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

// An array of CuPy, without gaps in its rows or in its columns.
template <class T>
struct DeviceMatrix {
  const T* data;
  int64_t rows, columns, ld;
  bool row_major;

  explicit DeviceMatrix(const py::object& array) : data(pointer_to(array)) {
    const auto shape = py::cast<std::pair<int64_t, int64_t>>(array.attr("shape"));
    const auto strides = py::cast<std::pair<int64_t, int64_t>>(array.attr("strides"));
    constexpr int64_t item = sizeof(T);
    std::tie(rows, columns) = shape;
    row_major = strides.second == item && (rows == 1 || strides.first >= item * columns);
    ld = row_major ? (rows == 1 ? columns : strides.first / item)
                   : (columns == 1 ? rows : strides.second / item);
  }
  static T* pointer_to(const py::object& array) {
    return reinterpret_cast<T*>(py::cast<uintptr_t>(array.attr("data").attr("ptr")));
  }
};

// A Python object whose last owner may let it go without the GIL.
std::shared_ptr<py::object> kept(py::object object) {
  return {new py::object(std::move(object)), [](py::object* last) {
            const py::gil_scoped_acquire held;
            delete last;
          }};
}

// From Python's allocator, whose object is let go with the last owner.
std::shared_ptr<void> allocated(const py::object& allocate, int64_t bytes) {
  const py::gil_scoped_acquire gil;
  const auto memory = kept(allocate(bytes));
  void* pointer = reinterpret_cast<void*>(py::cast<uintptr_t>(memory->attr("ptr")));
  return {memory, pointer};
}

template <class T>
class CudaSolver {
 public:
  using Array = py::array_t<T>;
  using Space = linalg::DeviceSpace<T>;
  using Core = nlls::Solver<linalg::DenseCuda<T>>;

  // stream() is the stream to use, allocate(bytes) device memory, each with a .ptr.
  CudaSolver(int device, py::function stream, py::function allocate, const py::object& x0,
             const nlls::Options<T>& options)
      : device_(device), streams_(device, std::move(stream), last_stream_) {
    const std::vector<T> start = start_of<T>(x0);
    const auto allocator = kept(std::move(allocate));
    on_device(ready(), [&](cuda::Stream now) {
      Space space(device, [allocator](int64_t bytes) { return allocated(*allocator, bytes); });
      space.use(now);
      core_ = std::make_unique<Core>(start, options, std::move(space));
    });
  }

  int tell_residual(const py::object& f, const py::object& rho) {
    const int64_t m = py::cast<int64_t>(f.attr("size"));
    const T* given = rho.is_none() ? nullptr : DeviceMatrix<T>::pointer_to(rho);
    return ask([&, data = DeviceMatrix<T>::pointer_to(f)] {
      return core_->tell_residual(data, m, given);
    });
  }

  int tell_jacobian(const py::object& J) {
    const DeviceMatrix<T> held = matrix(J, core_->m());
    const Busy busy(turns_);
    const int next = run([&] { return core_->tell_jacobian(held.data, held.ld, held.row_major); });
    if (!core_->refused()) kept_ = J;  // else the solver goes on with the last one
    return next;
  }

  int tell_normal(double cost, const py::object& JtJ, const py::object& Jtf) {
    const T *H = DeviceMatrix<T>::pointer_to(JtJ), *g = DeviceMatrix<T>::pointer_to(Jtf);
    return ask([&] { return core_->tell_normal(cost, H, g); });
  }

  void begin_blocks() {
    ask([&] { return core_->begin_blocks(), core_->phase(); });
  }
  bool add_block(const py::object& f, const py::object& J) {
    const int64_t m = py::cast<int64_t>(f.attr("size"));
    const DeviceMatrix<T> held = matrix(J, m);
    const T* residual = DeviceMatrix<T>::pointer_to(f);
    bool wanted = true;
    // The stream goes on reading J and f. A wait for it would take 10 us a block, and the host
    // would no longer prepare the next block while this one is multiplied.
    ask([&] {
      wanted = core_->add_block({held.data, m, core_->n(), held.ld, held.row_major, residual});
      return core_->phase();
    });
    streams_.wait_at_end();  // the last block may be its last: see run
    return wanted;
  }
  int end_blocks(bool whole) {
    return ask([&] { return core_->end_blocks(whole); });
  }

  // Into arrays of m.
  void read_fun(const py::object& out) {
    read(out, [this] { return core_->fun(); });
  }
  void read_weight(const py::object& out) {
    read(out, [this] { return core_->jac_weight(); });
  }
  bool has_fun() const { return core_->fun() != nullptr; }
  bool weighted() const { return core_->weighted(); }
  void put_state(const py::dict& result, const py::object& J) {
    const Hold hold(turns_.mutex);
    steepest::put_state(*core_, result, py::none(), J, py::none());
  }
  py::tuple gram() {
    std::vector<T> matrix;
    ask([&] { return matrix = core_->backend().matrix(), core_->phase(); });
    return gram_of(*core_, matrix);
  }
  int keep_jacobian() {
    return ask([this] { return core_->keep_jacobian(); });
  }
  Core& core() { return *core_; }
  Turns& turns() { return turns_; }

 private:
  Space& space() { return core_->backend().space(); }

  template <class F>
  int ask(const F& work) {
    const Busy busy(turns_);
    return run(work);
  }

  // The current stream, which can be waited for.
  StreamsInUse::Now ready() const {
    StreamsInUse::Now now = streams_.ask();
    const cuda::OnDevice on(device_);
    if (cuda::capturing(now.handle)) {
      throw Error(ErrorKind::value,
                  "least squares: cannot run while a CUDA graph is captured, as it waits for the "
                  "device");
    }
    return now;
  }

  // work(stream) on the device, without the GIL, after all that other streams were given.
  template <class F>
  void on_device(StreamsInUse::Now now, const F& work) {
    const cuda::OnDevice on(device_);
    if (streams_.moves_to(now)) {
      const WithoutGil released;
      space().use(now.handle, streams_.leaves_thread(now));
    }
    const cuda::Stream stream = streams_.take(std::move(now));
    const WithoutGil released;
    work(stream);
  }

  // work() there; the phase after it. A failure on the device, for want of memory or in a library,
  // may leave an iteration half done, and the device at work with the library's handles, which the
  // next solver takes over, and its workspace on the host.
  template <class F>
  int run(const F& work) {
    if (failed_) {
      throw Error(ErrorKind::backend,
                  "LeastSquares: an earlier call failed on the device; make a new solver");
    }
    int phase = 0;
    StreamsInUse::Now now = ready();
    try {
      on_device(std::move(now), [&](cuda::Stream) { phase = static_cast<int>(work()); });
    } catch (const Error& error) {
      if (error.kind == ErrorKind::backend) fail();
      throw;
    } catch (...) {
      fail();
      throw;
    }
    return phase;
  }

  void fail() {
    failed_ = true;
    streams_.wait_at_end();
  }

  DeviceMatrix<T> matrix(const py::object& J, int64_t m) const {
    const DeviceMatrix<T> held(J);
    if (held.rows != m || held.columns != core_->n()) {
      refuse_jacobian(held.rows, held.columns, m, core_->n());
    }
    return held;
  }

  template <class F>
  void read(const py::object& out, const F& from) {
    T* to = DeviceMatrix<T>::pointer_to(out);
    ask([&] { return space().copy_to(to, from(), core_->m()), core_->phase(); });
  }

  int device_;
  py::object last_stream_;  // goes after all that follows
  py::object kept_;
  std::unique_ptr<Core> core_;
  Turns turns_;
  bool failed_ = false;
  StreamsInUse streams_;  // last, so that it goes before the memory above
};

template <class T>
void bind_solver(py::module_& m, const char* name) {
  using S = CudaSolver<T>;
  py::class_<S> c(m, name);
  c.def(py::init([](int device, py::function stream, py::function allocate, const py::object& x0,
                    const py::dict& options) {
    return std::make_unique<S>(device, std::move(stream), std::move(allocate), x0,
                               options_of<T>(options));
  }));
  c.def("read_fun", &S::read_fun);
  c.def("read_weight", &S::read_weight);
  c.def_property_readonly("weighted", &S::weighted);
  c.def_property_readonly("has_fun", &S::has_fun);
  bind_shared(c);
}

}  // namespace

void bind_nlls_cuda(py::module_& m) {
  m.def("load_libraries", &linalg::load_libraries);
  m.def("libraries_loaded", &linalg::libraries_loaded);
  bind_solver<double>(m, "Solver64");
  bind_solver<float>(m, "Solver32");
}

}  // namespace steepest
