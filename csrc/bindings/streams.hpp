// The streams on which an object gives work to a device.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <thread>
#include <utility>

#include "core/device.hpp"
#include "core/error.hpp"

namespace steepest {

// Asks for CuPy's current stream at each call. The last one is kept alive, since a CuPy stream that
// goes destroys its handle. CuPy reuses freed memory on the stream that it was allocated on without
// a wait, so an object that has used several streams waits before its memory is freed. The default
// streams of the threads share one handle, so the thread is compared, too.
class StreamsInUse {
 public:
  // current() is a stream, with a .ptr.
  StreamsInUse(int device, pybind11::function current)
      : device_(device), current_(std::move(current)) {}
  StreamsInUse(const StreamsInUse&) = delete;
  StreamsInUse& operator=(const StreamsInUse&) = delete;
  ~StreamsInUse() {
    if (!several_) return;
    const pybind11::gil_scoped_release released;
    try {
      const cuda::OnDevice on(device_);
      if (cuda::capturing(handle_)) return;
      handle_ == own_of_thread() ? cuda::wait_for_all() : cuda::wait(handle_);
    } catch (const Error&) {  // nothing runs there any more
    }
  }

  cuda::Stream current() {
    pybind11::object now = current_();
    const std::thread::id thread = std::this_thread::get_id();
    if (now.is(last_) && (thread == thread_ || handle_ != own_of_thread())) return handle_;
    const auto handle = reinterpret_cast<cuda::Stream>(now.attr("ptr").cast<uintptr_t>());
    several_ = several_ || (last_ && (handle != handle_ || thread != thread_));
    before_ = std::exchange(last_, std::move(now));
    thread_ = thread;
    return handle_ = handle;
  }

 private:
  // cudaStreamPerThread
  static cuda::Stream own_of_thread() { return reinterpret_cast<cuda::Stream>(uintptr_t{2}); }

  int device_;
  pybind11::function current_;
  pybind11::object last_, before_;  // the one before is kept until it has been waited for
  cuda::Stream handle_ = nullptr;
  std::thread::id thread_;  // which asked last
  bool several_ = false;
};

}  // namespace steepest
