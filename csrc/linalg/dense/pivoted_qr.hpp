// Householder QR with column pivoting of a small J, and (JᵀJ)⁻¹ from it: J's condition counts, not
// its square. Businger and Golub, Numer. Math. 7 (1965) 269-276.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "linalg/dense/triangle.hpp"

namespace steepest::linalg {

// Columns j... of W (column-major, `rows` high): the one that is longest below row j comes first.
template <class T>
void pivot(T* W, int64_t rows, int64_t columns, int64_t j, int* order) {
  int64_t longest = j;
  T most = -1;
  for (int64_t k = j; k < columns; ++k) {
    T norm2 = 0;
    for (int64_t i = j; i < rows; ++i) norm2 += W[k * rows + i] * W[k * rows + i];
    if (norm2 > most) most = norm2, longest = k;
  }
  if (longest == j) return;
  std::swap_ranges(W + j * rows, W + (j + 1) * rows, W + longest * rows);
  std::swap(order[j], order[longest]);
}

// W = [J f] (m x (n + 1), column-major, m >= n) becomes [R Qᵀf] of J[:, order] = QR.
template <class T>
void pivoted_qr(T* W, int64_t m, int64_t n, int* order) {
  std::iota(order, order + n, 0);
  for (int64_t j = 0; j < n; ++j) {
    pivot(W, m, n, j, order);
    reflect(W, m, n + 1, j);
  }
}

// out = factor (JᵀJ)⁻¹, n x n, from the above; false where it is not finite, as where R is
// singular.
template <class T>
bool gram_inverse(const T* W, int64_t m, int64_t n, const int* order, T factor, T* out) {
  // R⁻¹, column by column, from R⁻¹R = 1; R's columns are those of W.
  std::vector<T> inverse(static_cast<size_t>(n * n));
  for (int64_t j = 0; j < n; ++j) {
    const T* column = W + j * m;
    T* to = inverse.data() + j * n;
    to[j] = 1 / column[j];
    for (int64_t i = 0; i < j; ++i) {
      T sum = 0;
      for (int64_t k = i; k < j; ++k) sum += inverse[static_cast<size_t>(k * n + i)] * column[k];
      to[i] = -sum * to[j];
    }
  }
  for (int64_t a = 0; a < n; ++a) {
    for (int64_t b = 0; b <= a; ++b) {
      T sum = 0;
      for (int64_t k = a; k < n; ++k) {
        sum += inverse[static_cast<size_t>(k * n + a)] * inverse[static_cast<size_t>(k * n + b)];
      }
      if (!std::isfinite(factor * sum)) return false;
      const int64_t i = order[a], j = order[b];
      out[i * n + j] = out[j * n + i] = factor * sum;
    }
  }
  return true;
}

}  // namespace steepest::linalg
