// The distances: by measurement, see bench/RESULTS.md.
#include "cpu/fetch_ahead.hpp"

namespace steepest {

namespace {

FetchAhead measured() {
#if defined(__x86_64__) && defined(__GNUC__)
  // Two cores of a Xeon with AVX-512 gain 5 to 25 % on rules alone, 10 to 30 % on stages, and half
  // of the norm's time; nothing is lost in cache. Into L1 from 512 bytes on some rules alone fall
  // to as little as half their speed; into L2 none does. On Zen 5 sgd and adamax lost 4 % by
  // fetching into L1, so there it stays off.
  __builtin_cpu_init();
  if (__builtin_cpu_is("intel")) return {{448, 1536}, {1024, 2048}, {1024, 16384}};
#endif
  return {};
}

}  // namespace

FetchAhead fetch_ahead = measured();

}  // namespace steepest
