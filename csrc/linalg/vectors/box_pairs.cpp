#include "linalg/vectors/box_pairs.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace steepest::linalg {
namespace {

// The parts of `sums`: where j is not older than i, -s_i . y_j over the free variables; where it
// is, s_i . y_j over the held ones; y_i . y_j over the free, s_i . s_j over the held; s_i . y_i
// over all.
template <class T>
struct Parts {
  Parts(T* sums, int64_t m)
      : crossed{sums, m}, yy{sums + m * m, m}, ss{sums + 2 * m * m, m}, sy(sums + 3 * m * m) {}

  Square<T> crossed, yy, ss;
  T* sy;
};

// [A, B] -> [R, R⁻ᵀB] with A = RᵀR, k rows of which the upper triangle counts; false at a pivot
// that is not above 0.
bool eliminate(double* rows, int64_t k, int64_t width) {
  for (int64_t j = 0; j < k; ++j) {
    double* row = rows + j * width;
    if (!(row[j] > 0)) return false;
    const double root = std::sqrt(row[j]);
    for (int64_t l = j; l < width; ++l) row[l] /= root;
    for (int64_t i = j + 1; i < k; ++i) {
      double* other = rows + i * width;
      for (int64_t l = i; l < width; ++l) other[l] -= row[i] * row[l];
    }
  }
  return true;
}

// x <- R⁻¹ x
void substitute(const double* rows, int64_t k, int64_t width, double* x) {
  for (int64_t j = k - 1; j >= 0; --j) {
    const double* row = rows + j * width;
    for (int64_t l = j + 1; l < k; ++l) x[j] -= row[l] * x[l];
    x[j] /= row[j];
  }
}

}  // namespace

int64_t BoxPairs::append(const Products& on_y, const Products& on_s, int64_t d) {
  d = take(d);
  learn(count - 1, on_y, on_s);
  return d;
}

void BoxPairs::learn(int64_t j, const Products& on_y, const Products& on_s) {
  const auto [crossed, yy, ss, sy] = Parts(sums.data(), capacity);
  const int64_t y = j + 1;  // after the products with the s_i are those with the y_i
  for (int64_t i = 0; i <= j; ++i) {
    crossed(j, i) = on_s[y + i];
    crossed(i, j) = -on_y[i];
    yy(i, j) = yy(j, i) = on_y[y + i];
    ss(i, j) = ss(j, i) = on_s[i];
  }
  sy[j] = on_y[j] + on_s[y + j];
}

double BoxPairs::scale(double otherwise) const {
  const auto [crossed, yy, ss, sy] = Parts(sums.data(), capacity);
  for (int64_t i = count - 1; i >= 0; --i)
    if (sy[i] > 0 && yy(i, i) > 0) return sy[i] / yy(i, i);
  return otherwise;
}

double BoxPairs::direction(const Products& on_g, double otherwise, double* c) const {
  const double* sy = Parts(sums.data(), capacity).sy;
  const double gamma = scale(otherwise);
  std::vector<int64_t> used;
  for (int64_t i = 0; i < count; ++i)
    if (sy[i] > 0) used.push_back(i);
  do {
    std::fill_n(c, 2 * count, 0.0);
    c[2 * count] = -gamma;
  } while (!solve(used, gamma, on_g, c) && (used.erase(used.begin()), true));
  return gamma;
}

// B = I / gamma - W M Wᵀ with W = [Y, S / gamma], of which
//
//   M⁻¹ = [-D   Lᵀ        ]    and    K = M⁻¹ - gamma W_Fᵀ W_F = [-P   Cᵀ            ]
//         [ L   SᵀS / gamma]                                      [ C   S_AᵀS_A / gamma]
//
// with D the s_i . y_i, L the s_i . y_j for j older than i, P = D + gamma Y_FᵀY_F, A the held
// variables and C = L - S_FᵀY_F: `crossed`. Then d_F = -gamma g - gamma² W_F K⁻¹ W_Fᵀ g.
bool BoxPairs::solve(const std::vector<int64_t>& used, double gamma, const Products& on_g,
                     double* c) const {
  const auto [crossed, yy, ss, sy] = Parts(sums.data(), capacity);
  const auto k = static_cast<int64_t>(used.size());
  // [P, Cᵀ, Y_Fᵀg] and, once these are [R, Z, R⁻ᵀY_Fᵀg] with P = RᵀR, [Q, S_Fᵀg / gamma + ...] with
  // Q = S_AᵀS_A / gamma + ZᵀZ
  const int64_t wide = 2 * k + 1, width = k + 1;
  std::vector<double> room(static_cast<size_t>((wide + width + 2) * k));
  double *p = room.data(), *q = p + k * wide, *a = q + k * width, *b = a + k;
  for (int64_t i = 0; i < k; ++i) {
    const int64_t pair = used[static_cast<size_t>(i)];
    for (int64_t j = 0; j < k; ++j) {
      const int64_t other = used[static_cast<size_t>(j)];
      p[i * wide + j] = gamma * yy(pair, other);
      p[i * wide + k + j] = crossed(other, pair);
      q[i * width + j] = ss(pair, other) / gamma;
    }
    p[i * wide + i] += sy[pair];
    p[i * wide + 2 * k] = on_g[count + pair];
    q[i * width + k] = on_g[pair] / gamma;
  }
  if (!eliminate(p, k, wide)) return false;
  for (int64_t l = 0; l < k; ++l) {
    const double* z = p + l * wide + k;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = i; j < width; ++j) q[i * width + j] += z[i] * z[j];
  }
  if (!eliminate(q, k, width)) return false;
  for (int64_t i = 0; i < k; ++i) b[i] = q[i * width + k];
  substitute(q, k, width, b);
  for (int64_t i = 0; i < k; ++i) {
    const double* z = p + i * wide + k;
    a[i] = std::inner_product(z, z + k, b, -z[k]);
  }
  substitute(p, k, wide, a);

  for (int64_t i = 0; i < k; ++i) {
    const int64_t pair = used[static_cast<size_t>(i)];
    c[pair] = -gamma * b[i];
    c[count + pair] = -gamma * gamma * a[i];
  }
  return std::all_of(c, c + 2 * count, [](double ci) { return std::isfinite(ci); });
}

}  // namespace steepest::linalg
