// Which regions get a team of threads, and the region itself.
//
// A region gets one thread inside another region, as nested teams would only wait for each other,
// and for little traffic.
#pragma once
#include <chrono>
#include <cstdint>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "core/float_mode.hpp"

namespace steepest {

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
