#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "core/device.hpp"
#include "core/error.hpp"

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

int attribute(cudaDeviceAttr which) {  // of the current device
  int device = 0, value = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

void copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind, Stream stream) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, raw(stream)),
        "cudaMemcpyAsync");
  ++calls.copies;
}

template <int capacity>
__global__ void write_kernel(const __grid_constant__ Words<capacity> args) {
  for (int64_t i = threadIdx.x; i < args.n; i += blockDim.x) args.to[i] = args.words[i];
}

template <int capacity>
void write(const Words<capacity>& words, Stream stream) {
  void* arguments[] = {const_cast<Words<capacity>*>(&words)};
  launch(reinterpret_cast<const void*>(&write_kernel<capacity>), arguments, 1, 256, stream);
}

template <int capacity>
bool write_as(const ManyWords& words, Stream stream) {
  if (words.n > capacity) return false;
  Words<capacity> fewer;
  fewer.to = words.to;
  fewer.n = words.n;
  std::copy_n(words.words, words.n, fewer.words);
  write(fewer, stream);
  return true;
}

// Whether wait_for_earlier (core/team.hpp) does wait. It is empty in code that was generated from
// PTX older than compute_90, on whatever device that runs. One kernel answers for all, since they
// are compiled for the same architectures.
bool wait_themselves(const void* kernel) {
  static thread_local int asked = -1;
  static thread_local bool found = false;
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  if (device != asked) {
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kernel), "cudaFuncGetAttributes");
    found = attributes.ptxVersion >= 90;
    asked = device;
  }
  return found;
}

}  // namespace

void wait(Stream stream) {
  check(cudaStreamSynchronize(raw(stream)), "cudaStreamSynchronize");
  ++calls.waits;
}

void follow(Stream later, Stream earlier) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  const cudaError_t recorded = cudaEventRecord(event, raw(earlier));
  const cudaError_t waits = recorded ? recorded : cudaStreamWaitEvent(raw(later), event, 0);
  cudaEventDestroy(event);  // it goes once it has come
  check(recorded, "cudaEventRecord");
  check(waits, "cudaStreamWaitEvent");
}

void wait_for_all() {
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  ++calls.waits;
}

OnDevice::OnDevice(int device) : before_(device) {
  check(cudaGetDevice(&before_), "cudaGetDevice");
  if (before_ != device) check(cudaSetDevice(device), "cudaSetDevice");
  device_ = device;
}
OnDevice::~OnDevice() {
  if (before_ != device_) cudaSetDevice(before_);
}

void launch(const void* kernel, void** arguments, int64_t blocks, int threads, Stream stream) {
  check(cudaLaunchKernel(kernel, dim3(static_cast<unsigned>(blocks)),
                         dim3(static_cast<unsigned>(threads)), arguments, 0, raw(stream)),
        "cudaLaunchKernel");
  ++calls.launches;
}

void launch_early(const void* kernel, void** arguments, int64_t blocks, int threads,
                  Stream stream) {
  // Not into a graph: a Blackwell's capture is said to refuse the attribute.
  if (capturing(stream) || !wait_themselves(kernel))
    return launch(kernel, arguments, blocks, threads, stream);
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = raw(stream);
  config.attrs = &early;
  config.numAttrs = 1;
  check(cudaLaunchKernelExC(&config, kernel, arguments), "cudaLaunchKernelExC");
  ++calls.launches;
}

int resident(const void* kernel, int threads, int most) {
  int each = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads, 0),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return multiprocessors() * std::min(each, most);
}

int multiprocessors() { return attribute(cudaDevAttrMultiProcessorCount); }
int64_t cache_bytes() { return attribute(cudaDevAttrL2CacheSize); }

// A launch copies the whole of its arguments, unused words too: so the smallest struct is taken.
void launch_write(const ManyWords& words, Stream stream) {
  if (!write_as<64>(words, stream) && !write_as<1000>(words, stream)) write(words, stream);
}

void copy_across(void* to, const void* from, int64_t bytes, Stream stream) {
  copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
void clear(void* to, int64_t bytes, Stream stream) {
  check(cudaMemsetAsync(to, 0, static_cast<size_t>(bytes), raw(stream)), "cudaMemsetAsync");
  ++calls.launches;
}
void copy_in(void* device, const void* host, int64_t bytes, Stream stream) {
  copy(device, host, bytes, cudaMemcpyHostToDevice, stream);
  wait(stream);
}
void copy_out(void* host, const void* device, int64_t bytes, Stream stream) {
  copy(host, device, bytes, cudaMemcpyDeviceToHost, stream);
  wait(stream);
}

void* shared_memory(int64_t bytes) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, static_cast<size_t>(bytes), cudaHostAllocDefault), "cudaHostAlloc");
  return memory;
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
