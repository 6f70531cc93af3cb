// Which SIMD levels there are, and which is in use.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.hpp"
#include "cpu/level.hpp"

namespace steepest {

namespace {

struct Named {
  const char* name;
  SimdLevel level;
  const Level* kernels;

  template <class Tag>
  Named(const char* level_name, Tag tag)
      : name(level_name), level(tag), kernels(&update_kernels(tag)) {}
};

const std::vector<Named>& levels() {
  static const std::vector<Named> all = [] {
    std::vector<Named> found{{"base", simd::base{}}};
#ifdef STEEPEST_X86_LEVELS
    if (__builtin_cpu_supports("avx2")) found.emplace_back("avx2", simd::avx2{});
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      found.emplace_back("avx512", simd::avx512{});
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
                                    "' is not allowed; expected one of " + allowed);
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

const Level& level() { return *current().kernels; }
SimdLevel simd_level() { return current().level; }
void set_level(const char* name) { in_use.store(&find(name), std::memory_order_release); }
const char* level_in_use() { return current().name; }
std::vector<const char*> level_names() {
  std::vector<const char*> names;
  for (const Named& one : levels()) names.push_back(one.name);
  return names;
}

}  // namespace steepest
