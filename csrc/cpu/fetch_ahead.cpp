// The distances: by measurement, see bench/RESULTS.md.
#include "cpu/fetch_ahead.hpp"

namespace steepest {

namespace {

FetchAhead measured() {
#if defined(__x86_64__) && defined(__GNUC__)
  // By fetching into L1 two cores of a Xeon with AVX-512 gain 2 to 10 % on rules alone, 10 to 30 %
  // on stages, and half of the norm's time; into L2 as well, up to 12 % more on rules alone. From
  // 512 bytes on into L1 some rules alone fall to as little as half their speed. On Zen 5 sgd and
  // adamax lost 4 % by fetching into L1, so there it stays off.
  __builtin_cpu_init();
  if (__builtin_cpu_is("intel")) return {{448, 1536}, {1024, 2048}, {1024, 16384}};
#endif
  return {};
}

}  // namespace

FetchAhead fetch_ahead = measured();

}  // namespace steepest
