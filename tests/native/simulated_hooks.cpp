// The simulated device's settings, for tests in Python: by ctypes, from the module built over it.
#include <utility>

#include "simulated.hpp"

using steepest::cuda::simulated::settings;

extern "C" {

void simulated_capture(int on, void* stream) {
  settings.capturing = on != 0;
  settings.captured = stream;
  if (on) settings.graph.clear();
}
void simulated_replay(void* stream) { steepest::cuda::simulated::replay(stream); }
void simulated_capture_elsewhere(int on) { settings.capture_elsewhere = on != 0; }
void simulated_lazy(int on) { settings.lazy = on != 0; }
void simulated_give(void* stream, void (*run)(void*), void* with) {
  steepest::cuda::simulated::give(stream, [=] { run(with); });
}
void simulated_drain(void* stream) { steepest::cuda::simulated::drain(stream); }
void simulated_drain_all() { steepest::cuda::simulated::drain_all(); }
void simulated_fail_after(int64_t launches) { settings.fail_after = launches; }
// The only stream that was used since the last call; -1 where there were several, or none.
int64_t simulated_only_stream() {
  auto& streams = settings.streams;
  const int64_t only = streams.size() == 1 ? reinterpret_cast<int64_t>(*streams.begin()) : -1;
  streams.clear();
  return only;
}
// Launches, copies and waits since the last call that were asked for by who held the GIL.
int64_t simulated_asked_with_gil() { return std::exchange(settings.asked_with_gil, 0); }
void simulated_no_device(const char* text) { settings.no_device = text; }

}  // extern "C"
