#include "linalg/device/libraries.hpp"

#include <dlfcn.h>

#include <atomic>
#include <mutex>

#include "core/error.hpp"

namespace steepest::linalg {
namespace {

// What CUDA 13 calls them.
constexpr const char* cublas_name = "libcublas.so.13";
constexpr const char* cusolver_name = "libcusolver.so.12";

Libraries table{};
std::atomic<bool> loaded{false};
std::vector<std::string> files;

struct Library {
  const char* name;
  void* handle;
  std::string file;

  template <class F>
  void take(F& into, const char* symbol) {
    void* address = dlsym(handle, symbol);
    if (!address) {
      throw Error(ErrorKind::backend, std::string(name) + " (" + file + ") has no " + symbol +
                                          "; expected that of CUDA 13");
    }
    into = reinterpret_cast<F>(address);
    Dl_info from{};
    if (dladdr(address, &from) && from.dli_fname) file = from.dli_fname;
  }
};

Library open(const char* name, const std::vector<std::string>& folders) {
  if (void* handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD)) return {name, handle, name};
  std::string why;
  for (const std::string& folder : folders) {
    const std::string file = folder + "/" + name;
    if (void* handle = dlopen(file.c_str(), RTLD_NOW)) return {name, handle, file};
    why += std::string(why.empty() ? "" : "; ") + dlerror();
  }
  if (void* handle = dlopen(name, RTLD_NOW)) return {name, handle, name};
  why += std::string(why.empty() ? "" : "; ") + dlerror();
  throw Error(ErrorKind::backend, std::string(name) +
                                      " cannot be opened, which least squares on CUDA arrays "
                                      "needs: pip install 'steepest[cuda13]' (" +
                                      why + ")");
}

void take_cublas(Library& from, Libraries& into) {
  from.take(into.cublas_create, "cublasCreate_v2");
  from.take(into.cublas_set_stream, "cublasSetStream_v2");
  from.take(into.cublas_status_name, "cublasGetStatusName");
  from.take(into.cublas_status_string, "cublasGetStatusString");
  from.take(into.blas32.syrk, "cublasSsyrk_v2_64");
  from.take(into.blas64.syrk, "cublasDsyrk_v2_64");
  from.take(into.blas32.gemm, "cublasSgemm_v2_64");
  from.take(into.blas64.gemm, "cublasDgemm_v2_64");
  from.take(into.blas32.gemv, "cublasSgemv_v2_64");
  from.take(into.blas64.gemv, "cublasDgemv_v2_64");
  from.take(into.blas32.symv, "cublasSsymv_v2_64");
  from.take(into.blas64.symv, "cublasDsymv_v2_64");
  from.take(into.blas32.trsv, "cublasStrsv_v2_64");
  from.take(into.blas64.trsv, "cublasDtrsv_v2_64");
}

void take_cusolver(Library& from, Libraries& into) {
  from.take(into.cusolver_create, "cusolverDnCreate");
  from.take(into.cusolver_set_stream, "cusolverDnSetStream");
  from.take(into.cusolver_create_params, "cusolverDnCreateParams");
  from.take(into.potrf_buffer_size, "cusolverDnXpotrf_bufferSize");
  from.take(into.potrf, "cusolverDnXpotrf");
  from.take(into.geqrf_buffer_size, "cusolverDnXgeqrf_bufferSize");
  from.take(into.geqrf, "cusolverDnXgeqrf");
}

// cuSOLVER has no function for it.
const char* cusolver_status_name(int status) {
  switch (status) {
    case 1:
      return "CUSOLVER_STATUS_NOT_INITIALIZED";
    case 2:
      return "CUSOLVER_STATUS_ALLOC_FAILED";
    case 3:
      return "CUSOLVER_STATUS_INVALID_VALUE";
    case 4:
      return "CUSOLVER_STATUS_ARCH_MISMATCH";
    case 5:
      return "CUSOLVER_STATUS_MAPPING_ERROR";
    case 6:
      return "CUSOLVER_STATUS_EXECUTION_FAILED";
    case 7:
      return "CUSOLVER_STATUS_INTERNAL_ERROR";
    case 8:
      return "CUSOLVER_STATUS_MATRIX_TYPE_NOT_SUPPORTED";
    case 9:
      return "CUSOLVER_STATUS_NOT_SUPPORTED";
  }
  return "a status that cusolver_common.h explains";
}

}  // namespace

bool libraries_loaded() { return loaded; }

std::vector<std::string> load_libraries(const std::vector<std::string>& folders) {
  static std::mutex once;
  const std::lock_guard<std::mutex> lock(once);
  if (loaded) return files;
  Libraries found{};
  Library cublas = open(cublas_name, folders);
  take_cublas(cublas, found);
  Library cusolver = open(cusolver_name, folders);
  take_cusolver(cusolver, found);
  table = found;
  files = {cublas.file, cusolver.file};
  loaded = true;
  return files;
}

const Libraries& libraries() {
  if (!loaded) {
    throw Error(ErrorKind::backend, "cuBLAS and cuSOLVER: not loaded before their first use");
  }
  return table;
}

void check_cublas(int status, const char* call) {
  if (status == 0) return;
  throw Error(ErrorKind::backend, std::string(call) + ": cuBLAS error " + std::to_string(status) +
                                      " (" + table.cublas_status_name(status) +
                                      "): " + table.cublas_status_string(status));
}

void check_cusolver(int status, const char* call) {
  if (status == 0) return;
  throw Error(ErrorKind::backend, std::string(call) + ": cuSOLVER error " + std::to_string(status) +
                                      " (" + cusolver_status_name(status) + ")");
}

}  // namespace steepest::linalg
