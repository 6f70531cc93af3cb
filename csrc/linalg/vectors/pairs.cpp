#include "linalg/vectors/pairs.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace steepest::linalg {
namespace {

// The parts of `sums`: s_i . y_j, for j not older than i; y_i . y_j; the steps; the ratios.
template <class T>
struct Parts {
  Parts(T* sums, int64_t m)
      : sy{sums, m}, yy{sums + m * m, m}, steps(sums + 2 * m * m), ratios(steps + m) {}

  Square<T> sy, yy;
  T *steps, *ratios;
};

}  // namespace

double curvature_ratio(const AtPoint& from, const AtPoint& to, double step, double roundoff) {
  constexpr double least = 0.5;
  const double mean = step * (to.slope - from.slope), noise = 10 * roundoff * std::fabs(from.f);
  if (!(100 * noise < mean && std::isfinite(mean))) return 1;
  const double ratio = 6 * (from.f - to.f + step * to.slope) / mean - 2;
  if (!(0 < ratio && ratio <= 2)) return 1;  // φ'' is linear, and below 0 at one end
  return std::max(ratio, least);
}

PairRows::PairRows(int64_t m, int64_t first_row, int64_t matrices, int64_t rows)
    : capacity(m),
      d_rows(at(m)),
      y_rows(at(m)),
      sums(at((matrices * m + rows) * m)),
      matrices_(matrices) {
  std::iota(d_rows.begin(), d_rows.end(), first_row);
  std::iota(y_rows.begin(), y_rows.end(), first_row + m);
}

std::vector<int64_t> PairRows::rows(int64_t first, const std::vector<int64_t>& d) const {
  std::vector<int64_t> out;
  out.reserve(at(2 * count + 1));
  out.insert(out.end(), d_rows.begin() + first, d_rows.begin() + count);
  out.insert(out.end(), d.begin(), d.end());
  out.insert(out.end(), y_rows.begin() + first, y_rows.begin() + count);
  return out;
}

int64_t PairRows::take(int64_t d) {
  const int64_t m = capacity;
  if (count == m) {
    for (auto* of : {&d_rows, &y_rows}) std::rotate(of->begin(), of->begin() + 1, of->end());
    double *a = sums.data(), *end = a + sums.size();
    for (int64_t k = 0; k < matrices_; ++k, a += m * m)
      for (int64_t i = 1; i < m; ++i) std::copy(a + i * m + 1, a + (i + 1) * m, a + (i - 1) * m);
    for (; a != end; a += m) std::copy(a + 1, a + m, a);
  } else {
    ++count;
  }
  std::swap(d_rows[at(count - 1)], d);
  return d;
}

int64_t Pairs::append(const Products& on_y, double step, double ratio, int64_t d) {
  d = take(d);
  const int64_t newest = count - 1;
  const Parts of(sums.data(), capacity);
  of.steps[newest] = step;
  of.ratios[newest] = ratio;
  learn(newest, on_y);
  return d;
}

void Pairs::learn(int64_t j, const Products& on_y) {
  const auto [sy, yy, steps, ratios] = Parts(sums.data(), capacity);
  for (int64_t i = 0; i <= j; ++i) {
    sy(i, j) = steps[i] * on_y[i];
    yy(i, j) = yy(j, i) = on_y[j + 1 + i];
  }
}

double Pairs::direction(const Products& on_g, double otherwise, double* c) const {
  const auto [sy, yy, steps, ratios] = Parts(sums.data(), capacity);
  double *on_s = c, *on_y = c + count;
  std::fill_n(c, 2 * count, 0.0);

  // q = g + sum on_y y, from the newest pair to the oldest
  double gamma = 0;
  for (int64_t i = count - 1; i >= 0; --i) {
    if (!(sy(i, i) > 0)) continue;
    if (gamma == 0) gamma = sy(i, i) / yy(i, i);
    double sq = steps[i] * on_g[i];
    for (int64_t j = count - 1; j > i; --j) sq += on_y[j] * sy(i, j);
    on_y[i] = -sq / sy(i, i);
  }
  if (gamma == 0) gamma = otherwise;

  // r = gamma q + sum on_s s, from the oldest pair to the newest
  for (int64_t i = 0; i < count; ++i) {
    if (!(sy(i, i) > 0)) continue;
    double yr = on_g[count + i];
    for (int64_t j = 0; j < count; ++j) yr += on_y[j] * yy(i, j);
    yr *= gamma;
    for (int64_t j = i - 1; j >= 0; --j) yr += on_s[j] * sy(j, i);
    on_s[i] = -on_y[i] / ratios[i] - yr / sy(i, i);
  }

  // d = -r
  for (int64_t i = 0; i < count; ++i) {
    on_s[i] *= -steps[i];
    on_y[i] *= -gamma;
  }
  c[2 * count] = -gamma;
  double slope = 0;
  for (int64_t i = 0; i <= 2 * count; ++i) slope += c[i] * on_g[i];
  return slope;
}

double Pairs::second_pass(const Products& on_g, double otherwise, double* c) const {
  const int64_t before = 2 * count, x = before + 1, d = before + 2, g = before + 3, width = g + 1;
  std::fill_n(c, 5 * width, 0.0);
  double* row = c + 2 * width;
  const double slope = direction(on_g, otherwise, row);
  std::swap(row[before], row[g]);
  c[before] = -1;
  c[g] = c[width + g] = 1;
  for (int64_t i : {3, 4}) c[i * width + x] = c[i * width + d] = 1;
  return slope;
}

}  // namespace steepest::linalg
