// The kernels: the bodies over a real grid. Two update kernels a rule and type, one of them for
// very short tensors, and one of all for lists that mix them.
#include "cuda/kinds.hpp"
#include "cuda/norm.hpp"
#include "cuda/runtime.hpp"
#include "cuda/update.hpp"

namespace steepest::cuda {
namespace {

// Blocks a multiprocessor, by the number of the rule's states: 4 leave a thread 64 registers, 3
// leave 80. None spills.
#if __CUDA_ARCH__ >= 1000
constexpr int of_floats[] = {4, 4, 3, 3, 3};
#else
constexpr int of_floats[] = {4, 4, 4, 3, 3};
#endif
constexpr int of_doubles[] = {3, 4, 3, 2, 2};

template <class Kinds>
constexpr int least_resident = 1;
template <class Rule>
constexpr int least_resident<List<Kind<Rule, float>>> = of_floats[Rule::n_states];
template <class Rule>
constexpr int least_resident<List<Kind<Rule, double>>> = of_doubles[Rule::n_states];

// Blocks a multiprocessor where tensors are long: as many as have about 48 KB of reads in flight.
// More of them read farther from each other, and memory is slower: on an H200 Adam reached 0.99 of
// a copy's bandwidth with 3 and 0.98 with 4, AMSGrad 0.965 with 2 and 0.95 with 3. Short tensors
// are faster with more blocks.
template <class Rule>
constexpr int for_long_tensors =
    (48 << 10) / (threads * 16 * (2 + Rule::n_states) * packs_in_flight<Rule>);

template <class Kinds, int lanes>
__global__ void __launch_bounds__(threads, least_resident<Kinds>)
    update_kernel(const __grid_constant__ StepArgs args) {
  __shared__ UpdateShared shared;
  update<Kinds, lanes>(args, DeviceTeam{blockIdx.x, gridDim.x}, shared);
}

__global__ void __launch_bounds__(threads, 4)
    measure_kernel(const __grid_constant__ StepArgs args) {
  __shared__ NormShared shared;
  measure(args, DeviceTeam{blockIdx.x, gridDim.x}, shared);
}

template <int lanes, class... Kinds>
const void* update_kernel_of(List<Kinds...>, int kind) {
  static const void* const table[] = {
      reinterpret_cast<const void*>(&update_kernel<List<Kinds>, lanes>)...};
  return table[kind];
}

template <class... Kinds>
int blocks_for_long_tensors(List<Kinds...>, int kind) {
  static constexpr int table[] = {for_long_tensors<typename Kinds::Rule>...};
  return table[kind];
}

const void* update_kernel_of(int kind, int lanes) {
  if (kind == any_kind) return reinterpret_cast<const void*>(&update_kernel<AllKinds, threads>);
  return lanes == few_lanes ? update_kernel_of<few_lanes>(AllKinds{}, kind)
                            : update_kernel_of<threads>(AllKinds{}, kind);
}
int blocks_for_long_tensors(int kind) {
  return kind == any_kind ? 1 : blocks_for_long_tensors(AllKinds{}, kind);
}
const void* address_of_measure_kernel() { return reinterpret_cast<const void*>(&measure_kernel); }

void launch_step(const void* kernel, const StepArgs& args, int blocks, Stream stream) {
  void* arguments[] = {const_cast<StepArgs*>(&args)};
  launch_early(kernel, arguments, blocks, threads, stream);
}

}  // namespace

int resident_blocks(int kind, int lanes, bool long_tensors) {
  const int most = long_tensors ? blocks_for_long_tensors(kind) : threads;
  return resident(update_kernel_of(kind, lanes), threads, most);
}
int resident_measure_blocks() { return resident(address_of_measure_kernel(), threads, threads); }

void launch_update(int kind, const StepArgs& args, int blocks, Stream stream) {
  launch_step(update_kernel_of(kind, args.table.lanes), args, blocks, stream);
}
void launch_measure(const StepArgs& args, int blocks, Stream stream) {
  launch_step(address_of_measure_kernel(), args, blocks, stream);
}

}  // namespace steepest::cuda
