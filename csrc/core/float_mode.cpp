#include "core/float_mode.hpp"

#include <atomic>
#include <cfloat>

#include "core/error.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace steepest {

static_assert(FLT_EVAL_METHOD == 0,
              "expressions are rounded to more digits than their type has, as by the x87: "
              "on x86 set CXXFLAGS to -msse2 -mfpmath=sse");

namespace {

std::atomic<bool> flush{false};

#if defined(__SSE2__)
constexpr uint64_t ieee = 0x1f80, flushing = 0x8040;  // all traps masked; FTZ and DAZ
constexpr uint64_t sticky = 0x3f;
uint64_t read_mode() { return _mm_getcsr(); }
void write_mode(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
constexpr uint64_t ieee = 0, flushing = uint64_t{1} << 24;  // FZ
constexpr uint64_t sticky = 0;
uint64_t read_mode() {
  uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void write_mode(uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
constexpr uint64_t ieee = 0, flushing = 0, sticky = 0;
uint64_t read_mode() { return 0; }
void write_mode(uint64_t) {}
#endif

uint64_t wanted_mode() { return flush_denormals() ? ieee | flushing : ieee; }

}  // namespace

void set_flush_denormals(bool on) {
  if (on && flushing == 0)
    throw Error(ErrorKind::backend, "set_flush_denormals: this processor has no known flush mode");
  flush = on;
}

bool flush_denormals() { return flush.load(std::memory_order_relaxed); }

uint64_t FloatMode::of_this_thread() { return read_mode() & ~sticky; }

FloatMode::FloatMode() : FloatMode(wanted_mode()) {}
FloatMode::FloatMode(uint64_t mode) : before_(read_mode()) {
  if ((before_ & ~sticky) != mode) write_mode(mode);
}

// Writes only if the mode differs, exception flags included: those raised in the region are
// dropped.
FloatMode::~FloatMode() {
  if (read_mode() != before_) write_mode(before_);
}

}  // namespace steepest
