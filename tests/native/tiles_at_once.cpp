// Cholesky by tiles, a thread for each block: under the thread sanitizer, which sees what one block
// reads of another's without having waited for it.
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "linalg/device/tiled_cholesky.hpp"

using namespace steepest;
using namespace steepest::linalg;

namespace {

// Takes one tile, so that no two are in order because one block had both.
struct Team {
  mutable bool took = false;

  template <class F>
  void phase(const F& f) const {
    for (int thread = 0; thread < cuda::threads; ++thread) f(thread);
  }
  uint32_t take(uint32_t& counter) const {
    constexpr uint32_t none = uint32_t{1} << 31;
    if (took) return none;
    took = true;
    return __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
  }
  void announce(uint32_t& flag) const {
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    std::this_thread::yield();  // who waits may read before this one goes on
  }
  void await(const uint32_t& flag) const {
    while (!__atomic_load_n(&flag, __ATOMIC_ACQUIRE)) std::this_thread::yield();
  }
  template <class T>
  T peek(const T& x) const {
    return x;
  }
};

// Ones, and n more on the diagonal.
template <class T>
void factor(int64_t n) {
  const int64_t tiles = TiledCholesky<T>::tiles_of(n);
  std::vector<T> A(static_cast<size_t>(n * n), T(1));
  std::vector<T> diagonal(static_cast<size_t>(tile_side * n));
  std::vector<uint32_t> done(static_cast<size_t>(tiles + 1), 9);
  for (int64_t j = 0; j < n; ++j) A[static_cast<size_t>(j * n + j)] = static_cast<T>(n + 1);
  int info = 9;
  const TiledCholesky<T> matrix{A.data(), n, n, diagonal.data(), done.data(), &info};
  for (int64_t e = 0; e < tile_side * n; ++e) CopyDiagonalTiles<T>{matrix}(e);
  std::vector<std::thread> blocks;
  for (int64_t b = 0; b < tiles; ++b) {
    blocks.emplace_back([&matrix] {
      TileShared<T> shared{};
      factor_tiles(matrix, Team{}, shared);
    });
  }
  for (std::thread& block : blocks) block.join();
}

}  // namespace

int main() {
  for (const int64_t n : {32, 100, 161}) {
    factor<double>(n);
    factor<float>(n);
  }
  std::puts("all factored");
}
