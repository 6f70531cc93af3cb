// (JᵀJ)⁻¹ of a small J, by Householder QR with column pivoting: J's condition counts, not its
// square. Businger and Golub, Numer. Math. 7 (1965) 269-276.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "linalg/rows.hpp"
#include "linalg/triangle.hpp"

namespace steepest::linalg {

// Columns j... of W (column-major, `rows` high): the one that is longest below row j comes first.
template <class T>
void pivot(T* W, int64_t rows, int64_t columns, int64_t j, std::vector<int64_t>& order) {
  int64_t longest = j;
  T most = -1;
  for (int64_t k = j; k < columns; ++k) {
    T norm2 = 0;
    for (int64_t i = j; i < rows; ++i) norm2 += W[k * rows + i] * W[k * rows + i];
    if (norm2 > most) most = norm2, longest = k;
  }
  if (longest == j) return;
  std::swap_ranges(W + j * rows, W + (j + 1) * rows, W + longest * rows);
  std::swap(order[static_cast<size_t>(j)], order[static_cast<size_t>(longest)]);
}

// out = factor (JᵀJ)⁻¹, n x n; false where R is singular or the inverse is not finite.
template <class T>
bool gram_inverse(const Rows<T>& J, T factor, T* out) {
  const int64_t m = J.m, n = J.n;
  if (m < n) return false;
  std::vector<T> W(static_cast<size_t>(m * n));
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  const int64_t down = J.row_major ? J.ld : 1, across = J.row_major ? 1 : J.ld;
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < m; ++i)
      W[static_cast<size_t>(j * m + i)] = J.data[i * down + j * across];
  }
  for (int64_t j = 0; j < n; ++j) {
    pivot(W.data(), m, n, j, order);
    reflect(W.data(), m, n, j);
  }
  // R⁻¹ in the place of R, column by column: R⁻¹ R = 1.
  for (int64_t j = 0; j < n; ++j) {
    T* column = W.data() + j * m;
    if (column[j] == 0) return false;
    column[j] = 1 / column[j];
    for (int64_t i = 0; i < j; ++i) {
      T sum = 0;
      for (int64_t k = i; k < j; ++k) sum += W[static_cast<size_t>(k * m + i)] * column[k];
      column[i] = sum;  // rows below i still hold R
    }
    for (int64_t i = 0; i < j; ++i) column[i] *= -column[j];
  }
  for (int64_t a = 0; a < n; ++a) {
    for (int64_t b = 0; b <= a; ++b) {
      T sum = 0;
      for (int64_t k = a; k < n; ++k) {
        sum += W[static_cast<size_t>(k * m + a)] * W[static_cast<size_t>(k * m + b)];
      }
      if (!std::isfinite(sum)) return false;
      const int64_t i = order[static_cast<size_t>(a)], j = order[static_cast<size_t>(b)];
      out[i * n + j] = out[j * n + i] = factor * sum;
    }
  }
  return true;
}

}  // namespace steepest::linalg
