// How many threads a region may have at most.
//
// The number of threads is what set_num_threads says; else the least of the CPU affinity (asked
// anew each time), the container's CPU quota, and OpenMP's own limit where it was set.
#pragma once
#include <string>

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
// 0: by the limits again. At most max_threads.
void set_num_threads(int n);
constexpr int max_threads = 1024;  // libgomp ends the process where the system gives no more

// Without it a child that is forked after a region waits forever for threads it does not have.
void make_forks_safe();

}  // namespace steepest
