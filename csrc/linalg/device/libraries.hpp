// cuBLAS and cuSOLVER as function pointers, opened at first use: the copy that CuPy uses where it
// is in the process, else that of the folders given, else what the loader finds by its name.
// Nothing is linked. Arguments as in NVIDIA's headers, with int for enums and void* for handles.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace steepest::linalg {

// The routines of one type, with 64-bit sizes; matrices column by column.
template <class T>
struct DeviceBlas {
  int (*syrk)(void* handle, int uplo, int trans, int64_t n, int64_t k, const T* alpha, const T* a,
              int64_t lda, const T* beta, T* c, int64_t ldc);
  int (*gemm)(void* handle, int trans_a, int trans_b, int64_t m, int64_t n, int64_t k,
              const T* alpha, const T* a, int64_t lda, const T* b, int64_t ldb, const T* beta, T* c,
              int64_t ldc);
  int (*gemv)(void* handle, int trans, int64_t m, int64_t n, const T* alpha, const T* a,
              int64_t lda, const T* x, int64_t incx, const T* beta, T* y, int64_t incy);
  int (*symv)(void* handle, int uplo, int64_t n, const T* alpha, const T* a, int64_t lda,
              const T* x, int64_t incx, const T* beta, T* y, int64_t incy);
  int (*trsv)(void* handle, int uplo, int trans, int diag, int64_t n, const T* a, int64_t lda, T* x,
              int64_t incx);
};

struct Libraries {
  int (*cublas_create)(void** handle);
  int (*cublas_set_stream)(void* handle, void* stream);
  const char* (*cublas_status_name)(int status);
  const char* (*cublas_status_string)(int status);
  DeviceBlas<float> blas32;
  DeviceBlas<double> blas64;

  int (*cusolver_create)(void** handle);
  int (*cusolver_set_stream)(void* handle, void* stream);
  int (*cusolver_create_params)(void** params);
  int (*potrf_buffer_size)(void* handle, void* params, int uplo, int64_t n, int type_a,
                           const void* a, int64_t lda, int type, size_t* device, size_t* host);
  int (*potrf)(void* handle, void* params, int uplo, int64_t n, int type_a, void* a, int64_t lda,
               int type, void* device, size_t device_bytes, void* host, size_t host_bytes,
               int* info);
  int (*geqrf_buffer_size)(void* handle, void* params, int64_t m, int64_t n, int type_a,
                           const void* a, int64_t lda, int type_tau, const void* tau, int type,
                           size_t* device, size_t* host);
  int (*geqrf)(void* handle, void* params, int64_t m, int64_t n, int type_a, void* a, int64_t lda,
               int type_tau, void* tau, int type, void* device, size_t device_bytes, void* host,
               size_t host_bytes, int* info);

  template <class T>
  const DeviceBlas<T>& blas() const {
    if constexpr (sizeof(T) == 4) {
      return blas32;
    } else {
      return blas64;
    }
  }
};

bool libraries_loaded();
// Opens both, once; the files that they came from. Error(backend) names what is missing.
std::vector<std::string> load_libraries(const std::vector<std::string>& folders);

// The filled table; Error(backend) when nothing has filled it.
const Libraries& libraries();

// Error(backend) with the library's code and text, unless the status is success.
void check_cublas(int status, const char* call);
void check_cusolver(int status, const char* call);

}  // namespace steepest::linalg
