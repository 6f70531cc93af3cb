// The kernels: the bodies over a real grid. One update kernel a rule, which has both types, and one
// of all rules for lists that mix them.
#include "cuda/kernels.hpp"
#include "cuda/norm.hpp"
#include "cuda/update.hpp"

namespace steepest::cuda {
namespace {

// Blocks a multiprocessor: 3 leave a thread 80 registers, which hold a rule of up to two states
// without a spill; from Blackwell on the compiler takes more.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int of_one_rule = 2;
#else
constexpr int of_one_rule = 3;
#endif
template <class Rules>
constexpr int resident = 1;
template <class Rule>
constexpr int resident<List<Rule>> = Rule::n_states < 3 ? of_one_rule : 2;

template <class Rules>
__global__ void __launch_bounds__(threads, resident<Rules>)
    update_kernel(const __grid_constant__ StepArgs args) {
  __shared__ UpdateShared shared;
  update<Rules>(args, DeviceTeam{blockIdx.x, gridDim.x}, shared);
}

__global__ void __launch_bounds__(threads, 4)
    measure_kernel(const __grid_constant__ StepArgs args) {
  __shared__ NormShared shared;
  measure(args, DeviceTeam{blockIdx.x, gridDim.x}, shared);
}

template <class... Rules>
const void* update_kernel_of(List<Rules...>, int rule) {
  static const void* const table[] = {
      reinterpret_cast<const void*>(&update_kernel<List<Rules>>)...};
  return table[rule];
}

}  // namespace

const void* update_kernel_of(int rule) {
  if (rule == any_rule) return reinterpret_cast<const void*>(&update_kernel<base::AllRules>);
  return update_kernel_of(base::AllRules{}, rule);
}
const void* measure_kernel_address() { return reinterpret_cast<const void*>(&measure_kernel); }

}  // namespace steepest::cuda
