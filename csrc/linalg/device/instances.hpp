// The launches that the device's linear algebra is made of, to be included after their definition.
#pragma once
#include "linalg/dense/second_derivative.hpp"
#include "linalg/device/bodies.hpp"
#include "linalg/device/tiled_cholesky.hpp"

namespace steepest::linalg {

template void launch_each(const PackRows<float>&, int64_t, cuda::Stream);
template void launch_each(const PackRows<double>&, int64_t, cuda::Stream);
template void launch_each(const SumRows<float>&, int64_t, cuda::Stream);
template void launch_each(const SumRows<double>&, int64_t, cuda::Stream);
template void launch_each(const TakeDiagonal<float>&, int64_t, cuda::Stream);
template void launch_each(const TakeDiagonal<double>&, int64_t, cuda::Stream);
template void launch_each(const WeighResidual<float>&, int64_t, cuda::Stream);
template void launch_each(const WeighResidual<double>&, int64_t, cuda::Stream);
template void launch_each(const SquareWeights<float>&, int64_t, cuda::Stream);
template void launch_each(const SquareWeights<double>&, int64_t, cuda::Stream);
template void launch_each(const SecondDerivative<float>&, int64_t, cuda::Stream);
template void launch_each(const SecondDerivative<double>&, int64_t, cuda::Stream);
template void launch_each(const ScaleUndamped<float>&, int64_t, cuda::Stream);
template void launch_each(const ScaleUndamped<double>&, int64_t, cuda::Stream);
template void launch_each(const GatherScaled<float>&, int64_t, cuda::Stream);
template void launch_each(const GatherScaled<double>&, int64_t, cuda::Stream);
template void launch_each(const ScatterStep<float>&, int64_t, cuda::Stream);
template void launch_each(const ScatterStep<double>&, int64_t, cuda::Stream);
template void launch_each(const TakeAnswer<float>&, int64_t, cuda::Stream);
template void launch_each(const TakeAnswer<double>&, int64_t, cuda::Stream);
template void launch_each(const CopyUpper<float>&, int64_t, cuda::Stream);
template void launch_each(const CopyUpper<double>&, int64_t, cuda::Stream);
template void launch_each(const StackDamping<float>&, int64_t, cuda::Stream);
template void launch_each(const StackDamping<double>&, int64_t, cuda::Stream);
template void launch_each(const ScaleColumns<float>&, int64_t, cuda::Stream);
template void launch_each(const ScaleColumns<double>&, int64_t, cuda::Stream);
template void launch_each(const GatherRight<float>&, int64_t, cuda::Stream);
template void launch_each(const GatherRight<double>&, int64_t, cuda::Stream);
template void launch_each(const CopyDiagonalTiles<float>&, int64_t, cuda::Stream);
template void launch_each(const CopyDiagonalTiles<double>&, int64_t, cuda::Stream);
template void launch_cholesky(const TiledCholesky<float>&, int64_t, cuda::Stream);
template void launch_cholesky(const TiledCholesky<double>&, int64_t, cuda::Stream);

}  // namespace steepest::linalg
