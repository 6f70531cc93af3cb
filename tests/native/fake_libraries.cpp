// cuBLAS and cuSOLVER in plain loops over host memory: what the device's linear algebra calls of
// them, as strict about arguments. One file under both names. Where they are told how, they give
// their work to a stream.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace {

struct Handle {
  int kind;  // 1 cuBLAS, 2 cuSOLVER, 3 parameters
  void* stream;
};
int next_status = 0;  // of the next call that computes
int made[4] = {}, status_of_make = 0;
void* stream_in_use = nullptr;

void (*give)(void* stream, void (*run)(void*), void* with) = nullptr;

int later(const void* handle, std::function<void()> work) {
  if (!give) return work(), 0;
  const auto run = [](void* with) {
    auto* kept = static_cast<std::function<void()>*>(with);
    (*kept)();
    delete kept;
  };
  give(static_cast<const Handle*>(handle)->stream, run, new std::function<void()>(std::move(work)));
  return 0;
}

constexpr size_t device_bytes = 40, host_bytes = 24;

int begin(const void* handle, int kind, bool valid) {
  if (!handle || static_cast<const Handle*>(handle)->kind != kind) return 1;
  const int status = next_status;
  next_status = 0;
  return status ? status : valid ? 0 : kind == 1 ? 7 : 3;
}

template <class T>
int syrk(void* handle, int uplo, int trans, int64_t n, int64_t k, const T* alpha, const T* a,
         int64_t lda, const T* beta, T* c, int64_t ldc) {
  if (int s = begin(handle, 1, uplo == 1 && lda >= (trans ? k : n) && ldc >= n)) return s;
  const T scale = *alpha, add = *beta;
  return later(handle, [=] {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i <= j; ++i) {
        T sum = 0;
        for (int64_t l = 0; l < k; ++l) {
          sum += trans ? a[i * lda + l] * a[j * lda + l] : a[l * lda + i] * a[l * lda + j];
        }
        T& to = c[j * ldc + i];
        to = scale * sum + (add == 0 ? T(0) : add * to);
      }
    }
  });
}

template <class T>
int gemm(void* handle, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const T* alpha,
         const T* a, int64_t lda, const T* b, int64_t ldb, const T* beta, T* c, int64_t ldc) {
  const bool valid = lda >= (trans_a ? k : m) && ldb >= (trans_b ? n : k) && ldc >= m;
  if (int s = begin(handle, 1, valid)) return s;
  const T scale = *alpha, add = *beta;
  return later(handle, [=] {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i < m; ++i) {
        T sum = 0;
        for (int64_t l = 0; l < k; ++l) {
          sum += a[trans_a ? i * lda + l : l * lda + i] * b[trans_b ? l * ldb + j : j * ldb + l];
        }
        T& to = c[j * ldc + i];
        to = scale * sum + (add == 0 ? T(0) : add * to);
      }
    }
  });
}

template <class T>
int gemv(void* handle, int trans, int64_t m, int64_t n, const T* alpha, const T* a, int64_t lda,
         const T* x, int64_t incx, const T* beta, T* y, int64_t incy) {
  if (int s = begin(handle, 1, m >= 0 && n >= 0 && lda >= std::max<int64_t>(m, 1))) return s;
  const T scale = *alpha, add = *beta;
  return later(handle, [=] {
    const int64_t size = trans ? n : m, length = trans ? m : n;
    for (int64_t i = 0; i < size; ++i) {
      T sum = 0;
      for (int64_t l = 0; l < length; ++l) {
        sum += (trans ? a[i * lda + l] : a[l * lda + i]) * x[l * incx];
      }
      y[i * incy] = scale * sum + (add == 0 ? T(0) : add * y[i * incy]);
    }
  });
}

template <class T>
int symv(void* handle, int uplo, int64_t n, const T* alpha, const T* a, int64_t lda, const T* x,
         int64_t incx, const T* beta, T* y, int64_t incy) {
  if (int s = begin(handle, 1, uplo == 1 && lda >= n && *beta == 0)) return s;
  const T scale = *alpha;
  return later(handle, [=] {
    for (int64_t i = 0; i < n; ++i) {
      T sum = 0;
      for (int64_t j = 0; j < n; ++j) {
        sum += a[std::max(i, j) * lda + std::min(i, j)] * x[j * incx];
      }
      y[i * incy] = scale * sum;
    }
  });
}

