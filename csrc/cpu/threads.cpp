// The thread policy: see threads.hpp.
#include "cpu/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"

#ifdef __linux__
#include <sched.h>
#endif
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__)
#include <pthread.h>
#define STEEPEST_LIBGOMP 1
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace steepest {

namespace {

std::atomic<int> set_threads{0};
std::atomic<bool> flush{false};
std::atomic<int64_t> traffic_of_a_thread{int64_t{1} << 20};
// A region gets a team from 12 times the traffic that is worth a thread, an update from 4 times.
// Two threads take half the time of one at any size. But where others keep a core busy, as NumPy's
// BLAS threads do for a while after a product, a team waits milliseconds for it: below 12 MiB that
// is more than it can gain. So from 4 to 12 MiB both are added up (bench/contention.py).
constexpr int64_t worth_a_team = 12, worth_an_account = 4;
// From 12 MiB on, an update gets a team if it gains more than the last team waited. Each step that
// takes one thread instead lowers the wait that is expected to 0.7 of it, so that a team is tried
// again: with 0.9 one chance wait of 4 ms would cost 24 steps of 1 M elements, with 0.7 it costs 7.
constexpr double seconds_a_thread = 42e-6;  // for the traffic that is worth one: 1 MiB at 25 GB/s
std::atomic<double> last_wait{0}, patience{1};
// From 4 to 12 MiB, the teams of all plans keep one account: what they gained, less what they
// waited. While it is overdrawn, a step takes one thread and pays in a 16th of its time, so that a
// team is tried again; where every team waits, no more than that 16th is lost. A full account
// outlasts one chance wait; what it opens with, the start of the threads.
constexpr double full = 5e-3, deepest = -0.1, at_first = 1e-3;
std::atomic<double> account{at_first};

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

// Processors that one control group allows, by version 2 or 1; 0 without a quota.
double quota_of(const std::string& group) {
  double quota = 0, period = 0;
  std::sscanf(text_of(group + "/cpu.max").c_str(), "%lf %lf", &quota, &period);  // or "max ..."
  if (period <= 0) {
    quota = std::atof(text_of(group + "/cpu.cfs_quota_us").c_str());  // without one -1
    period = std::atof(text_of(group + "/cpu.cfs_period_us").c_str());
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

int cgroup_quota(const std::string& root) {
  double least = 0;
  const std::string groups = text_of(root + "/proc/self/cgroup");
  for (size_t at = 0, end; at < groups.size(); at = end + 1) {  // number:controllers:path
    end = std::min(groups.find('\n', at), groups.size());
    const std::string line = groups.substr(at, end - at);
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
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
  return least > 0 ? std::max(1, static_cast<int>(least)) : 0;
}

ThreadLimits thread_limits(const std::string& root) {
  return {set_threads.load(std::memory_order_relaxed), affinity(), cgroup_quota(root),
          openmp_limit()};
}

int threads_allowed(const ThreadLimits& limits) {
  if (limits.set > 0) return limits.set;
  int n = std::max(1, limits.affinity);
  if (limits.quota > 0) n = std::min(n, limits.quota);
  if (limits.openmp > 0) n = std::min(n, limits.openmp);
  return std::min(n, max_threads);
}

int get_num_threads() {
  const int set = set_threads.load(std::memory_order_relaxed);
  if (set > 0) return set;
  static const int quota = cgroup_quota("");  // read once: a dozen files
  return threads_allowed({0, affinity(), quota, openmp_limit()});
}

void set_num_threads(int64_t n) {
  if (n < 0 || n > max_threads)
    throw Error(ErrorKind::value, "n: " + std::to_string(n) + " is not allowed; allowed is 1 to " +
                                      std::to_string(max_threads) + ", or None");
  set_threads = static_cast<int>(n);
}

namespace {

int64_t worth(int64_t bytes) { return bytes / bytes_per_thread(); }

int team([[maybe_unused]] int64_t bytes, [[maybe_unused]] int64_t least) {
#ifdef _OPENMP
  if (worth(bytes) < least || omp_in_parallel()) return 1;
  return static_cast<int>(std::min<int64_t>(worth(bytes), get_num_threads()));
#else
  return 1;
#endif
}

double seconds_alone(int64_t bytes) {
  const double from_memory = static_cast<double>(worth(bytes)) * seconds_a_thread;
  return worth(bytes) < worth_a_team ? from_memory / 2 : from_memory;  // from a cache
}

double gain(int64_t bytes, int threads) { return seconds_alone(bytes) * (1 - 1.0 / threads); }

}  // namespace

int threads_for(int64_t bytes) { return team(bytes, worth_a_team); }

int threads_now(int64_t bytes) {
  const int n = team(bytes, worth_an_account);
  if (n == 1) return 1;
  if (worth(bytes) < worth_a_team) {
    if (account >= 0) return n;
    account = account + seconds_alone(bytes) / 16;
    return 1;
  }
  if (expected_wait() <= gain(bytes, n)) return n;
  patience = 0.7 * patience;
  return 1;
}

void settle(int64_t bytes, int threads, double waited) {
  if (threads > 1 && worth(bytes) < worth_a_team)
    account = std::clamp(account + gain(bytes, threads) - waited, deepest, full);
}

double teams_account() { return account; }

void reset_account() { account = at_first; }

void note_wait(double seconds) {
  last_wait = seconds;
  patience = 1;
}

double expected_wait() { return patience * last_wait; }

int64_t bytes_per_thread() { return traffic_of_a_thread.load(std::memory_order_relaxed); }

void set_bytes_per_thread(int64_t bytes) { traffic_of_a_thread = std::max<int64_t>(1, bytes); }

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

// --- floating-point mode ---

namespace {

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

FloatMode::FloatMode() : before_(read_mode()) {
  const uint64_t wanted = wanted_mode();
  if ((before_ & ~sticky) != wanted) write_mode(wanted);
}

// Writes only if the mode differs, exception flags included: those raised in the region are
// dropped.
FloatMode::~FloatMode() {
  if (read_mode() != before_) write_mode(before_);
}

}  // namespace steepest
