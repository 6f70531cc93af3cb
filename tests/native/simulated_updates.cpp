#include "simulated_updates.hpp"

#include <cstring>
#include <memory>
#include <utility>

#include "cuda/norm.hpp"
#include "cuda/runtime.hpp"

namespace steepest::cuda {
namespace simulated {
namespace {

using Args = std::shared_ptr<const StepArgs>;

// What comes of constants that were folded early, where they are used.
void spoil(UpdateShared& s) {
  for (Work& work : s.work[0])
    if (work.group >= 0) std::memset(work.record.hyper, 0xFF, sizeof work.record.hyper);
}

Body body_of(int kind, int lanes) {
  if (kind == any_kind) return {before_wait<AllKinds, Team>, after_wait<AllKinds, threads, Team>};
  return lanes == few_lanes ? with_few_lanes(kind) : of_one_kind<threads>(AllKinds{}, kind);
}

Early update_grid(const Body& body, const Args& a, int blocks) {
  Early grid;
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

}  // namespace
}  // namespace simulated

int resident_blocks(int, int, bool) { return simulated::settings.resident; }
int resident_measure_blocks() { return simulated::settings.resident; }

void launch_update(int kind, const StepArgs& args, int blocks, Stream stream) {
  const auto kept = std::make_shared<StepArgs>(args);
  simulated::launch_early(stream, [=] {
    return simulated::update_grid(simulated::body_of(kind, kept->table.lanes), kept, blocks);
  });
}
void launch_measure(const StepArgs& args, int blocks, Stream stream) {
  const auto kept = std::make_shared<StepArgs>(args);
  simulated::launch(stream, [=] {
    simulated::run_grid<NormShared>(blocks, [&](const simulated::Team& t, NormShared& s) {
      s.last = false;
      measure(*kept, t, s);
    });
  });
}

}  // namespace steepest::cuda
