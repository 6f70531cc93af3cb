// The kernels' addresses, for the launches.
#pragma once

namespace steepest::cuda {

const void* update_kernel_of(int kind);
const void* measure_kernel_address();

}  // namespace steepest::cuda
