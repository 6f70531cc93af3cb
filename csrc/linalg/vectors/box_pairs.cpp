#include "linalg/vectors/box_pairs.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace steepest::linalg {
namespace {

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
  const int64_t m = capacity;
  double *crossed = sums.data(), *yy = crossed + m * m, *ss = yy + m * m, *sy = ss + m * m;
  const auto of_s = [](const Products& p, int64_t i) { return p.at[i * p.stride]; };
  const auto of_y = [&](const Products& p, int64_t i) { return p.at[(j + 1 + i) * p.stride]; };
  for (int64_t i = 0; i <= j; ++i) {
    crossed[j * m + i] = of_y(on_s, i);
    crossed[i * m + j] = -of_s(on_y, i);
    yy[i * m + j] = yy[j * m + i] = of_y(on_y, i);
    ss[i * m + j] = ss[j * m + i] = of_s(on_s, i);
  }
  sy[j] = of_s(on_y, j) + of_y(on_s, j);
}

double BoxPairs::scale(double otherwise) const {
  const int64_t m = capacity;
  const double *yy = sums.data() + m * m, *sy = sums.data() + 3 * m * m;
  for (int64_t i = count - 1; i >= 0; --i)
    if (sy[i] > 0 && yy[i * m + i] > 0) return sy[i] / yy[i * m + i];
  return otherwise;
}

double BoxPairs::direction(const Products& on_g, double otherwise, double* c) const {
  const double* sy = sums.data() + 3 * capacity * capacity;
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
  const int64_t m = capacity, k = static_cast<int64_t>(used.size());
  const double *crossed = sums.data(), *yy = crossed + m * m, *ss = yy + m * m, *sy = ss + m * m;
  // [P, Cᵀ, Y_Fᵀg] and, once these are [R, Z, R⁻ᵀY_Fᵀg] with P = RᵀR, [Q, S_Fᵀg / gamma + ...] with
  // Q = S_AᵀS_A / gamma + ZᵀZ
  const int64_t wide = 2 * k + 1, width = k + 1;
  std::vector<double> room(static_cast<size_t>((wide + width + 2) * k));
  double *p = room.data(), *q = p + k * wide, *a = q + k * width, *b = a + k;
  for (int64_t i = 0; i < k; ++i) {
    const int64_t pair = used[static_cast<size_t>(i)];
    for (int64_t j = 0; j < k; ++j) {
      const int64_t other = used[static_cast<size_t>(j)];
      p[i * wide + j] = gamma * yy[pair * m + other];
      p[i * wide + k + j] = crossed[other * m + pair];
      q[i * width + j] = ss[pair * m + other] / gamma;
    }
    p[i * wide + i] += sy[pair];
    p[i * wide + 2 * k] = on_g.at[(count + pair) * on_g.stride];
    q[i * width + k] = on_g.at[pair * on_g.stride] / gamma;
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
