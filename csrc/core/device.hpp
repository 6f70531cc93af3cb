// The thin layer over the CUDA runtime: all that the host asks of a device, beside the kernels of
// either tower. It counts what it is asked, and the tests have another one below it, over host
// memory.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>

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

// A kernel's launch; arguments: the addresses of its parameters.
void launch(const void* kernel, void** arguments, int64_t blocks, int threads, Stream stream);
// The same of a kernel that waits for earlier ones itself (wait_for_earlier, core/team.hpp):
// devices that can start it while the last of these ends, which saves a step 1 to 2 us.
void launch_early(const void* kernel, void** arguments, int64_t blocks, int threads, Stream stream);
// Blocks that the device runs at a time, by at most so many a multiprocessor.
int resident(const void* kernel, int threads, int most);
int64_t cache_bytes();  // of the cache that all multiprocessors share

// Words to be written to device memory in stream order, as a kernel's arguments: without a copy
// that might wait.
template <int capacity>
struct Words {
  uint64_t* to;
  int64_t n;
  uint64_t words[capacity];
};
using ManyWords = Words<4000>;  // 32 KB: what arguments may have from CUDA 12.1 on
static_assert(sizeof(ManyWords) <= 32764);

void launch_write(const ManyWords& words, Stream stream);

// Bytes of the host's likewise; at `to` there is room for whole words.
inline void write(void* to, const void* from, int64_t bytes, Stream stream) {
  const auto* next = static_cast<const char*>(from);
  ManyWords words;
  for (words.to = static_cast<uint64_t*>(to); bytes > 0; words.to += words.n) {
    const int64_t now = bytes < int64_t{sizeof words.words} ? bytes : int64_t{sizeof words.words};
    words.n = (now + 7) / 8;
    words.words[words.n - 1] = 0;
    std::memcpy(words.words, next, static_cast<size_t>(now));
    launch_write(words, stream);
    next += now;
    bytes -= now;
  }
}

// In stream order, without waiting: within the device, and zeros.
void copy_across(void* to, const void* from, int64_t bytes, Stream stream);
void clear(void* to, int64_t bytes, Stream stream);

// These wait until the copy is done.
void copy_in(void* device, const void* host, int64_t bytes, Stream stream);
void copy_out(void* host, const void* device, int64_t bytes, Stream stream);

void wait(Stream stream);
void wait_for_all();  // streams of the device

// Memory of the host's that the device reads and writes, never given back.
void* shared_memory(int64_t bytes);
bool capturing(Stream stream);  // into a CUDA graph
// Devices there are; throws the runtime's own text where there is none.
int device_count();
int runtime_version();

}  // namespace steepest::cuda
