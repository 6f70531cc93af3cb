// The memory of one CUDA device, with loops over it and the calls to cuBLAS and cuSOLVER. All of it
// goes to one stream; only download and sum wait for the device.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/device.hpp"
#include "core/error.hpp"
#include "linalg/dense/space.hpp"
#include "linalg/device/constants.hpp"
#include "linalg/device/handles.hpp"
#include "linalg/device/launch.hpp"
#include "linalg/device/libraries.hpp"

namespace steepest::linalg {

// Memory of the device until the last owner is gone.
using Allocator = std::function<std::shared_ptr<void>(int64_t bytes)>;

// The device's memory of `size` elements; moved, never copied.
template <class T>
class DeviceVector {
 public:
  DeviceVector() = default;
  DeviceVector(DeviceVector&&) = default;
  DeviceVector& operator=(DeviceVector&&) = default;

  int64_t size() const { return size_; }
  T* data() const { return static_cast<T*>(memory_.get()); }

 private:
  template <class>
  friend class DeviceSpace;
  std::shared_ptr<void> memory_;
  int64_t size_ = 0, room_ = 0;  // room in bytes
};

template <class T>
class DeviceSpace {
 public:
  using Vector = DeviceVector<T>;
  using Doubles = DeviceVector<double>;

  DeviceSpace(int device, Allocator allocate)
      : allocate_(std::move(allocate)), handles_(std::make_unique<BorrowedHandles>(device)) {}

  // Work from here on goes to this stream, after all the work before. of_another_thread: the work
  // before went to the default stream of another thread. That has the same handle as this thread's,
  // and so cannot be waited for alone.
  void use(cuda::Stream stream, bool of_another_thread = false) {
    if (started_ && stream == stream_ && !of_another_thread) return;
    moved_ = started_;
    if (of_another_thread) {
      cuda::wait_for_all();
    } else if (started_) {
      if (cuda::capturing(stream_)) {
        throw Error(ErrorKind::value,
                    "least squares: cannot go on in another stream while the last one is captured "
                    "into a CUDA graph, as that cannot be waited for");
      }
      cuda::wait(stream_);
    }
    stream_ = stream;
    started_ = true;
    (*handles_)->set_stream(stream);
  }

  // Elements keep their values where there is room already.
  template <class U>
  void resize(DeviceVector<U>& v, int64_t n) {
    const int64_t bytes = (n * int64_t{sizeof(U)} + 7) / 8 * 8;  // uploads are by words
    if (bytes > v.room_) {
      // The old memory may be another stream's, on which it would be handed out again at once.
      if (moved_ && v.memory_) cuda::wait(stream_);
      v.memory_.reset();
      v.room_ = v.size_ = 0;
      v.memory_ = allocate_(bytes);
      v.room_ = bytes;
    }
    v.size_ = n;
  }
  template <class U>
  void clear(DeviceVector<U>& v) {
    if (v.size()) cuda::clear(v.data(), v.size() * int64_t{sizeof(U)}, stream_);
  }
  void clear_to(T* to, int64_t n) { cuda::clear(to, n * item, stream_); }
  void copy(const T* from, int64_t m, Vector& to) {
    resize(to, m);
    copy_to(to.data(), from, m);
  }
  void copy_to(T* to, const T* from, int64_t m) { cuda::copy_across(to, from, m * item, stream_); }

  // n elements of the host's.
  template <class U>
  void upload(U* to, const U* from, int64_t n) {
    cuda::write(to, from, n * int64_t{sizeof(U)}, stream_);
  }
  // By way of the shared memory where there is room: to other memory even a copy of a few numbers
  // took 11 to 20 us of the host's time.
  void download(T* to, const T* from, int64_t n) {
    const int64_t bytes = n * item;
    const bool fits = bytes <= Handles::shared_bytes;
    cuda::copy_out(fits ? shared() : to, from, bytes, stream_);
    if (fits) std::memcpy(to, shared(), static_cast<size_t>(bytes));
  }

