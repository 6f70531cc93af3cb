// How far ahead to fetch, by processor. The distances were measured: bench/TRIED.md.
#include "cpu/fetch_ahead.hpp"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace steepest {

namespace {

#ifdef __x86_64__
// Zen 3 and Zen 4, of which only Zen 4 has AVX-512. __builtin_cpu_is knows "znver4" from gcc 13 on
// only.
bool is_zen3_or_4() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__builtin_cpu_is("amd") || !__get_cpuid(1, &a, &b, &c, &d)) return false;
  return (a >> 8 & 0xf) + (a >> 20 & 0xff) == 0x19;
}
#endif

FetchAhead measured() {
#ifdef __x86_64__
  __builtin_cpu_init();
  // Two cores of a Xeon with AVX-512. Fetching into L1 gains 2 to 10 % on rules without stages, 10
  // to 30 % on stages, and half of the norm's time; fetching into L2 as well gains up to 12 % more
  // on rules without stages. From 512 bytes into L1 on, some of these rules fall to as little as
  // half their speed.
  if (__builtin_cpu_is("intel")) {
    return {{448, 1536, 4}, {1024, 2048, 4}, {1024, 16384, 0}, 0};
  }
  // Zen 4. Beyond the 32 MB cache, rules with two or more states gain 7 to 15 %, those with fewer
  // gain nothing; stages gain 10 to 30 % (with two or more states from 12 MiB on), the norm
  // nothing. Within the cache light rules lose up to a quarter, with and without stages. With two
  // or more states, two lines at a time are 5 % better than four.
  if (is_zen3_or_4() && __builtin_cpu_supports("avx512f")) {
    return {{2048, 8192, 2}, {2048, 8192, 2}, {0, 0, 0}, 24 << 20};
  }
  // Zen 3. Stages gain 7 to 20 % beyond the cache, rules without stages 2 to 8 % in the middle, and
  // nothing by Zen 4's distances.
  if (is_zen3_or_4()) return {{1024, 0, 2}, {1024, 0, 2}, {0, 0, 0}, 24 << 20};
  // On Zen 5 sgd and adamax lost 4 % with 448 bytes into L1; nothing else was tried there.
#endif
  return {};
}

}  // namespace

FetchAhead fetch_ahead = measured();

}  // namespace steepest
