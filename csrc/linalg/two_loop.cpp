#include "linalg/two_loop.hpp"

#include <algorithm>

namespace steepest::linalg {

double two_loop(const PairProducts& pairs, double scale, double* on_s, double* on_y) {
  const int64_t m = pairs.capacity, count = pairs.count;
  // the place of the pair that is `age` younger ones away from the newest
  const auto place = [&](int64_t age) { return (pairs.newest - age + m) % m; };
  const auto curved = [&](int64_t i) { return pairs.sy[i * m + i] > 0; };
  std::fill_n(on_s, count, 0.0);
  std::fill_n(on_y, count, 0.0);

  // q = g + sum on_y y, from the newest pair to the oldest
  double gamma = 0;
  for (int64_t age = 0; age < count; ++age) {
    const int64_t i = place(age);
    if (!curved(i)) continue;
    if (gamma == 0) gamma = pairs.sy[i * m + i] / pairs.yy[i * m + i];
    double sq = pairs.sg[i];
    for (int64_t younger = 0; younger < age; ++younger) {
      const int64_t j = place(younger);
      sq += on_y[j] * pairs.sy[i * m + j];
    }
    on_y[i] = -sq / pairs.sy[i * m + i];
  }
  if (gamma == 0) return scale;

  // r = gamma q + sum on_s s, from the oldest pair to the newest
  for (int64_t age = count - 1; age >= 0; --age) {
    const int64_t i = place(age);
    if (!curved(i)) continue;
    double yr = pairs.yg[i];
    for (int64_t j = 0; j < count; ++j) yr += on_y[j] * pairs.yy[i * m + j];
    yr *= gamma;
    for (int64_t older = age + 1; older < count; ++older) {
      const int64_t j = place(older);
      yr += on_s[j] * pairs.sy[j * m + i];
    }
    on_s[i] = -on_y[i] - yr / pairs.sy[i * m + i];
  }
  for (int64_t j = 0; j < count; ++j) on_y[j] *= gamma;
  return gamma;
}

}  // namespace steepest::linalg
