// The launches over residuals, to be included after their definition.
#pragma once
#include "linalg/device/launch.hpp"
#include "nlls/loss_terms.hpp"

namespace steepest::linalg {

using nlls::NonZero;
using nlls::RobustCosts;
using nlls::SquaredCosts;
using nlls::WeighRows;
using nlls::WeightPowers;

template void launch_each(const WeighRows<float>&, int64_t, cuda::Stream);
template void launch_each(const WeighRows<double>&, int64_t, cuda::Stream);
template void launch_sum(const CopyFirst<float, SquaredCosts<float>>&, int64_t, Sums*, int64_t,
                         cuda::Stream);
template void launch_sum(const CopyFirst<double, SquaredCosts<double>>&, int64_t, Sums*, int64_t,
                         cuda::Stream);
template void launch_sum(const CopyFirst<float, RobustCosts<float>>&, int64_t, Sums*, int64_t,
                         cuda::Stream);
template void launch_sum(const CopyFirst<double, RobustCosts<double>>&, int64_t, Sums*, int64_t,
                         cuda::Stream);
template void launch_sum(const WeightPowers<float>&, int64_t, Sums*, int64_t, cuda::Stream);
template void launch_sum(const WeightPowers<double>&, int64_t, Sums*, int64_t, cuda::Stream);
template void launch_sum(const NonZero<float>&, int64_t, Sums*, int64_t, cuda::Stream);
template void launch_sum(const NonZero<double>&, int64_t, Sums*, int64_t, cuda::Stream);

}  // namespace steepest::linalg
