// Launches of the kernels of a step, defined in kernels.cu. The tests have others below a plan,
// which run the kernels over a simulated grid.
#pragma once
#include "core/device.hpp"
#include "cuda/kinds.hpp"
#include "cuda/table.hpp"

namespace steepest::cuda {

// kind: its number in AllKinds, or any_kind; lanes: as in Table.
// Blocks that the device is to run at a time.
int resident_blocks(int kind, int lanes, bool long_tensors);
int resident_measure_blocks();
void launch_update(int kind, const StepArgs& args, int blocks, Stream stream);
void launch_measure(const StepArgs& args, int blocks, Stream stream);

}  // namespace steepest::cuda