  template <class Body>
  void each(int64_t n, const Body& body) {
    launch_each(body, n, stream_);
  }

  // Σ term(i) of both, with one wait. The blocks write theirs to the shared memory.
  template <class Term>
  Sums sum(int64_t m, const Term& term) {
    if (m == 0) return {0, 0};
    const int64_t blocks = std::min(sum_blocks, (m + cuda::threads - 1) / cuda::threads);
    auto* partial = static_cast<Sums*>(shared());
    launch_sum(term, m, partial, blocks, stream_);
    cuda::wait(stream_);
    Sums total{0, 0};
    for (int64_t b = 0; b < blocks; ++b) {
      total.first += partial[b].first;
      total.second += partial[b].second;
    }
    return total;
  }
  // The same after m elements were copied, in one launch.
  template <class Term>
  Sums copy_and_sum(const T* from, int64_t m, T* to, const Term& term) {
    return sum(m, CopyFirst<T, Term>{from, to, term});
  }

  // --- cuBLAS. Row-major (n, k) is, read by columns, its transpose.

  // C = A Aᵀ or AᵀA, + beta C: n x n, of which only the upper triangle has a meaning.
  void gram(int trans, int64_t n, int64_t k, const T* A, int64_t lda, T beta, T* C) {
    const T one = 1;
    if (n < syrk_from) {
      check_cublas(blas().gemm(cublas(), trans, trans == as_it_is ? transposed : as_it_is, n, n, k,
                               &one, A, lda, A, lda, &beta, C, n),
                   "cublas gemm");
    } else {
      check_cublas(blas().syrk(cublas(), upper_triangle, trans, n, k, &one, A, lda, &beta, C, n),
                   "cublas syrk");
    }
  }
  // y = op(A) x + beta y, A m x n
  void gemv(int trans, int64_t m, int64_t n, const T* A, int64_t lda, const T* x, T beta, T* y) {
    const T one = 1;
    check_cublas(blas().gemv(cublas(), trans, m, n, &one, A, lda, x, 1, &beta, y, 1),
                 "cublas gemv");
  }
  void symv(int64_t n, const T* A, const T* x, T* y) {
    const T one = 1, zero = 0;
    check_cublas(blas().symv(cublas(), upper_triangle, n, &one, A, n, x, 1, &zero, y, 1),
                 "cublas symv");
  }
  // x = op(A)⁻¹ x, of a triangle by columns; x has every incx-th number.
  void trsv(int triangle, int trans, int64_t n, const T* A, int64_t ld, T* x, int64_t incx = 1) {
    check_cublas(blas().trsv(cublas(), triangle, trans, any_diagonal, n, A, ld, x, incx),
                 "cublas trsv");
  }

  // --- cuSOLVER

  // The lower triangle of A by columns becomes its Cholesky factor. Where there is none, *info() on
  // the device is not 0 or, by tiles, the diagonal has a NaN.
  void potrf(int64_t n, T* A, int64_t ld) {
    if (n <= tiles_to) return factor_tiles(n, A, ld);
    if (n != potrf_.n || A != potrf_.A) {
      potrf_.n = 0;
      potrf_ = potrf_buffers(n, A, ld);
    }
    make_room(potrf_.device, potrf_.host);
    constexpr int type = cuda_type<T>;
    check_cusolver(
        libraries().potrf(cusolver(), params(), lower_triangle, n, type, A, ld, type, work_.data(),
                          potrf_.device, host_work_.data(), potrf_.host, info()),
        "cusolverDnXpotrf");
  }
  // Householder triangularization of the column-major W (rows x columns, columns <= rows).
  void geqrf(int64_t rows, int64_t columns, T* W) {
    constexpr int type = cuda_type<T>;
    resize(tau_, columns);
    size_t device = 0, host = 0;
    const Libraries& l = libraries();
    check_cusolver(l.geqrf_buffer_size(cusolver(), params(), rows, columns, type, W, rows, type,
                                       tau_.data(), type, &device, &host),
                   "cusolverDnXgeqrf_bufferSize");
    make_room(device, host);
    check_cusolver(l.geqrf(cusolver(), params(), rows, columns, type, W, rows, type, tau_.data(),
                           type, work_.data(), device, host_work_.data(), host, info()),
                   "cusolverDnXgeqrf");
  }

