// The floating-point mode of parallel regions.
#pragma once
#include <cstdint>

namespace steepest {

// Flush denormals to zero inside regions from now on: faster where processors are slow on them,
// but no longer the same bits on every machine.
void set_flush_denormals(bool on);
bool flush_denormals();

// Sets the floating-point mode for as long as it lives, so that all threads compute the same.
class FloatMode {
 public:
  // IEEE rounding, no traps, denormals kept or flushed as set, whatever the thread had before.
  FloatMode();
  // That of another thread.
  explicit FloatMode(uint64_t mode);
  static uint64_t of_this_thread();
  ~FloatMode();
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  uint64_t before_;
};

}  // namespace steepest
