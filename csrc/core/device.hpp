// The thin layer over the CUDA runtime: all that the host asks of a device, except for the kernels
// themselves. It counts its calls. The tests link another implementation of this header, in which
// the device's memory is the host's.
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

// Makes a device the current one for as long as this object lives.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_, device_;
};

// Launches a kernel; arguments: the addresses of its parameters.
void launch(const void* kernel, void** arguments, int64_t blocks, int threads, Stream stream);
// The same for a kernel that waits for the kernels before it by itself (wait_for_earlier,
// core/team.hpp). Devices that are able to start it while the one before it ends, which saves a
// step 1 to 2 us.
void launch_early(const void* kernel, void** arguments, int64_t blocks, int threads, Stream stream);
// How many blocks of the kernel the device runs at a time, with at most `most` on a multiprocessor.
int resident(const void* kernel, int threads, int most);
int multiprocessors();
int64_t cache_bytes();  // of the cache that all multiprocessors share

// Words that a kernel writes to device memory, in stream order. They travel as the kernel's
// arguments, because a copy from host memory might wait for the device.
template <int capacity>
struct Words {
  uint64_t* to;
  int64_t n;
  uint64_t words[capacity];
};
using ManyWords = Words<4000>;  // 32 KB: what arguments may have from CUDA 12.1 on
static_assert(sizeof(ManyWords) <= 32764);

void launch_write(const ManyWords& words, Stream stream);

// Writes bytes from host memory in the same way. There must be room at `to` for whole words.
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

// A copy within the device, and zeros: in stream order, without waiting.
void copy_across(void* to, const void* from, int64_t bytes, Stream stream);
void clear(void* to, int64_t bytes, Stream stream);

// These wait until the copy is done.
void copy_in(void* device, const void* host, int64_t bytes, Stream stream);
void copy_out(void* host, const void* device, int64_t bytes, Stream stream);

void wait(Stream stream);
// Work given to `later` from now on runs after the work given to `earlier` so far. The host does
// not wait.
void follow(Stream later, Stream earlier);
void wait_for_all();  // for every stream of the device

// Host memory that the device reads and writes as well. It is never given back.
void* shared_memory(int64_t bytes);
bool capturing(Stream stream);  // into a CUDA graph
// The number of devices; where there is none, an Error with the runtime's own text.
int device_count();
int runtime_version();

}  // namespace steepest::cuda
