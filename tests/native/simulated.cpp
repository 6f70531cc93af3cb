#include "simulated.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include "core/error.hpp"
#include "cuda/norm.hpp"
#include "cuda/runtime.hpp"
#include "cuda/update.hpp"

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

void launch(std::function<void()> run) {
  if (settings.fail_after == 0)
    throw Error(ErrorKind::backend,
                "cudaLaunchKernel: CUDA error 400 (cudaErrorInvalidResourceHandle): "
                "invalid resource handle");
  settings.fail_after -= settings.fail_after > 0;
  ++calls.launches;
  if (settings.capturing)
    settings.graph.push_back(std::move(run));
  else
    run();
}

}  // namespace simulated
using simulated::settings;

namespace {

using simulated::launch;
using simulated::run_grid;
using simulated::Team;

template <int lanes, class Kinds>
void run_update(const StepArgs& a, int blocks) {
  run_grid<UpdateShared>(
      blocks, [&](const Team& team, UpdateShared& s) { update<Kinds, lanes>(a, team, s); });
}

template <class... Kinds>
void run_update(List<Kinds...>, int kind, const StepArgs& a, int blocks) {
  if (kind == any_kind) return run_update<threads, List<Kinds...>>(a, blocks);
  const bool few = a.table.lanes == few_lanes;
  int i = 0;
  ((kind != i++ ? void()
    : few       ? run_update<few_lanes, List<Kinds>>(a, blocks)
                : run_update<threads, List<Kinds>>(a, blocks)),
   ...);
}

void copy(void* to, const void* from, int64_t bytes, bool waits, Stream stream) {
  simulated::asked(stream);
  ++calls.copies;
  calls.waits += waits;
  if (bytes) std::memcpy(to, from, static_cast<size_t>(bytes));
}

}  // namespace

void simulated::asked(Stream stream) {
  settings.streams.insert(stream);
  settings.asked_with_gil += PyGILState_Check && PyGILState_Check();
}
void simulated::replay() {
  for (const auto& run : settings.graph) run();
}

OnDevice::OnDevice(int device) : before_(device), device_(device) {}
OnDevice::~OnDevice() {}

int64_t cache_bytes() { return 1 << 20; }
int resident_blocks(int, int, bool) { return settings.resident; }
int resident_measure_blocks() { return settings.resident; }

void launch_update(int kind, const StepArgs& args, int blocks, Stream stream) {
  simulated::asked(stream);
  const auto kept = std::make_shared<StepArgs>(args);
  launch([=] { run_update(AllKinds{}, kind, *kept, blocks); });
}
void launch_measure(const StepArgs& args, int blocks, Stream stream) {
  simulated::asked(stream);
  const auto kept = std::make_shared<StepArgs>(args);
  launch([=] {
    run_grid<NormShared>(blocks, [&](const Team& t, NormShared& s) {
      s.last = false;
      measure(*kept, t, s);
    });
  });
}
void launch_write(const ManyWords& words, Stream stream) {
  simulated::asked(stream);
  const auto kept = std::make_shared<ManyWords>(words);
  launch([kept] { std::copy_n(kept->words, kept->n, kept->to); });
}
void copy_across(void* to, const void* from, int64_t bytes, Stream stream) {
  copy(to, from, bytes, false, stream);
}
void clear(void* to, int64_t bytes, Stream stream) {
  simulated::asked(stream);
  launch([=] { std::memset(to, 0, static_cast<size_t>(bytes)); });
}
void copy_in(void* to, const void* from, int64_t bytes, Stream stream) {
  copy(to, from, bytes, true, stream);
}
void copy_out(void* to, const void* from, int64_t bytes, Stream stream) {
  copy(to, from, bytes, true, stream);
}
void wait(Stream stream) {
  simulated::asked(stream);
  ++calls.waits;
}
void wait_for_all() { ++calls.waits; }
void* shared_memory(int64_t bytes) {
  static std::vector<std::unique_ptr<char[]>> kept;
  kept.push_back(std::make_unique<char[]>(static_cast<size_t>(bytes)));
  return kept.back().get();
}
bool capturing(Stream stream) {
  settings.streams.insert(stream);
  return settings.capturing && (!settings.captured || stream == settings.captured);
}
int device_count() {
  if (!settings.no_device.empty()) throw Error(ErrorKind::backend, settings.no_device);
  return 1;
}
int runtime_version() { return 0; }

}  // namespace steepest::cuda