  // Of the last potrf or geqrf, on the device.
  int* info() {
    resize(info_, 1);
    return info_.data();
  }

  // How many rows of n columns are copied at once: 32 MB of double, but at least 4 n rows.
  static int64_t chunk(int64_t n) { return std::max<int64_t>(4 * n, (int64_t{1} << 22) / (n + 1)); }

  Vector scratch, sums[2];

 private:
  static constexpr int64_t item = sizeof(T);
  // cuBLAS's syrk does half of gemm's work, but does not share rows out among blocks. On an H200
  // gemm took of its time, in float64: 1,000,000 x 20 0.01, 20,000 x 500 0.8, 20,000 x 1,000 1.3;
  // in float32: 20,000 x 500 0.13, 20,000 x 1,000 0.5, 20,000 x 2,000 1.5.
  static constexpr int64_t syrk_from = item == 8 ? 700 : 1400;

  static_assert(sum_blocks * int64_t{sizeof(Sums)} <= Handles::shared_bytes);
  void* shared() const { return (*handles_)->shared; }

  static const DeviceBlas<T>& blas() { return libraries().template blas<T>(); }
  void* cublas() const { return (*handles_)->cublas; }
  void* cusolver() const { return (*handles_)->cusolver; }
  void* params() const { return (*handles_)->params; }

  // The workspace that cuSOLVER asked for at the last potrf.
  struct Buffers {
    int64_t n;
    const T* A;
    size_t device, host;
  };

  // Of cuSOLVER's time tiles took on an H100, in float64: n = 501 0.57, 1,001 0.67, 2,001 0.82,
  // 4,001 2.3; in float32 0.57, 0.66, 0.89, 1.6.
  static constexpr int64_t tiles_to = 1024;

  void factor_tiles(int64_t n, T* A, int64_t ld) {
    const int64_t tiles = TiledCholesky<T>::tiles_of(n);
    resize(diagonal_, tile_side * n);
    resize(done_, tiles + 1);
    const TiledCholesky<T> matrix{A, ld, n, diagonal_.data(), done_.data(), info()};
    each(tile_side * n, CopyDiagonalTiles<T>{matrix});
    launch_cholesky(matrix, tiles, stream_);
  }

  Buffers potrf_buffers(int64_t n, T* A, int64_t ld) {
    constexpr int type = cuda_type<T>;
    Buffers found{n, A, 0, 0};
    check_cusolver(libraries().potrf_buffer_size(cusolver(), params(), lower_triangle, n, type, A,
                                                 ld, type, &found.device, &found.host),
                   "cusolverDnXpotrf_bufferSize");
    return found;
  }

  void make_room(size_t device, size_t host) {
    resize(work_, static_cast<int64_t>(device));
    if (host_work_.size() >= host) return;
    if (!host_work_.empty()) cuda::wait(stream_);  // earlier work may still use it
    host_work_.resize(host);
  }

  Allocator allocate_;
  std::unique_ptr<BorrowedHandles> handles_;
  cuda::Stream stream_ = nullptr;
  bool started_ = false, moved_ = false;  // moved_: there was another stream
  DeviceVector<T> tau_;
  DeviceVector<char> work_;
  DeviceVector<int> info_;
  Vector diagonal_;
  DeviceVector<uint32_t> done_;
  std::vector<char> host_work_;
  Buffers potrf_{};
};

}  // namespace steepest::linalg
