#include <cuda_runtime.h>

#include "core/error.hpp"
#include "cuda/kernels.hpp"
#include "cuda/runtime.hpp"

namespace steepest::cuda {

Calls calls;

namespace {

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // not left for the next caller
  throw Error(ErrorKind::backend, std::string(what) + ": CUDA error " + std::to_string(code) +
                                      " (" + cudaGetErrorName(code) +
                                      "): " + cudaGetErrorString(code));
}

cudaStream_t raw(Stream stream) { return static_cast<cudaStream_t>(stream); }

template <class Args>
void launch(const void* kernel, const Args& args, int blocks, int block_size, Stream stream) {
  void* pointers[] = {const_cast<Args*>(&args)};
  check(cudaLaunchKernel(kernel, dim3(static_cast<unsigned>(blocks)),
                         dim3(static_cast<unsigned>(block_size)), pointers, 0, raw(stream)),
        "cudaLaunchKernel");
  ++calls.launches;
}

int resident(const void* kernel) {
  int device = 0, processors = 0, each = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads, 0),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return processors * each;
}

void copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind, Stream stream) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, raw(stream)),
        "cudaMemcpyAsync");
  ++calls.copies;
  check(cudaStreamSynchronize(raw(stream)), "cudaStreamSynchronize");
  ++calls.waits;
}

}  // namespace

OnDevice::OnDevice(int device) : before_(device) {
  check(cudaGetDevice(&before_), "cudaGetDevice");
  if (before_ != device) check(cudaSetDevice(device), "cudaSetDevice");
  device_ = device;
}
OnDevice::~OnDevice() {
  if (before_ != device_) cudaSetDevice(before_);
}

int resident_blocks(int rule) { return resident(update_kernel_of(rule)); }
int resident_measure_blocks() { return resident(measure_kernel_address()); }

void launch_update(int rule, const StepArgs& args, int blocks, Stream stream) {
  launch(update_kernel_of(rule), args, blocks, threads, stream);
}
void launch_measure(const StepArgs& args, int blocks, Stream stream) {
  launch(measure_kernel_address(), args, blocks, threads, stream);
}
void launch_write(const FewWords& words, Stream stream) {
  launch(write_few_kernel(), words, 1, threads, stream);
}
void launch_write(const ManyWords& words, Stream stream) {
  launch(write_many_kernel(), words, 1, threads, stream);
}

void copy_in(void* device, const void* host, int64_t bytes, Stream stream) {
  copy(device, host, bytes, cudaMemcpyHostToDevice, stream);
}
void copy_out(void* host, const void* device, int64_t bytes, Stream stream) {
  copy(host, device, bytes, cudaMemcpyDeviceToHost, stream);
}

bool capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(raw(stream), &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

int device_count() {
  int n = 0;
  check(cudaGetDeviceCount(&n), "cudaGetDeviceCount");
  return n;
}
int runtime_version() {
  int version = 0;
  check(cudaRuntimeGetVersion(&version), "cudaRuntimeGetVersion");
  return version;
}

}  // namespace steepest::cuda
