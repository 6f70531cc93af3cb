// Launches of a body over all elements, of the sum of a term over them, and of a factorization by
// tiles. Their definitions are in launch.cuh; the tests have others, which run the bodies over a
// simulated grid.
#pragma once
#include <cstdint>

#include "core/device.hpp"
#include "core/team.hpp"
#include "linalg/dense/space.hpp"
#include "linalg/device/tiled_cholesky.hpp"

namespace steepest::linalg {

constexpr int64_t sum_blocks = 256;  // at most; what each has is added on the host, in order

// body(i) for i below n.
template <class Body>
void launch_each(const Body& body, int64_t n, cuda::Stream stream);

// partial[b] = the sum of term(i) over block b's share of m.
template <class Term>
void launch_sum(const Term& term, int64_t m, Sums* partial, int64_t blocks, cuda::Stream stream);

// After CopyDiagonalTiles; with any number of blocks.
template <class T>
void launch_cholesky(const TiledCholesky<T>& matrix, int64_t blocks, cuda::Stream stream);

// A term of element i that copies the element first, so that one launch does both.
template <class T, class Term>
struct CopyFirst {
  const T* from;
  T* to;
  Term term;
  STEEPEST_HD Sums operator()(int64_t i) const {
    to[i] = from[i];
    return term(i);
  }
};

struct SumShared {
  Sums of[cuda::threads];
};

// The order depends on m alone: a thread takes every (blocks x threads)th element, a block's
// threads are folded in half.
template <class Term, class Team>
STEEPEST_HD void sum_block(const Term& term, int64_t m, Sums* partial, const Team& team,
                           SumShared& shared) {
  Sums* of = shared.of;
  team.phase([&](int thread) {
    Sums sum{0, 0};
    for (int64_t i = team.block * cuda::threads + thread; i < m; i += team.blocks * cuda::threads) {
      const Sums more = term(i);
      sum.first += more.first;
      sum.second += more.second;
    }
    of[thread] = sum;
  });
  for (int half = cuda::threads / 2; half > 0; half /= 2) {
    team.phase([&](int thread) {
      if (thread >= half) return;
      of[thread].first += of[thread + half].first;
      of[thread].second += of[thread + half].second;
    });
  }
  team.phase([&](int thread) {
    if (thread == 0) partial[team.block] = of[0];
  });
}

}  // namespace steepest::linalg
