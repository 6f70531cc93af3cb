// Limits BLAS to one thread while a call is small: its threads would cost more than they save, and
// would compete with the thread pools of NumPy's BLAS and of others.
//
// NumPy has its own copy of OpenBLAS, whose threads spin for a tenth of a second after a product in
// the user's functions. On two cores, dsyrk of 20,000 x 500 took 57 ms with two threads and 78 with
// one; right after such a product, 98 to 120 with two and 77 with one. So where BLAS would take two
// threads it gets one. More cores were not tried.
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
  // small: too small for threads to pay.
  explicit OneBlasThread(bool small);
  OneBlasThread(const OneBlasThread&) = delete;
  OneBlasThread& operator=(const OneBlasThread&) = delete;
  ~OneBlasThread();

 private:
  bool wanted_ = false;
  int before_ = 0;
};

}  // namespace steepest::linalg
