// The streams on which an object gives work to a device.
#pragma once
#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "bindings/module.hpp"
#include "core/device.hpp"
#include "core/error.hpp"

namespace steepest {

// Asks for CuPy's current stream at each call. The last one is kept alive, since a CuPy stream
// destroys its handle when it goes. CuPy reuses freed memory without a wait on the stream that it
// was allocated on, so an object that has used several streams waits before its memory is freed.
// The default streams of the threads share one handle, so the thread is compared, too.
//
// CuPy launches captured graphs unseen by us. They are expected on the stream that captured them;
// so each later call is put in order with that stream, before and after.
class StreamsInUse {
 public:
  struct Now {
    pybind11::object object;
    cuda::Stream handle;
    uint64_t thread;
  };

  // current() gives a stream, with a .ptr. At the end the last one is left in `outlives`, which is
  // destroyed after the memory: some of CuPy's allocators free that on its stream, or on any other
  // if the stream is gone.
  StreamsInUse(int device, pybind11::function current, pybind11::object& outlives)
      : device_(device), current_(std::move(current)), outlives_(outlives) {}
  StreamsInUse(const StreamsInUse&) = delete;
  StreamsInUse& operator=(const StreamsInUse&) = delete;
  ~StreamsInUse() {
    if (waits_at_end_) {
      wait_for(last_);
      for (const Now& one : replaying_)
        if (!same(one, last_)) wait_for(one);  // replays since the last call
    }
    outlives_ = std::move(last_.object);
  }

  Now ask() const {
    Now now{current_(), last_.handle, this_thread()};
    if (!now.object.is(last_.object)) {
      now.handle = reinterpret_cast<cuda::Stream>(now.object.attr("ptr").cast<uintptr_t>());
    }
    return now;
  }
  // Whether the last work went to another stream; and whether to one that only its thread can name.
  bool moves_to(const Now& now) const {
    return last_.object && (now.handle != last_.handle || leaves_thread(now));
  }
  bool leaves_thread(const Now& now) const {
    return last_.handle == own_of_thread() && now.thread != last_.thread;
  }
  // Whether a call on this stream is to be put in order with others.
  bool several(const Now& now) const {
    if (moves_to(now)) return true;
    for (const Now& one : replaying_)
      if (!same(one, now)) return true;
    return false;
  }
  // Makes work given to this stream from now on run after that given to the others so far. False
  // while it is captured: a graph cannot wait for what is not in it. Called without the GIL, as
  // lead() is.
  bool follow(const Now& now) const {
    const cuda::OnDevice on(device_);
    if (cuda::capturing(now.handle)) return false;
    put_in_order(now, last_);
    for (const Now& one : replaying_) put_in_order(now, one);
    return true;
  }
  // Makes replays from now on run after the work given to the last stream so far.
  void lead() const {
    const cuda::OnDevice on(device_);
    for (const Now& one : replaying_) put_in_order(one, last_);
  }
  // The work given to the last stream has been captured.
  void expect_replays() {
    for (const Now& one : replaying_)
      if (same(one, last_)) return;
    replaying_.push_back(last_);
  }
  // Work goes to this stream from now on.
  cuda::Stream take(Now now) {
    waits_at_end_ = waits_at_end_ || moves_to(now);
    last_ = std::move(now);
    return last_.handle;
  }
  // There is work under way that uses other memory than CuPy's.
  void wait_at_end() { waits_at_end_ = true; }

 private:
  // Unlike a std::thread::id, no later thread has it again.
  static uint64_t this_thread() {
    static std::atomic<uint64_t> seen{0};
    thread_local const uint64_t number = ++seen;
    return number;
  }
  // cudaStreamPerThread
  static cuda::Stream own_of_thread() { return reinterpret_cast<cuda::Stream>(uintptr_t{2}); }
  static bool same(const Now& a, const Now& b) {
    return a.handle == b.handle && (a.handle != own_of_thread() || a.thread == b.thread);
  }
  static bool of_another_thread(const Now& one) {
    return one.handle == own_of_thread() && one.thread != this_thread();
  }

  static void put_in_order(const Now& later, const Now& earlier) {
    if (!earlier.object || same(later, earlier)) return;
    // For the null stream `capturing` throws, and so refuses the call, while a stream that blocks
    // is captured: any use of the null stream, or of the whole device, would end that capture.
    if (cuda::capturing(earlier.handle) || cuda::capturing(later.handle)) return;
    try {
      // Another thread's cannot be named. Whatever the legacy null stream does comes after all that
      // is in these, and before what they are given next.
      const cuda::Stream legacy = nullptr;
      if (of_another_thread(later)) return cuda::follow(legacy, earlier.handle);
      if (of_another_thread(earlier)) cuda::follow(legacy, later.handle);
      cuda::follow(later.handle, of_another_thread(earlier) ? legacy : earlier.handle);
    } catch (const Error&) {  // of another device, say
      cuda::wait_for_all();
    }
  }

  void wait_for(const Now& one) const {
    const WithoutGil released;
    try {
      const cuda::OnDevice on(device_);
      if (cuda::capturing(one.handle)) return;
      one.handle == own_of_thread() ? cuda::wait_for_all() : cuda::wait(one.handle);
    } catch (const Error&) {  // nothing runs there any more, or nothing can be waited for
    }
  }

  int device_;
  pybind11::function current_;
  pybind11::object& outlives_;
  Now last_{};
  std::vector<Now> replaying_;  // those that have captured something
  bool waits_at_end_ = false;
};

}  // namespace steepest
