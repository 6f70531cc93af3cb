// The least-squares kernels' bodies over the simulated grid.
#include "linalg/device/launch.hpp"
#include "simulated.hpp"

namespace steepest::linalg {

template <class Body>
void launch_each(const Body& body, int64_t n, cuda::Stream stream) {
  cuda::simulated::launch(stream, [=] {
    for (int64_t i = n; i-- > 0;) body(i);
  });
}

template <class Term>
void launch_sum(const Term& term, int64_t m, Sums* partial, int64_t blocks, cuda::Stream stream) {
  using cuda::simulated::Team;
  cuda::simulated::launch(stream, [=] {
    cuda::simulated::run_grid<SumShared>(
        static_cast<int>(blocks),
        [&](const Team& team, SumShared& shared) { sum_block(term, m, partial, team, shared); });
  });
}

template <class T>
void launch_cholesky(const TiledCholesky<T>& matrix, int64_t blocks, cuda::Stream stream) {
  using cuda::simulated::Team;
  cuda::simulated::launch(stream, [=] {
    cuda::simulated::run_grid<TileShared<T>>(
        static_cast<int>(blocks),
        [&](const Team& team, TileShared<T>& shared) { factor_tiles(matrix, team, shared); });
  });
}

}  // namespace steepest::linalg

// after the definitions that they instantiate
#include "linalg/device/instances.hpp"
#include "nlls/device/instances.hpp"
