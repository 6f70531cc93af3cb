// The distances: by measurement, see bench/RESULTS.md.
#include "cpu/fetch_ahead.hpp"

namespace steepest {

namespace {

FetchAhead measured() {
#if defined(__x86_64__) && defined(__GNUC__)
  // Two cores of a Xeon with AVX-512 gain 2 to 10 % on rules alone, 10 to 30 % on stages, and half
  // of the norm's time; nothing is lost in cache. From 512 bytes on some rules alone fall to as
  // little as half their speed. On Zen 5 sgd and adamax lost 4 %, so there it stays off.
  __builtin_cpu_init();
  if (__builtin_cpu_is("intel")) return {448, 3072, 8192};
#endif
  return {0, 0, 0};
}

}  // namespace

FetchAhead fetch_ahead = measured();

}  // namespace steepest
