// The kernels' addresses, for the launches.
#pragma once

namespace steepest::cuda {

constexpr int any_rule = -1;  // in the place of a rule's number: tensors have several
const void* update_kernel_of(int rule);
const void* measure_kernel_address();

}  // namespace steepest::cuda
