#include "simulated.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "cuda/runtime.hpp"

// Of Python's, where it has loaded this.
extern "C" __attribute__((weak)) int PyGILState_Check();

namespace steepest::cuda {

Calls calls;

namespace simulated {

Settings settings;

std::vector<int> shuffled(int n) {
  static std::mt19937_64 random_order{1};
  std::vector<int> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random_order);
  return order;
}

namespace {

Parts left;

// What a stream was given and has not begun.
struct Queue {
  std::deque<std::function<void()>> given;
  int64_t begun = 0;
};
std::map<void*, Queue> queues;
std::set<Queue*> of_threads;
std::recursive_mutex one_at_a_time;  // threads that have let go of Python's lock

Queue& queue_of(void* stream) {
  static thread_local char own;  // cudaStreamPerThread is another for each thread
  if (reinterpret_cast<uintptr_t>(stream) != 2) return queues[stream];
  of_threads.insert(&queues[&own]);
  return queues[&own];
}

void do_until(Queue& queue, int64_t begun) {
  while (!queue.given.empty() && queue.begun < begun) {
    const auto run = std::move(queue.given.front());
    queue.given.pop_front();
    ++queue.begun;
    run();
  }
}
constexpr int64_t all = std::numeric_limits<int64_t>::max();

void start(const std::function<Early()>& begin) {
  Early now = begin();
  now.before();
  finish();
  size_t n = now.parts.size();
  if (settings.overlap)
    n = settings.at_once < 0 ? static_cast<size_t>(shuffled(static_cast<int>(n) + 1)[0])
                             : std::min(n, static_cast<size_t>(settings.at_once));
  const auto middle = now.parts.begin() + static_cast<std::ptrdiff_t>(n);
  left.assign(middle, now.parts.end());
  run_all({now.parts.begin(), middle});
}

}  // namespace

void run_all(const Parts& parts) {
  for (const auto& part : parts) part();
}

void finish() { run_all(std::exchange(left, {})); }

void asked(void* stream) {
  settings.streams.insert(stream);
  settings.asked_with_gil += PyGILState_Check && PyGILState_Check();
}

void give(void* stream, std::function<void()> run) {
  const std::lock_guard<std::recursive_mutex> lock(one_at_a_time);
  settings.lazy ? queue_of(stream).given.push_back(std::move(run)) : run();
}

void drain(void* stream) {
  const std::lock_guard<std::recursive_mutex> lock(one_at_a_time);
  do_until(queue_of(stream), all);
  finish();
}

void drain_all() {
  const std::lock_guard<std::recursive_mutex> lock(one_at_a_time);
  for (auto& queue : queues) do_until(queue.second, all);
  finish();
}

namespace {

void follow(Queue& later, Queue& earlier) {
  if (!settings.lazy) return;
  const int64_t given = earlier.begun + static_cast<int64_t>(earlier.given.size());
  later.given.push_back([&earlier, given] { do_until(earlier, given); });
}

}  // namespace

// The null stream first waits for those of threads, which then wait for it.
void follow(void* later, void* earlier) {
  asked(later);
  const std::lock_guard<std::recursive_mutex> lock(one_at_a_time);
  Queue& queue = queue_of(later);
  if (!later)
    for (Queue* own : of_threads) follow(queue, *own);
  follow(queue, queue_of(earlier));
  if (!later)
    for (Queue* own : of_threads) follow(*own, queue);
}

void launch_early(void* stream, std::function<Early()> begin) {
  asked(stream);
  if (settings.fail_after == 0)
    throw Error(ErrorKind::backend,
                "cudaLaunchKernel: CUDA error 400 (cudaErrorInvalidResourceHandle): "
                "invalid resource handle");
  settings.fail_after -= settings.fail_after > 0;
  ++calls.launches;
  if (settings.capturing) {
    settings.graph.push_back([begin] {
      finish();
      const Early now = begin();
      now.before();
      run_all(now.parts);
    });
    return;
  }
  give(stream, [begin] { start(begin); });
}

void launch(void* stream, std::function<void()> run) {
  launch_early(stream, [run] { return Early{[] {}, {run}}; });
}

void replay(void* stream) {
  for (const auto& run : settings.graph) give(stream, run);
}

}  // namespace simulated
using simulated::settings;

namespace {

void copy(void* to, const void* from, int64_t bytes, bool waits, Stream stream) {
  simulated::asked(stream);
  simulated::give(stream, [=] {
    simulated::finish();
    if (bytes) std::memcpy(to, from, static_cast<size_t>(bytes));
  });
  ++calls.copies;
  calls.waits += waits;
  if (waits) simulated::drain(stream);
}

void refuse_legacy(Stream stream, const char* call) {
  if (settings.capture_elsewhere && !stream)
    throw Error(ErrorKind::backend,
                std::string(call) +
                    ": CUDA error 906 (cudaErrorStreamCaptureImplicit): operation would make the "
                    "legacy stream depend on a capturing blocking stream");
}

}  // namespace

OnDevice::OnDevice(int device) : before_(device), device_(device) {}
OnDevice::~OnDevice() {}

int multiprocessors() { return settings.multiprocessors; }
int64_t cache_bytes() { return settings.cache_bytes; }
void launch_write(const ManyWords& words, Stream stream) {
  const auto kept = std::make_shared<ManyWords>(words);
  simulated::launch_early(stream, [kept] {
    simulated::Early words{[] {}, {}};
    for (int k : simulated::shuffled(static_cast<int>(kept->n)))
      words.parts.push_back([kept, k] { kept->to[k] = kept->words[k]; });
    return words;
  });
}
void copy_across(void* to, const void* from, int64_t bytes, Stream stream) {
  copy(to, from, bytes, false, stream);
}
void clear(void* to, int64_t bytes, Stream stream) {
  simulated::launch(stream, [=] { std::memset(to, 0, static_cast<size_t>(bytes)); });
}
void copy_in(void* to, const void* from, int64_t bytes, Stream stream) {
  copy(to, from, bytes, true, stream);
}
void copy_out(void* to, const void* from, int64_t bytes, Stream stream) {
  copy(to, from, bytes, true, stream);
}
void wait(Stream stream) {
  refuse_legacy(stream, "cudaStreamSynchronize");
  simulated::asked(stream);
  simulated::drain(stream);
  ++calls.waits;
}
void follow(Stream later, Stream earlier) { simulated::follow(later, earlier); }
void wait_for_all() {
  refuse_legacy(nullptr, "cudaDeviceSynchronize");
  simulated::drain_all();
  ++calls.waits;
}
void* shared_memory(int64_t bytes) {
  static std::vector<std::unique_ptr<char[]>> kept;
  kept.push_back(std::make_unique<char[]>(static_cast<size_t>(bytes)));
  return kept.back().get();
}
bool capturing(Stream stream) {
  refuse_legacy(stream, "cudaStreamIsCapturing");
  settings.streams.insert(stream);
  return settings.capturing && (!settings.captured || stream == settings.captured);
}
int device_count() {
  if (!settings.no_device.empty()) throw Error(ErrorKind::backend, settings.no_device);
  return 1;
}
int runtime_version() { return 0; }

}  // namespace steepest::cuda
