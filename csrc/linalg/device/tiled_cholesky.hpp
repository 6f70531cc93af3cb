// Cholesky of a matrix by columns, of its lower triangle in place, in one launch: cuSOLVER has one
// block do all the work of a small one (n = 501, float64: 200 us on an H100; this takes 114).
//
// Left-looking by tiles of 32 x 32, from left to right and from above: L(i,k) L(j,k)ᵀ is taken off
// tile (i, j) for k < j, once those tiles are done, and the rest is divided by L(j,j)ᵀ. A block
// does not wait for L(j,j): it factors the tile on the diagonal again, as 32 rows more beside its
// own, which takes less time.
#pragma once
#include <cmath>
#include <cstdint>

#include "core/team.hpp"

namespace steepest::linalg {

constexpr int tile_side = 32;

template <class T>
struct TiledCholesky {
  T* A;
  int64_t ld, n;
  T* diagonal;     // of the tiles there, a copy: CopyDiagonalTiles
  uint32_t* done;  // how many tiles are taken; then, for each tile, whether it is done
  int* info;       // 0: where a pivot is not positive, the diagonal has NaN

  STEEPEST_HD static int64_t tiles_down(int64_t n) { return (n + tile_side - 1) / tile_side; }
  STEEPEST_HD static int64_t tiles_of(int64_t n) {  // of the triangle
    return tiles_down(n) * (tiles_down(n) + 1) / 2;
  }
};

// What a factorization begins with. For e below 32 n, of which there are more than tiles.
template <class T>
struct CopyDiagonalTiles {
  TiledCholesky<T> a;

  STEEPEST_HD void operator()(int64_t e) const {
    const int64_t j = e / tile_side, i = j - j % tile_side + e % tile_side;
    if (j <= i && i < a.n) a.diagonal[e] = a.A[j * a.ld + i];
    if (e <= a.tiles_of(a.n)) a.done[e] = 0;
  }
};

template <class T>
struct TileShared {
  static constexpr int strip = 8;  // columns of L at a time
  uint32_t taken;
  // By columns. Of the panel and the strip the first 32 rows are those of the diagonal's tile.
  T left[tile_side][tile_side], right[tile_side][tile_side];
  T panel[tile_side][2 * tile_side], L[strip][2 * tile_side];
};

template <class T>
STEEPEST_HD T inverse_root(T x) {
#ifdef __CUDA_ARCH__
  return rsqrt(x);
#else
  return 1 / std::sqrt(x);
#endif
}

// f(row, column) of a tile, by threads that lie beside each other in columns.
template <class F>
STEEPEST_HD void each_of_tile(int thread, const F& f) {
  constexpr int apart = cuda::threads / tile_side;
  STEEPEST_UNROLL
  for (int c = 0; c < tile_side; c += apart) f(thread % tile_side, c + thread / tile_side);
}

// The row and column of a tile among t x t; tiles are counted down the columns of the triangle.
struct TilePlace {
  int64_t i, j;

