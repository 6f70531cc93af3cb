#include "cpu/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef __linux__
#include <sched.h>
#endif
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__)
#include <pthread.h>
#define STEEPEST_LIBGOMP 1
#endif

namespace steepest {

namespace {

std::atomic<int> set_threads{0};

#ifdef _OPENMP
// Where nobody has set it, OpenMP's limit is the affinity of the time when it was loaded. That is
// not taken for a limit, since the affinity may have changed.
const int openmp_at_load = omp_get_max_threads();
const bool openmp_named = std::getenv("OMP_NUM_THREADS") != nullptr;
#endif

int openmp_limit() {
#ifdef _OPENMP
  const int most = omp_get_max_threads(), total = omp_get_thread_limit();
  if (openmp_named || most != openmp_at_load) return std::min(most, total);
  return total < max_threads ? total : 0;
#else
  return 1;
#endif
}

int affinity() {
#ifdef __linux__
  using Word = unsigned long;
  for (size_t words = 16; words <= 4096; words *= 4) {  // the kernel refuses a mask too short
    std::vector<Word> mask(words);
    const size_t bytes = words * sizeof(Word);
    if (sched_getaffinity(0, bytes, reinterpret_cast<cpu_set_t*>(mask.data())) == 0)
      return CPU_COUNT_S(bytes, reinterpret_cast<cpu_set_t*>(mask.data()));
  }
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

// A file's text, empty where it cannot be read. Not by std::ifstream: where the C++ library is
// linked into this module, its streams find the facets of NumPy's, and reading a number crashes.
std::string text_of(const std::string& path) {
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (!file) return text;
  char part[1024];
  for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, n);
  std::fclose(file);
  return text;
}

// Processors that one control group allows, by version 2 or 1; not positive without a quota.
double quota_of(const std::string& group) {
  double quota = 0, period = 0;
  std::sscanf(text_of(group + "/cpu.max").c_str(), "%lf %lf", &quota, &period);  // or "max ..."
  if (period <= 0) {
    quota = std::atof(text_of(group + "/cpu.cfs_quota_us").c_str());  // without one -1
    period = std::atof(text_of(group + "/cpu.cfs_period_us").c_str());
  }
  return period > 0 ? quota / period : 0;
}

}  // namespace

int cgroup_quota(const std::string& root) {
  double least = 0;
  const std::string groups = text_of(root + "/proc/self/cgroup");
  for (size_t at = 0, end; at < groups.size(); at = end + 1) {  // number:controllers:path
    end = std::min(groups.find('\n', at), groups.size());
    const std::string line = groups.substr(at, end - at);
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && ("," + controllers + ",").find(",cpu,") == std::string::npos)
      continue;
    // The mount points: version 2 alone, version 2 beside version 1, version 1 under two names.
    for (const std::string& mount :
         {std::string(), std::string("/unified"), std::string("/cpu"), "/" + controllers}) {
      for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
        const double quota = quota_of(root + "/sys/fs/cgroup" + mount + path);
        if (quota > 0) least = least > 0 ? std::min(least, quota) : quota;
        if (path.rfind('/') == std::string::npos) break;
      }
    }
  }
  return least > 0 ? static_cast<int>(std::clamp<double>(least, 1, max_threads)) : 0;
}

ThreadLimits thread_limits(const std::string& root) {
  return {set_threads.load(std::memory_order_relaxed), affinity(), cgroup_quota(root),
          openmp_limit()};
}

int threads_allowed([[maybe_unused]] const ThreadLimits& limits) {
#ifndef _OPENMP
  return 1;
#endif
  if (limits.set > 0) return limits.set;
  int n = std::max(1, limits.affinity);
  if (limits.quota > 0) n = std::min(n, limits.quota);
  if (limits.openmp > 0) n = std::min(n, limits.openmp);
  return std::min(n, max_threads);
}

int get_num_threads() {
#ifndef _OPENMP
  return 1;
#endif
  const int set = set_threads.load(std::memory_order_relaxed);
  if (set > 0) return set;
  static const int quota = cgroup_quota("");  // read once: a dozen files
  return threads_allowed({0, affinity(), quota, openmp_limit()});
}

void set_num_threads(int n) { set_threads = n; }

void make_forks_safe() {
#ifdef STEEPEST_LIBGOMP
  // libgomp's team survives a fork in name only. Dismissing it first lets parent and child make
  // teams of their own (libomp does so itself); only the forking thread's team is concerned.
  static std::once_flag once;
  std::call_once(once, [] {
    pthread_atfork([] { omp_pause_resource_all(omp_pause_soft); }, nullptr, nullptr);
  });
#endif
}

}  // namespace steepest
