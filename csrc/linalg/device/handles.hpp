// Handles of cuBLAS and cuSOLVER, and memory that host and device share. Making a set takes
// milliseconds and memory, so a solver borrows one and gives it back for the next. Sets live as
// long as the process.
#pragma once
#include <map>
#include <mutex>
#include <vector>

#include "core/device.hpp"
#include "linalg/device/libraries.hpp"

namespace steepest::linalg {

struct Handles {
  static constexpr int64_t shared_bytes = 1 << 16;

  void *cublas = nullptr, *cusolver = nullptr, *params = nullptr;
  void* shared = nullptr;  // the host's and the device's

  void set_stream(void* stream) const {
    check_cublas(libraries().cublas_set_stream(cublas, stream), "cublasSetStream");
    check_cusolver(libraries().cusolver_set_stream(cusolver, stream), "cusolverDnSetStream");
  }
};

// A set for the current device, which is `device`.
class BorrowedHandles {
 public:
  explicit BorrowedHandles(int device) : device_(device) {
    take();
    try {
      complete();
    } catch (...) {
      put_back();  // what there is of it, for the next try
      throw;
    }
  }
  ~BorrowedHandles() { put_back(); }
  BorrowedHandles(const BorrowedHandles&) = delete;
  BorrowedHandles& operator=(const BorrowedHandles&) = delete;

  const Handles* operator->() const { return &handles_; }

 private:
  void take() {
    const std::lock_guard<std::mutex> lock(mutex());
    std::vector<Handles>& free = shelf()[device_];
    if (free.empty()) return;
    handles_ = free.back();
    free.pop_back();
  }
  void put_back() {
    const std::lock_guard<std::mutex> lock(mutex());
    shelf()[device_].push_back(handles_);
  }
  void complete() {
    const Libraries& l = libraries();
    Handles& h = handles_;
    if (!h.shared) h.shared = cuda::shared_memory(Handles::shared_bytes);
    make(h.cublas, l.cublas_create, check_cublas, "cublasCreate");
    make(h.cusolver, l.cusolver_create, check_cusolver, "cusolverDnCreate");
    make(h.params, l.cusolver_create_params, check_cusolver, "cusolverDnCreateParams");
  }
  // Kept only where it was made: a library may leave something there when it fails.
  static void make(void*& handle, int (*create)(void**), void (*check)(int, const char*),
                   const char* name) {
    if (handle) return;
    void* made = nullptr;
    check(create(&made), name);
    handle = made;
  }
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static std::map<int, std::vector<Handles>>& shelf() {
    static auto* kept = new std::map<int, std::vector<Handles>>;  // not freed: CUDA may end first
    return *kept;
  }

  int device_;
  Handles handles_;
};

}  // namespace steepest::linalg
