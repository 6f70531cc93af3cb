// The distances: by measurement, see bench/RESULTS.md.
#include "cpu/fetch_ahead.hpp"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace steepest {

namespace {

#ifdef __x86_64__
// Family 0x19 is Zen 3 and Zen 4; the latter has AVX-512. Compilers know its name since gcc 13.
bool is_zen4() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__builtin_cpu_is("amd") || !__get_cpuid(1, &a, &b, &c, &d)) return false;
  const unsigned family = (a >> 8 & 0xf) + (a >> 20 & 0xff);
  return family == 0x19 && __builtin_cpu_supports("avx512f");
}
#endif

FetchAhead measured() {
#ifdef __x86_64__
  __builtin_cpu_init();
  // By fetching into L1 two cores of a Xeon with AVX-512 gain 2 to 10 % on rules alone, 10 to 30 %
  // on stages, and half of the norm's time; into L2 as well, up to 12 % more on rules alone. From
  // 512 bytes on into L1 some rules alone fall to as little as half their speed.
  if (__builtin_cpu_is("intel")) {
    return {{448, 1536, 4}, {1024, 2048, 4}, {1024, 16384, 0}, 0};
  }
  // Rules of two states and more gain 7 to 15 % beyond the 32 MB cache, where one or none gain
  // nothing; stages gain 10 to 30 %, from 12 MiB on with two states and more, the norm nothing.
  // Within it light rules lose up to a quarter, with stages as alone. Two lines at a time are 5 %
  // better than four with two states and more.
  if (is_zen4()) return {{2048, 8192, 2}, {2048, 8192, 2}, {0, 0, 0}, 24 << 20};
  // On Zen 5 sgd and adamax lost 4 % at 448 bytes into L1; more was not tried there.
#endif
  return {};
}

}  // namespace

FetchAhead fetch_ahead = measured();

}  // namespace steepest
