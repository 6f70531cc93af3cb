// BLAS and LAPACK as function pointers, handed over at first use by the bindings
// (scipy.linalg.cython_blas and cython_lapack): SciPy's own library, nothing to link.
#pragma once
#include <cstdint>

namespace steepest::linalg {

// The routines used here, by their names without the type letter; arguments as in the BLAS and
// LAPACK references, all by address, matrices column by column, 32-bit sizes.
template <class T>
struct Lapack {
  void (*syrk)(char* uplo, char* trans, int* n, int* k, T* alpha, T* a, int* lda, T* beta, T* c,
               int* ldc) = nullptr;
  void (*gemv)(char* trans, int* m, int* n, T* alpha, T* a, int* lda, T* x, int* incx, T* beta,
               T* y, int* incy) = nullptr;
  void (*symv)(char* uplo, int* n, T* alpha, T* a, int* lda, T* x, int* incx, T* beta, T* y,
               int* incy) = nullptr;
  void (*potrf)(char* uplo, int* n, T* a, int* lda, int* info) = nullptr;
  void (*potrs)(char* uplo, int* n, int* nrhs, T* a, int* lda, T* b, int* ldb, int* info) = nullptr;
  void (*pocon)(char* uplo, int* n, T* a, int* lda, T* anorm, T* rcond, T* work, int* iwork,
                int* info) = nullptr;
  void (*getrf)(int* m, int* n, T* a, int* lda, int* ipiv, int* info) = nullptr;
  void (*getrs)(char* trans, int* n, int* nrhs, T* a, int* lda, int* ipiv, T* b, int* ldb,
                int* info) = nullptr;
  void (*gecon)(char* norm, int* n, T* a, int* lda, T* anorm, T* rcond, T* work, int* iwork,
                int* info) = nullptr;
  T (*lange)(char* norm, int* m, int* n, T* a, int* lda, T* work) = nullptr;
  void (*geqrf)(int* m, int* n, T* a, int* lda, T* tau, T* work, int* lwork, int* info) = nullptr;
  void (*ormqr)(char* side, char* trans, int* m, int* n, int* k, T* a, int* lda, T* tau, T* c,
                int* ldc, T* work, int* lwork, int* info) = nullptr;
  void (*trtrs)(char* uplo, char* trans, char* diag, int* n, int* nrhs, T* a, int* lda, T* b,
                int* ldb, int* info) = nullptr;
};

// The table of element type T; empty until the bindings fill it.
template <class T>
Lapack<T>& lapack_table();

// The filled table; Error(backend) when nothing has filled it.
template <class T>
const Lapack<T>& lapack();

// n as LAPACK's 32-bit integer; Error(value) where it does not fit.
int blas_int(int64_t n);

}  // namespace steepest::linalg
