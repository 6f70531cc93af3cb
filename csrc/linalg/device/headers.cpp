// The prototypes in libraries.hpp against NVIDIA's headers, where these are to be had: a compile
// of this file is the check.
#if __has_include(<cublas_v2.h>) && __has_include(<cusolverDn.h>)
#include <cublas_v2.h>
#include <cusolverDn.h>

#include <type_traits>

#include "linalg/device/constants.hpp"
#include "linalg/device/libraries.hpp"

namespace steepest::linalg {
namespace {

// A type as libraries.hpp writes it: int for an enum, void* for a pointer to a structure.
template <class P>
constexpr bool to_structure =
    std::is_pointer_v<P> && std::is_class_v<std::remove_cv_t<std::remove_pointer_t<P>>>;
template <class P>
struct Written {
  using type =
      std::conditional_t<std::is_enum_v<P>, int, std::conditional_t<to_structure<P>, void*, P>>;
};
template <class P>
struct Written<P**> {
  using type = typename Written<P*>::type*;
};
template <class F>
struct WrittenFunction;
template <class R, class... P>
struct WrittenFunction<R(P...)> {
  using type = typename Written<R>::type (*)(typename Written<P>::type...);
};
template <class Pointer, class Function>
constexpr bool same = std::is_same_v<Pointer, typename WrittenFunction<Function>::type>;

using L = Libraries;
static_assert(same<decltype(L::cublas_create), decltype(cublasCreate_v2)>);
static_assert(same<decltype(L::cublas_set_stream), decltype(cublasSetStream_v2)>);
static_assert(same<decltype(L::cublas_status_name), decltype(cublasGetStatusName)>);
static_assert(same<decltype(L::cublas_status_string), decltype(cublasGetStatusString)>);
static_assert(same<decltype(L::blas32.syrk), decltype(cublasSsyrk_v2_64)>);
static_assert(same<decltype(L::blas64.syrk), decltype(cublasDsyrk_v2_64)>);
static_assert(same<decltype(L::blas32.gemm), decltype(cublasSgemm_v2_64)>);
static_assert(same<decltype(L::blas64.gemm), decltype(cublasDgemm_v2_64)>);
static_assert(same<decltype(L::blas32.gemv), decltype(cublasSgemv_v2_64)>);
static_assert(same<decltype(L::blas64.gemv), decltype(cublasDgemv_v2_64)>);
static_assert(same<decltype(L::blas32.symv), decltype(cublasSsymv_v2_64)>);
static_assert(same<decltype(L::blas64.symv), decltype(cublasDsymv_v2_64)>);
static_assert(same<decltype(L::blas32.trsv), decltype(cublasStrsv_v2_64)>);
static_assert(same<decltype(L::blas64.trsv), decltype(cublasDtrsv_v2_64)>);
static_assert(same<decltype(L::cusolver_create), decltype(cusolverDnCreate)>);
static_assert(same<decltype(L::cusolver_set_stream), decltype(cusolverDnSetStream)>);
static_assert(same<decltype(L::cusolver_create_params), decltype(cusolverDnCreateParams)>);
static_assert(same<decltype(L::potrf_buffer_size), decltype(cusolverDnXpotrf_bufferSize)>);
static_assert(same<decltype(L::potrf), decltype(cusolverDnXpotrf)>);
static_assert(same<decltype(L::geqrf_buffer_size), decltype(cusolverDnXgeqrf_bufferSize)>);
static_assert(same<decltype(L::geqrf), decltype(cusolverDnXgeqrf)>);

static_assert(lower_triangle == CUBLAS_FILL_MODE_LOWER &&
              upper_triangle == CUBLAS_FILL_MODE_UPPER && as_it_is == CUBLAS_OP_N);
static_assert(transposed == CUBLAS_OP_T && any_diagonal == CUBLAS_DIAG_NON_UNIT);
static_assert(cuda_type<float> == CUDA_R_32F && cuda_type<double> == CUDA_R_64F);
static_assert(CUBLAS_STATUS_SUCCESS == 0 && CUSOLVER_STATUS_SUCCESS == 0);

}  // namespace
}  // namespace steepest::linalg
#endif
