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
  struct Now {
    pybind11::object object;
    cuda::Stream handle;
    std::thread::id thread;
  };

  // current() is a stream, with a .ptr.
  StreamsInUse(int device, pybind11::function current)
      : device_(device), current_(std::move(current)) {}
  StreamsInUse(const StreamsInUse&) = delete;
  StreamsInUse& operator=(const StreamsInUse&) = delete;
  ~StreamsInUse() {
    if (!waits_at_end_) return;
    const pybind11::gil_scoped_release released;
    try {
      const cuda::OnDevice on(device_);
      if (cuda::capturing(last_.handle)) return;
      last_.handle == own_of_thread() ? cuda::wait_for_all() : cuda::wait(last_.handle);
    } catch (const Error&) {  // nothing runs there any more
    }
  }

  Now ask() const {
    Now now{current_(), last_.handle, std::this_thread::get_id()};
    if (!now.object.is(last_.object)) {
      now.handle = reinterpret_cast<cuda::Stream>(now.object.attr("ptr").cast<uintptr_t>());
    }
    return now;
  }
  // Whether work went to another stream last; and whether to one that only its thread can name.
  bool moves_to(const Now& now) const {
    return last_.object && (now.handle != last_.handle || leaves_thread(now));
  }
  bool leaves_thread(const Now& now) const {
    return last_.handle == own_of_thread() && now.thread != last_.thread;
  }
  // Work goes to this one from now on.
  cuda::Stream take(Now now) {
    waits_at_end_ = waits_at_end_ || moves_to(now);
    last_ = std::move(now);
    return last_.handle;
  }
  // Work has been left that uses more than memory of CuPy's.
  void wait_at_end() { waits_at_end_ = true; }

 private:
  // cudaStreamPerThread
  static cuda::Stream own_of_thread() { return reinterpret_cast<cuda::Stream>(uintptr_t{2}); }

  int device_;
  pybind11::function current_;
  Now last_{};
  bool waits_at_end_ = false;
};

}  // namespace steepest
