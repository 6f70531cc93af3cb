#include "cpu/teams.hpp"

#include <algorithm>
#include <atomic>

#include "cpu/threads.hpp"

namespace steepest {

namespace {

std::atomic<int64_t> traffic_of_a_thread{int64_t{1} << 20};
// A region gets a team from 12 times the traffic that is worth a thread, an update from 4 times.
// Two threads take half the time of one at any size. But where others keep a core busy, as NumPy's
// BLAS threads do for a while after a product, a team waits milliseconds for it: below 12 MiB that
// is more than it can gain. So from 4 to 12 MiB both are added up (bench/contention.py).
constexpr int64_t worth_a_team = 12, worth_an_account = 4;
constexpr double seconds_a_thread = 42e-6;  // for the traffic that is worth one: 1 MiB at 25 GB/s
// From 12 MiB on, an update gets a team if it gains more than the last team waited. Each step that
// takes one thread instead lowers the wait that is expected to 0.7 of it, so that a team is tried
// again: with 0.9 one chance wait of 4 ms would cost 24 steps of 1 M elements, with 0.7 it costs 7.
std::atomic<double> expected{0};
// From 4 to 12 MiB, the teams of all plans keep one account, in seconds: what they gained, less
// what they waited. While it is overdrawn, a step takes one thread and pays in a 16th of the time
// that it takes, so that a team is tried again after a while; where every team waits, no more than
// that 16th is lost.
constexpr double full = 5e-3;      // the most that is saved up: enough for one chance wait
constexpr double deepest = -0.1;   // the most that is owed
constexpr double at_first = 1e-3;  // pays for the start of the threads
std::atomic<double> account{at_first};

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
  if (expected <= gain(bytes, n)) return n;
  expected = 0.7 * expected;
  return 1;
}

void settle(int64_t bytes, int threads, double waited) {
  if (threads > 1 && worth(bytes) < worth_a_team)
    account = std::clamp(account + gain(bytes, threads) - waited, deepest, full);
}

double teams_account() { return account; }

void reset_account() { account = at_first; }

void note_wait(double seconds) { expected = seconds; }

double expected_wait() { return expected; }

int64_t bytes_per_thread() { return traffic_of_a_thread.load(std::memory_order_relaxed); }

void set_bytes_per_thread(int64_t bytes) { traffic_of_a_thread = bytes; }

}  // namespace steepest
