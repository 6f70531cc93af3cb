// The numbers behind the enums of cuBLAS and cuSOLVER that are used here.
#pragma once

namespace steepest::linalg {

constexpr int lower_triangle = 0, upper_triangle = 1, any_diagonal = 0;
constexpr int as_it_is = 0, transposed = 1;
template <class T>
constexpr int cuda_type = sizeof(T) == 4 ? 0 : 1;  // CUDA_R_32F, CUDA_R_64F

}  // namespace steepest::linalg