  STEEPEST_HD static TilePlace of(int64_t tile, int64_t t) {
    int64_t j = 0;
    for (; tile >= t - j; ++j) tile -= t - j;
    return {j + tile, j};
  }
  STEEPEST_HD static int64_t number(int64_t i, int64_t j, int64_t t) {
    return j * t - j * (j - 1) / 2 + i - j;
  }
  STEEPEST_HD int64_t top() const { return i * tile_side; }
  STEEPEST_HD int64_t across() const { return j * tile_side; }
};

// The tile and, above it, the one on the diagonal; the unit matrix below and beside the matrix.
template <class T>
STEEPEST_HD void load_panel(const TiledCholesky<T>& a, TilePlace at, int thread, TileShared<T>& s) {
  each_of_tile(thread, [&](int row, int c) {
    const int64_t j = at.across() + c, above = at.across() + row, i = at.top() + row;
    const bool in_diagonal = j <= above && above < a.n;
    s.panel[c][row] = in_diagonal ? a.diagonal[j * tile_side + row] : T(row == c);
    s.panel[c][tile_side + row] = j < a.n && i < a.n ? a.A[j * a.ld + i] : T(0);
  });
}

// L(i,k) and L(j,k).
template <class T, class Team>
STEEPEST_HD void load_factors(const TiledCholesky<T>& a, TilePlace at, int64_t k, int thread,
                              const Team& team, TileShared<T>& s) {
  each_of_tile(thread, [&](int row, int c) {
    const T* column = a.A + (k * tile_side + c) * a.ld;
    const int64_t i = at.top() + row, j = at.across() + row;
    s.left[c][row] = i < a.n ? team.peek(column[i]) : T(0);
    s.right[c][row] = j < a.n ? team.peek(column[j]) : T(0);
  });
}

// Takes L(j,k) L(j,k)ᵀ and L(i,k) L(j,k)ᵀ off the panel.
template <class T>
STEEPEST_HD void subtract_products(int thread, TileShared<T>& s) {
  constexpr int each = tile_side * tile_side / cuda::threads;  // columns
  const int row = thread % tile_side, first = thread / tile_side * each;
  T own[each] = {}, diagonal[each] = {};
  for (int c = 0; c < tile_side; ++c) {
    const T l = s.left[c][row], d = s.right[c][row];
    STEEPEST_UNROLL
    for (int e = 0; e < each; ++e) {
      const T r = s.right[c][first + e];
      own[e] = std::fma(l, r, own[e]);
      diagonal[e] = std::fma(d, r, diagonal[e]);
    }
  }
  STEEPEST_UNROLL
  for (int e = 0; e < each; ++e) {
    s.panel[first + e][row] -= diagonal[e];
    s.panel[first + e][tile_side + row] -= own[e];
  }
}

// Factors the panel, eight columns at a time. Each thread does one row, and finds what it needs of
// the diagonal's tile for itself.
template <class T, class Team, class Write>
STEEPEST_HD void factor_panel(const Team& team, int rows, TileShared<T>& s, const Write& write) {
  constexpr int strip = TileShared<T>::strip;
  for (int b = 0; b < tile_side; b += strip) {
    team.phase([&](int row) {
      if (row < b || row >= rows) return;
      T D[strip][strip], v[strip];
      STEEPEST_UNROLL
      for (int c = 0; c < strip; ++c) {
        STEEPEST_UNROLL
        for (int r = c; r < strip; ++r) D[r][c] = s.panel[b + c][b + r];
        v[c] = s.panel[b + c][row];
      }
      STEEPEST_UNROLL
      for (int c = 0; c < strip; ++c) {
        const T scale = inverse_root(D[c][c]);
        STEEPEST_UNROLL
        for (int r = c + 1; r < strip; ++r) D[r][c] *= scale;
        v[c] *= scale;
        STEEPEST_UNROLL
        for (int e = c + 1; e < strip; ++e) {
          STEEPEST_UNROLL
          for (int r = e; r < strip; ++r) D[r][e] = std::fma(-D[r][c], D[e][c], D[r][e]);
          v[e] = std::fma(-v[c], D[e][c], v[e]);
        }
      }
      STEEPEST_UNROLL
      for (int c = 0; c < strip; ++c) {
        s.L[c][row] = v[c];
        write(row, b + c, v[c]);
      }
    });
    team.phase([&](int thread) {
      const int row = thread % (2 * tile_side), columns = cuda::threads / (2 * tile_side);
      if (row < b + strip || row >= rows) return;
      T v[strip];
      STEEPEST_UNROLL
      for (int c = 0; c < strip; ++c) v[c] = s.L[c][row];
      for (int e = b + strip + thread / (2 * tile_side); e < tile_side; e += columns) {
        T sum = s.panel[e][row];
        STEEPEST_UNROLL
        for (int c = 0; c < strip; ++c) sum = std::fma(-v[c], s.L[c][e], sum);
        s.panel[e][row] = sum;
      }
    });
  }
}

template <class T, class Team>
STEEPEST_HD void factor_tiles(const TiledCholesky<T>& a, const Team& team, TileShared<T>& s) {
  const int64_t t = a.tiles_down(a.n);
  for (;;) {
    // In order, so that no tile waits for one that nobody has begun.
    team.phase([&](int thread) {
      if (thread == 0) s.taken = team.take(a.done[0]);
    });
    const int64_t tile = s.taken;
    if (tile >= a.tiles_of(a.n)) return;
    const TilePlace at = TilePlace::of(tile, t);
    // By threads of two warps, as each look takes a while.
    const auto wait = [&](int thread, int64_t k) {
      if (thread == 0) team.await(a.done[1 + TilePlace::number(at.i, k, t)]);
      if (thread == 32) team.await(a.done[1 + TilePlace::number(at.j, k, t)]);
    };
    team.phase([&](int thread) {
      load_panel(a, at, thread, s);
      if (at.j > 0) wait(thread, 0);
    });
    for (int64_t k = 0; k < at.j; ++k) {
      team.phase([&](int thread) { load_factors(a, at, k, thread, team, s); });
      team.phase([&](int thread) {
        subtract_products(thread, s);
        if (k + 1 < at.j) wait(thread, k + 1);
      });
    }
    const bool on_diagonal = at.i == at.j;
    factor_panel(team, on_diagonal ? tile_side : 2 * tile_side, s, [&](int row, int c, T value) {
      const bool own = on_diagonal ? row >= c : row >= tile_side;
      const int64_t i = at.top() + row % tile_side, j = at.across() + c;
      if (own && i < a.n && j < a.n) a.A[j * a.ld + i] = value;
    });
    team.phase([&](int thread) {
      if (thread != 0) return;
      team.announce(a.done[1 + tile]);
      if (tile == 0) *a.info = 0;
    });
  }
}

}  // namespace steepest::linalg
