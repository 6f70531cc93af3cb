// The kernels' addresses, and how many blocks a multiprocessor is to have, for the launches.
#pragma once

namespace steepest::cuda {

const void* update_kernel_of(int kind, int lanes);
int blocks_for_long_tensors(int kind);
const void* measure_kernel_address();

}  // namespace steepest::cuda
