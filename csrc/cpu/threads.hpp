// How many threads a region may have, the region itself, and its floating-point mode.
//
// The number of threads is what set_num_threads says; else the least of the CPU affinity (asked
// anew each time), the container's CPU quota, and OpenMP's own limit where it was set. It is one
// inside another region, as nested teams would only wait for each other, and one for little
// traffic.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace steepest {

// Where a limit is absent it is 0.
struct ThreadLimits {
  int set;       // by set_num_threads
  int affinity;  // processors that the calling thread may run on
  int quota;     // of the container, in whole processors
  int openmp;    // OMP_NUM_THREADS, omp_set_num_threads, OMP_THREAD_LIMIT
};

// root: the folder that holds proc and sys; another one in tests.
ThreadLimits thread_limits(const std::string& root);
// Processors that this process's control group and its parents allow; 0 without a quota. Rounded
// down, but at least one: a team waits for the slowest of its threads, which a quota cuts off.
int cgroup_quota(const std::string& root);
int threads_allowed(const ThreadLimits& limits);

int get_num_threads();
// 0: by the limits again. More than max_threads is an Error.
void set_num_threads(int64_t n);
constexpr int max_threads = 1024;  // libgomp ends the process where the system gives no more

// Threads for a region that moves so many bytes through memory.
int threads_for(int64_t bytes);
// Threads for an update, which gets a team from a third of that traffic on. One thread, though, if
// the last team waited longer for its threads than this one would gain; and with too little traffic
// for threads_for, if such teams have waited longer than they gained so far.
int threads_now(int64_t bytes);
// Adds what a team of threads_now gained, less the seconds that it waited, to that account.
void settle(int64_t bytes, int threads, double waited);
// The account in seconds, and a new start, for tests.
double teams_account();
void reset_account();
// The traffic that is worth a thread; settable for tests.
int64_t bytes_per_thread();
void set_bytes_per_thread(int64_t bytes);

// Notes how long, in seconds, the calling thread of a team waited for the others at its end.
void note_wait(double seconds);
// How long the next team is expected to wait: as long as the last one, and less after each team
// that was not formed because of it.
double expected_wait();

// Without it a child that is forked after a region waits forever for threads it does not have.
void make_forks_safe();

// Flush denormals to zero inside regions from now on: faster where processors are slow on them,
// but no longer the same bits on every machine.
void set_flush_denormals(bool on);
bool flush_denormals();

// The floating-point mode of a region while this lives: IEEE rounding, no traps, denormals kept or
// flushed as set, whatever the thread came with, so that every thread computes the same.
class FloatMode {
 public:
  FloatMode();
  ~FloatMode();
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  uint64_t before_;
};

// f(thread, team) on each thread of a team of at most so many; f must not throw. Returns how long,
// in seconds, the calling thread waited for the others at the end.
template <class F>
double in_parallel([[maybe_unused]] int threads, const F& f) {
#ifdef _OPENMP
  if (threads > 1) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point done;  // by the calling thread
#pragma omp parallel num_threads(threads)
    {
      const FloatMode mode;
      f(omp_get_thread_num(), omp_get_num_threads());
      if (omp_get_thread_num() == 0) done = Clock::now();
    }
    const double waited = std::chrono::duration<double>(Clock::now() - done).count();
    note_wait(waited);
    return waited;
  }
#endif
  const FloatMode mode;
  f(0, 1);
  return 0;
}

}  // namespace steepest
