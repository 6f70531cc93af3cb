// The few entry points of OpenMP that g++ calls, over std::thread: libgomp's own barriers are
// not instrumented, so that the thread sanitizer would see races everywhere.
#include <omp.h>

#include <thread>
#include <vector>

namespace {
thread_local int number = 0, team = 1;
}

extern "C" {

void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned) {
  std::vector<std::thread> others;
  const auto run = [=](int i) {
    number = i;
    team = static_cast<int>(threads);
    body(data);
    number = 0;
    team = 1;
  };
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(run, static_cast<int>(i));
  run(0);
  for (std::thread& other : others) other.join();
}

int omp_get_thread_num() { return number; }
int omp_get_num_threads() { return team; }
int omp_in_parallel() { return team > 1; }
int omp_get_max_threads() { return 8; }
int omp_get_thread_limit() { return 1024; }
int omp_pause_resource_all(omp_pause_resource_t) { return 0; }
}
