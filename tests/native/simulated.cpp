#include "simulated.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

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

namespace {

using Parts = std::vector<std::function<void()>>;
Parts left;

void run_all(const Parts& parts) {
  for (const auto& part : parts) part();
}

}  // namespace

void finish() { run_all(std::exchange(left, {})); }

void launch_early(std::function<Early()> begin) {
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

void launch(std::function<void()> run) {
  launch_early([run] { return Early{[] {}, {run}}; });
}

}  // namespace simulated
using simulated::settings;

namespace {

using simulated::each_block;
using simulated::launch;
using simulated::Parts;
using simulated::run_all;
using simulated::run_grid;
using simulated::shuffled;
using simulated::Team;

using Args = std::shared_ptr<const StepArgs>;

// What comes of constants that were folded early, where they are used.
void spoil(UpdateShared& s) {
  for (Work& work : s.work[0])
    if (work.group >= 0) std::memset(work.record.hyper, 0xFF, sizeof work.record.hyper);
}

// The update kernel of a kind, before the wait and after it.
struct Body {
  void (*before)(const StepArgs&, const Team&, UpdateShared&);
  void (*after)(const StepArgs&, const Team&, UpdateShared&);
};

template <class... Kinds>
Body body_of(List<Kinds...>, int kind, int lanes) {
  if (kind == any_kind)
    return {before_wait<List<Kinds...>, Team>, after_wait<List<Kinds...>, threads, Team>};
  static constexpr Body wide[] = {
      {before_wait<List<Kinds>, Team>, after_wait<List<Kinds>, threads, Team>}...};
  static constexpr Body narrow[] = {
      {before_wait<List<Kinds>, Team>, after_wait<List<Kinds>, few_lanes, Team>}...};
  return (lanes == few_lanes ? narrow : wide)[kind];
}

simulated::Early update_grid(const Body& body, const Args& a, int blocks) {
  simulated::Early grid;
  Parts early;
  each_block<UpdateShared>(blocks, [&](const Team& team, const auto& shared) {
    const auto begun = std::make_shared<bool>(false);
    const auto before = [=] {
      if (std::exchange(*begun, true)) return;
      body.before(*a, team, *shared);
      if (settings.spoil && a->early) spoil(*shared);
    };
    if (settings.at_once >= 0 || shuffled(3)[0] > 0) early.push_back(before);
    grid.parts.push_back([=] {
      before();
      body.after(*a, team, *shared);
    });
  });
  grid.before = [early] { run_all(early); };
  return grid;
}

void copy(void* to, const void* from, int64_t bytes, bool waits, Stream stream) {
  simulated::asked(stream);
  simulated::finish();
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

int multiprocessors() { return settings.multiprocessors; }
int64_t cache_bytes() { return settings.cache_bytes; }
int resident_blocks(int, int, bool) { return settings.resident; }
int resident_measure_blocks() { return settings.resident; }

void launch_update(int kind, const StepArgs& args, int blocks, Stream stream) {
  simulated::asked(stream);
  const auto kept = std::make_shared<StepArgs>(args);
  simulated::launch_early(
      [=] { return update_grid(body_of(AllKinds{}, kind, kept->table.lanes), kept, blocks); });
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
  simulated::launch_early([kept] {
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
  simulated::finish();
  ++calls.waits;
}
void wait_for_all() {
  simulated::finish();
  ++calls.waits;
}
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
