#include "linalg/blas_threads.hpp"

#include <mutex>

namespace steepest::linalg {

namespace {

// Where several threads limit OpenBLAS at once, the last one to leave lifts the limit.
std::mutex mutex;
int inside = 0, before_all = 0;

}  // namespace

BlasThreads& blas_threads() {
  static BlasThreads threads;
  return threads;
}

OneBlasThread::OneBlasThread(bool small) {
  const BlasThreads& blas = blas_threads();
  wanted_ = small || (blas.get && blas.get() == 2);
  if (!wanted_) return;
  if (blas.set_local) {
    before_ = blas.set_local(1);
  } else if (blas.set) {
    const std::lock_guard<std::mutex> lock(mutex);
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
    if (--inside == 0 && before_all > 1) blas.set(before_all);
  }
}

}  // namespace steepest::linalg
