// The thin layer over the CUDA runtime: all that the host asks of a device. It counts what it is
// asked, and the tests have another one below it, which runs the kernels over a simulated grid.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>

#include "cuda/kernels.hpp"
#include "cuda/table.hpp"

namespace steepest::cuda {

using Stream = void*;  // a cudaStream_t

struct Calls {
  std::atomic<int64_t> launches{0}, copies{0}, waits{0};
};
extern Calls calls;

// The device in use while this lives.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_, device_;
};

// rule: its number in AllRules, or any_rule where tensors have several.
int resident_blocks(int rule);  // that the device runs at a time
int resident_measure_blocks();
void launch_update(int rule, const StepArgs& args, int blocks, Stream stream);
void launch_measure(const StepArgs& args, int blocks, Stream stream);
void launch_write(const FewWords& words, Stream stream);
void launch_write(const ManyWords& words, Stream stream);

// These wait until the copy is done.
void copy_in(void* device, const void* host, int64_t bytes, Stream stream);
void copy_out(void* host, const void* device, int64_t bytes, Stream stream);

bool capturing(Stream stream);  // into a CUDA graph
// Devices there are; throws the runtime's own text where there is none.
int device_count();
int runtime_version();

}  // namespace steepest::cuda
