#include "linalg/two_loop.hpp"

#include <algorithm>
#include <cmath>

namespace steepest::linalg {

void append_pair(PairProducts& pairs, const Products& on_y, double step, double ratio) {
  const int64_t m = pairs.capacity;
  if (pairs.count == m) {
    for (double* a : {pairs.steps, pairs.ratios}) std::copy(a + 1, a + m, a);
    for (double* a : {pairs.sy, pairs.yy})
      for (int64_t i = 1; i < m; ++i) std::copy(a + i * m + 1, a + (i + 1) * m, a + (i - 1) * m);
  } else {
    ++pairs.count;
  }
  const int64_t newest = pairs.count - 1;
  pairs.steps[newest] = step;
  pairs.ratios[newest] = ratio;
  for (int64_t i = 0; i <= newest; ++i) {
    const double yy = on_y.at[(pairs.count + i) * on_y.stride];
    pairs.sy[i * m + newest] = pairs.steps[i] * on_y.at[i * on_y.stride];
    pairs.yy[i * m + newest] = pairs.yy[newest * m + i] = yy;
  }
}

Direction two_loop(const PairProducts& pairs, const Products& on_g, double otherwise, double* c) {
  const int64_t m = pairs.capacity, count = pairs.count;
  double *on_s = c, *on_y = c + count;
  const auto curved = [&](int64_t i) { return pairs.sy[i * m + i] > 0; };
  std::fill_n(c, 2 * count, 0.0);

  // q = g + sum on_y y, from the newest pair to the oldest
  double gamma = 0;
  for (int64_t i = count - 1; i >= 0; --i) {
    if (!curved(i)) continue;
    if (gamma == 0) gamma = pairs.sy[i * m + i] / pairs.yy[i * m + i];
    double sq = pairs.steps[i] * on_g.at[i * on_g.stride];
    for (int64_t j = count - 1; j > i; --j) sq += on_y[j] * pairs.sy[i * m + j];
    on_y[i] = -sq / pairs.sy[i * m + i];
  }
  if (gamma == 0) gamma = otherwise;

  // r = gamma q + sum on_s s, from the oldest pair to the newest
  for (int64_t i = 0; i < count; ++i) {
    if (!curved(i)) continue;
    double yr = on_g.at[(count + i) * on_g.stride];
    for (int64_t j = 0; j < count; ++j) yr += on_y[j] * pairs.yy[i * m + j];
    yr *= gamma;
    for (int64_t j = i - 1; j >= 0; --j) yr += on_s[j] * pairs.sy[j * m + i];
    on_s[i] = -on_y[i] / pairs.ratios[i] - yr / pairs.sy[i * m + i];
  }

  // d = -r
  for (int64_t i = 0; i < count; ++i) {
    on_s[i] *= -pairs.steps[i];
    on_y[i] *= -gamma;
  }
  c[2 * count] = -gamma;
  Direction d{gamma, 0, 0};
  for (int64_t i = 0; i <= 2 * count; ++i) {
    d.slope += c[i] * on_g.at[i * on_g.stride];
    d.magnitude = std::max(d.magnitude, std::fabs(c[i] * on_g.at[i * on_g.stride]));
  }
  return d;
}

}  // namespace steepest::linalg