// Of an upper triangle, or transposed of a lower one, from the last row on.
template <class T>
void solve_triangle(bool upper, bool trans, int64_t n, const T* a, int64_t lda, T* x,
                    int64_t incx) {
  const bool from_last = upper != trans;
  for (int64_t step = 0; step < n; ++step) {
    const int64_t i = from_last ? n - 1 - step : step;
    for (int64_t l = from_last ? i + 1 : 0; l < (from_last ? n : i); ++l) {
      x[i * incx] -= (trans ? a[i * lda + l] : a[l * lda + i]) * x[l * incx];
    }
    x[i * incx] /= a[i * lda + i];
  }
}

template <class T>
int trsv(void* handle, int uplo, int trans, int diag, int64_t n, const T* a, int64_t lda, T* x,
         int64_t incx) {
  if (int s = begin(handle, 1, diag == 0 && lda >= n && incx >= 1)) return s;
  return later(handle, [=] { solve_triangle(uplo == 1, trans == 1, n, a, lda, x, incx); });
}

template <class T>
void potrf(int64_t n, T* a, int64_t lda, int* info) {
  *info = 0;
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i <= j; ++i) {
      T sum = a[i * lda + j];
      for (int64_t l = 0; l < i; ++l) sum -= a[l * lda + i] * a[l * lda + j];
      if (i < j) {
        a[i * lda + j] = sum / a[i * lda + i];
      } else if (sum > 0) {
        a[j * lda + j] = std::sqrt(sum);
      } else {
        *info = static_cast<int>(j + 1);
        return;
      }
    }
  }
}

template <class T>
void geqrf(int64_t m, int64_t n, T* a, int64_t lda, T* tau) {
  for (int64_t j = 0; j < std::min(m, n); ++j) {
    T* v = a + j * lda;
    T norm2 = 0;
    for (int64_t i = j; i < m; ++i) norm2 += v[i] * v[i];
    tau[j] = 0;
    if (norm2 == 0) continue;
    const T alpha = v[j] > 0 ? -std::sqrt(norm2) : std::sqrt(norm2), head = v[j] - alpha;
    tau[j] = -head / alpha;
    for (int64_t i = j + 1; i < m; ++i) v[i] /= head;
    for (int64_t k = j + 1; k < n; ++k) {
      T* w = a + k * lda;
      T dot = w[j];
      for (int64_t i = j + 1; i < m; ++i) dot += v[i] * w[i];
      w[j] -= tau[j] * dot;
      for (int64_t i = j + 1; i < m; ++i) w[i] -= tau[j] * dot * v[i];
    }
    v[j] = alpha;
  }
}

int make(void** handle, int kind) {
  static std::vector<Handle*> kept;  // as the process's, never freed
  static Handle none{};
  if (status_of_make) return *handle = &none, status_of_make;
  ++made[kind];
  kept.push_back(new Handle{kind, nullptr});
  *handle = kept.back();
  return 0;
}

int set_stream(void* handle, void* stream) {
  if (!handle) return 1;
  stream_in_use = static_cast<Handle*>(handle)->stream = stream;
  return 0;
}

bool room(size_t device, const void* on_device, size_t host, const void* on_host) {
  return device == device_bytes && on_device && host == host_bytes && on_host;
}

}  // namespace

