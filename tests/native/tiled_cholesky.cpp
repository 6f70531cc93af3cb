// Cholesky by tiles over the simulated grid: L Lᵀ is the matrix, whatever the grid and its order;
// what is not the lower triangle is left alone; a pivot that is not positive or infinite makes NaN
// of itself; a last row with a corner of its own, as in Bordered, leaves the rest as it is.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "linalg/device/launch.hpp"
#include "simulated.hpp"

using namespace steepest;
using namespace steepest::linalg;

namespace {

int failed = 0;

void must(bool holds, const char* what, int64_t n) {
  if (holds) return;
  ++failed;
  std::printf("does not hold: %s, n = %d\n", what, static_cast<int>(n));
}

size_t at(int64_t i) { return static_cast<size_t>(i); }

// By columns, ends where its memory ends; all but the lower triangle are nines.
template <class T>
struct Matrix {
  int64_t n, ld;
  std::vector<T> held = std::vector<T>(at(ld * (n - 1) + n), T(9));
  T& operator()(int64_t i, int64_t j) { return held[at(j * ld + i)]; }
};

template <class T>
Matrix<T> positive(int64_t n, int64_t ld, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  std::vector<double> rows(at(n * (n + 2)));
  for (double& r : rows) r = normal(random);
  Matrix<T> A{n, ld};
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < n + 2; ++k)
        sum += rows[at(i * (n + 2) + k)] * rows[at(j * (n + 2) + k)];
      A(i, j) = static_cast<T>(sum);
    }
  }
  return A;
}

template <class T>
Matrix<T> factored(Matrix<T> A, int64_t blocks) {
  const int64_t tiles = TiledCholesky<T>::tiles_of(A.n);
  std::vector<T> diagonal(at(tile_side * A.n), T(9));
  std::vector<uint32_t> done(at(tiles + 1), 9);
  int info = 9;
  const TiledCholesky<T> matrix{A.held.data(), A.ld, A.n, diagonal.data(), done.data(), &info};
  launch_each(CopyDiagonalTiles<T>{matrix}, tile_side * A.n, nullptr);
  cuda::simulated::finish();
  must(std::count(done.begin(), done.end(), 0u) == tiles + 1, "no tile is done before", A.n);
  launch_cholesky(matrix, blocks, nullptr);
  cuda::simulated::finish();
  must(info == 0, "info is set to 0", A.n);
  return A;
}

template <class T>
void check(int64_t n, std::mt19937_64& random) {
  const int64_t tiles = TiledCholesky<T>::tiles_of(n);
  Matrix<T> A = positive<T>(n, n + static_cast<int64_t>(random() % 3), random);
  Matrix<T> L = factored(A, 1 + static_cast<int64_t>(random() % at(tiles + 2)));
  double error = 0, largest = 0;
  bool alone = true;
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < j; ++i) alone = alone && L(i, j) == T(9);
    for (int64_t i = n; i < L.ld && j + 1 < n; ++i) alone = alone && L(i, j) == T(9);
    for (int64_t i = j; i < n; ++i) {
      double sum = 0;
      for (int64_t k = 0; k <= j; ++k) sum += double{L(i, k)} * double{L(j, k)};
      error = std::max(error, std::fabs(sum - double{A(i, j)}));
      largest = std::max(largest, std::fabs(double{A(i, j)}));
    }
  }
  // Higham, Accuracy and Stability of Numerical Algorithms (2002), theorem 10.3
  const double bound = static_cast<double>(n + 1) * std::numeric_limits<T>::epsilon();
  must(error <= bound * largest, "L Lᵀ is the matrix", n);
  must(alone, "nothing else is written", n);
  must(factored(A, tiles).held == L.held, "the same bits by another grid", n);

  // The last row 2^20 times as large, beside corners that are large enough for it and not.
  for (const T corner : {std::numeric_limits<T>::max() / 4, T(-1)}) {
    Matrix<T> bordered = A;
    for (int64_t j = 0; j + 1 < n; ++j) bordered(n - 1, j) *= T(1 << 20);
    bordered(n - 1, n - 1) = corner;
    bordered = factored(bordered, tiles);
    bool exact = corner < 0 || bordered(n - 1, n - 1) > 0;
    for (int64_t j = 0; j + 1 < n; ++j) {
      for (int64_t i = j; i + 1 < n; ++i) exact = exact && bordered(i, j) == L(i, j);
      exact = exact && bordered(n - 1, j) == L(n - 1, j) * T(1 << 20);
    }
    must(exact, "a last row leaves the rest as it is", n);
  }

  const T infinity = std::numeric_limits<T>::infinity();
  for (const T pivot : {T(0), T(-1), -infinity, infinity, std::numeric_limits<T>::quiet_NaN()}) {
    const int64_t bad = static_cast<int64_t>(random() % at(n));
    Matrix<T> indefinite = A;
    indefinite(bad, bad) = pivot;
    indefinite = factored(indefinite, tiles);
    bool before = true;
    for (int64_t j = 0; j < bad; ++j) before = before && indefinite(j, j) == L(j, j);
    must(before && std::isnan(indefinite(bad, bad)),
         "a pivot that is not positive or infinite is NaN", n);
  }
}

}  // namespace

int main() {
  std::mt19937_64 random(1);
  for (const int64_t n : {1, 2, 7, 8, 9, 31, 32, 33, 40, 63, 64, 65, 97, 130}) {
    check<double>(n, random);
    check<float>(n, random);
  }
  if (!failed) std::puts("all factored");
  return failed != 0;
}
