#include "linalg/two_loop.hpp"

#include <algorithm>
#include <cmath>

namespace steepest::linalg {

Direction two_loop(const PairProducts& pairs, double otherwise, double* c) {
  const int64_t m = pairs.capacity, count = pairs.count;
  double *on_s = c, *on_y = c + count;
  // the place of the pair that is `age` younger ones away from the newest
  const auto place = [&](int64_t age) { return (pairs.newest - age + m) % m; };
  const auto curved = [&](int64_t i) { return pairs.sy[i * m + i] > 0; };
  const auto on_g = [&](int64_t i) { return pairs.on_g[i * pairs.stride]; };
  std::fill_n(c, 2 * count, 0.0);

  // q = g + sum on_y y, from the newest pair to the oldest
  double gamma = 0;
  for (int64_t age = 0; age < count; ++age) {
    const int64_t i = place(age);
    if (!curved(i)) continue;
    if (gamma == 0) gamma = pairs.sy[i * m + i] / pairs.yy[i * m + i];
    double sq = on_g(i);
    for (int64_t younger = 0; younger < age; ++younger) {
      const int64_t j = place(younger);
      sq += on_y[j] * pairs.sy[i * m + j];
    }
    on_y[i] = -sq / pairs.sy[i * m + i];
  }
  if (gamma == 0) gamma = otherwise;

  // r = gamma q + sum on_s s, from the oldest pair to the newest
  for (int64_t age = count - 1; age >= 0; --age) {
    const int64_t i = place(age);
    if (!curved(i)) continue;
    double yr = on_g(count + i);
    for (int64_t j = 0; j < count; ++j) yr += on_y[j] * pairs.yy[i * m + j];
    yr *= gamma;
    for (int64_t older = age + 1; older < count; ++older) {
      const int64_t j = place(older);
      yr += on_s[j] * pairs.sy[j * m + i];
    }
    on_s[i] = -on_y[i] - yr / pairs.sy[i * m + i];
  }

  // d = -r
  for (int64_t i = 0; i < count; ++i) {
    on_s[i] = -on_s[i];
    on_y[i] *= -gamma;
  }
  c[2 * count] = -gamma;
  Direction d{gamma, 0, 0};
  for (int64_t i = 0; i <= 2 * count; ++i) {
    d.slope += c[i] * on_g(i);
    d.magnitude = std::max(d.magnitude, std::fabs(c[i] * on_g(i)));
  }
  return d;
}

}  // namespace steepest::linalg