extern "C" {

void fake_fail(int status) { next_status = status; }
void fake_make_fails(int status) { status_of_make = status; }
int fake_made(int kind) { return made[kind]; }
void* fake_stream() { return stream_in_use; }
void fake_gives(void (*to)(void*, void (*)(void*), void*)) { give = to; }

int cublasCreate_v2(void** handle) { return make(handle, 1); }
int cublasSetStream_v2(void* handle, void* stream) { return set_stream(handle, stream); }
const char* cublasGetStatusName(int) { return "CUBLAS_STATUS_FAKE"; }
const char* cublasGetStatusString(int) { return "what the library says"; }
int cusolverDnCreate(void** handle) { return make(handle, 2); }
int cusolverDnSetStream(void* handle, void* stream) { return set_stream(handle, stream); }
int cusolverDnCreateParams(void** params) { return make(params, 3); }

int cublasSsyrk_v2_64(void* h, int u, int t, int64_t n, int64_t k, const float* alpha,
                      const float* a, int64_t lda, const float* beta, float* c, int64_t ldc) {
  return syrk(h, u, t, n, k, alpha, a, lda, beta, c, ldc);
}
int cublasDsyrk_v2_64(void* h, int u, int t, int64_t n, int64_t k, const double* alpha,
                      const double* a, int64_t lda, const double* beta, double* c, int64_t ldc) {
  return syrk(h, u, t, n, k, alpha, a, lda, beta, c, ldc);
}
int cublasSgemm_v2_64(void* h, int t, int u, int64_t m, int64_t n, int64_t k, const float* alpha,
                      const float* a, int64_t lda, const float* b, int64_t ldb, const float* beta,
                      float* c, int64_t ldc) {
  return gemm(h, t, u, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
int cublasDgemm_v2_64(void* h, int t, int u, int64_t m, int64_t n, int64_t k, const double* alpha,
                      const double* a, int64_t lda, const double* b, int64_t ldb,
                      const double* beta, double* c, int64_t ldc) {
  return gemm(h, t, u, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
int cublasSgemv_v2_64(void* h, int t, int64_t m, int64_t n, const float* alpha, const float* a,
                      int64_t lda, const float* x, int64_t incx, const float* beta, float* y,
                      int64_t incy) {
  return gemv(h, t, m, n, alpha, a, lda, x, incx, beta, y, incy);
}
int cublasDgemv_v2_64(void* h, int t, int64_t m, int64_t n, const double* alpha, const double* a,
                      int64_t lda, const double* x, int64_t incx, const double* beta, double* y,
                      int64_t incy) {
  return gemv(h, t, m, n, alpha, a, lda, x, incx, beta, y, incy);
}
int cublasSsymv_v2_64(void* h, int u, int64_t n, const float* alpha, const float* a, int64_t lda,
                      const float* x, int64_t incx, const float* beta, float* y, int64_t incy) {
  return symv(h, u, n, alpha, a, lda, x, incx, beta, y, incy);
}
int cublasDsymv_v2_64(void* h, int u, int64_t n, const double* alpha, const double* a, int64_t lda,
                      const double* x, int64_t incx, const double* beta, double* y, int64_t incy) {
  return symv(h, u, n, alpha, a, lda, x, incx, beta, y, incy);
}
int cublasStrsv_v2_64(void* h, int u, int t, int d, int64_t n, const float* a, int64_t lda,
                      float* x, int64_t incx) {
  return trsv(h, u, t, d, n, a, lda, x, incx);
}
int cublasDtrsv_v2_64(void* h, int u, int t, int d, int64_t n, const double* a, int64_t lda,
                      double* x, int64_t incx) {
  return trsv(h, u, t, d, n, a, lda, x, incx);
}

int cusolverDnXpotrf_bufferSize(void* h, void* params, int uplo, int64_t n, int type_a,
                                const void* a, int64_t lda, int type, size_t* device,
                                size_t* host) {
  if (int s = begin(h, 2, params && uplo == 0 && a && lda >= n && type == type_a)) return s;
  *device = device_bytes;
  *host = host_bytes;
  return 0;
}
int cusolverDnXpotrf(void* h, void* params, int uplo, int64_t n, int type_a, void* a, int64_t lda,
                     int type, void* device, size_t d, void* host, size_t e, int* info) {
  const bool valid = params && uplo == 0 && lda >= n && type == type_a && room(d, device, e, host);
  if (int s = begin(h, 2, valid)) return s;
  return later(h, [=] {
    type == 1 ? potrf(n, static_cast<double*>(a), lda, info)
              : potrf(n, static_cast<float*>(a), lda, info);
  });
}
int cusolverDnXgeqrf_bufferSize(void* h, void* params, int64_t m, int64_t n, int type_a,
                                const void* a, int64_t lda, int, const void* tau, int type,
                                size_t* device, size_t* host) {
  if (int s = begin(h, 2, params && a && tau && lda >= m && m >= n && type == type_a)) return s;
  *device = device_bytes;
  *host = host_bytes;
  return 0;
}
int cusolverDnXgeqrf(void* h, void* params, int64_t m, int64_t n, int type_a, void* a, int64_t lda,
                     int type_tau, void* tau, int type, void* device, size_t d, void* host,
                     size_t e, int* info) {
  const bool valid =
      params && tau && lda >= m && type == type_a && type == type_tau && room(d, device, e, host);
  if (int s = begin(h, 2, valid)) return s;
  return later(h, [=] {
    type == 1 ? geqrf(m, n, static_cast<double*>(a), lda, static_cast<double*>(tau))
              : geqrf(m, n, static_cast<float*>(a), lda, static_cast<float*>(tau));
    *info = 0;
  });
}

}  // extern "C"
