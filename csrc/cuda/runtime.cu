#include "cuda/runtime.hpp"

namespace steepest::cuda {
namespace {

void launch_step(const void* kernel, const StepArgs& args, int blocks, Stream stream) {
  void* arguments[] = {const_cast<StepArgs*>(&args)};
  launch_early(kernel, arguments, blocks, threads, stream);
}

}  // namespace

int resident_blocks(int kind, int lanes, bool long_tensors) {
  const int most = long_tensors ? blocks_for_long_tensors(kind) : threads;
  return resident(update_kernel_of(kind, lanes), threads, most);
}
int resident_measure_blocks() { return resident(measure_kernel_address(), threads, threads); }

void launch_update(int kind, const StepArgs& args, int blocks, Stream stream) {
  launch_step(update_kernel_of(kind, args.table.lanes), args, blocks, stream);
}
void launch_measure(const StepArgs& args, int blocks, Stream stream) {
  launch_step(measure_kernel_address(), args, blocks, stream);
}

}  // namespace steepest::cuda
