// One thread for BLAS while a call is small: its threads then cost more than they save, and wake
// up beside the pools of NumPy's BLAS and of others.
#pragma once

namespace steepest::linalg {

// What a BLAS library offers; all null where it is not known, and nothing is limited then.
struct BlasThreads {
  int (*get)() = nullptr;           // OpenBLAS: for the whole process
  void (*set)(int) = nullptr;       // the same
  int (*set_local)(int) = nullptr;  // MKL: for this thread, answers with the limit before
};

// Filled by the bindings, once.
BlasThreads& blas_threads();

class OneBlasThread {
 public:
  explicit OneBlasThread(bool wanted);
  OneBlasThread(const OneBlasThread&) = delete;
  OneBlasThread& operator=(const OneBlasThread&) = delete;
  ~OneBlasThread();

 private:
  bool wanted_;
  int before_ = 0;
};

}  // namespace steepest::linalg
