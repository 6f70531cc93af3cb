// Which SIMD levels there are, and which is in use.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cpu/level.hpp"

namespace steepest {

namespace base {
extern const Level kernels;
}
#ifdef STEEPEST_X86_LEVELS
namespace avx2 {
extern const Level kernels;
}
namespace avx512 {
extern const Level kernels;
}
#endif

namespace {

struct Named {
  const char* name;
  const Level* level;
};

const std::vector<Named>& levels() {
  static const std::vector<Named> all = [] {
    std::vector<Named> found{{"base", &base::kernels}};
#ifdef STEEPEST_X86_LEVELS
    if (__builtin_cpu_supports("avx2")) found.push_back({"avx2", &avx2::kernels});
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      found.push_back({"avx512", &avx512::kernels});
#endif
    return found;
  }();
  return all;
}

std::atomic<const Named*> in_use{nullptr};

const Named& find(const char* name) {
  std::string allowed;
  for (const Named& one : levels()) {
    if (std::strcmp(one.name, name) == 0) return one;
    allowed += std::string(allowed.empty() ? "'" : ", '") + one.name + "'";
  }
  throw Error(ErrorKind::value, std::string("STEEPEST_SIMD: '") + name +
                                    "' is not allowed; allowed is one of " + allowed);
}

const Named& current() {
  const Named* now = in_use.load(std::memory_order_acquire);
  if (now) return *now;
  const char* wanted = std::getenv("STEEPEST_SIMD");
  const Named& chosen = wanted && *wanted ? find(wanted) : levels().back();
  in_use.store(&chosen, std::memory_order_release);
  return chosen;
}

}  // namespace

const Level& level() { return *current().level; }
void set_level(const char* name) { in_use.store(&find(name), std::memory_order_release); }
const char* level_in_use() { return current().name; }
std::vector<const char*> level_names() {
  std::vector<const char*> names;
  for (const Named& one : levels()) names.push_back(one.name);
  return names;
}

}  // namespace steepest
