#include "linalg/blas_threads.hpp"

#include <atomic>
#include <mutex>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define STEEPEST_FORKS 1
#endif

namespace steepest::linalg {

namespace {

// If several threads limit OpenBLAS at once, the last one to leave lifts the limit.
std::mutex mutex;
int inside = 0, before_all = 0;
thread_local int mine = 0;  // of this thread, among those inside

#ifdef STEEPEST_FORKS
// The child of a fork lacks the other threads that were inside, and that were to restore BLAS's
// number of threads. It restores the number itself, but only when it comes here: setting it starts
// the threads.
std::atomic<int> owed{0};

void in_child() {
  if (inside > 0 && mine == 0 && before_all > 1) owed = before_all;
  inside = mine;
  mutex.unlock();
}

[[maybe_unused]] const int registered =
    pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, in_child);

void give_back(const BlasThreads& blas) {
  if (owed == 0) return;
  const std::lock_guard<std::mutex> lock(mutex);
  if (const int threads = owed.exchange(0)) blas.set(threads);
}
#else
void give_back(const BlasThreads&) {}
#endif

}  // namespace

BlasThreads& blas_threads() {
  static BlasThreads threads;
  return threads;
}

OneBlasThread::OneBlasThread(bool small) {
  const BlasThreads& blas = blas_threads();
  give_back(blas);
  wanted_ = small || (blas.get && blas.get() == 2);
  if (!wanted_) return;
  if (blas.set_local) {
    before_ = blas.set_local(1);
  } else if (blas.set) {
    const std::lock_guard<std::mutex> lock(mutex);
    ++mine;
    if (inside++ > 0) return;
    before_all = blas.get();
    if (before_all > 1) blas.set(1);
  }
}

OneBlasThread::~OneBlasThread() {
  const BlasThreads& blas = blas_threads();
  if (!wanted_) return;
  if (blas.set_local) {
    blas.set_local(before_);
  } else if (blas.set) {
    const std::lock_guard<std::mutex> lock(mutex);
    --mine;
    if (--inside == 0 && before_all > 1) blas.set(before_all);
  }
}

}  // namespace steepest::linalg
