// Where residual-sized vectors live, and loops over them, on the host. DeviceSpace has the same
// members for a device.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace steepest::linalg {

// Two sums over the same elements.
struct Sums {
  double first, second;
};

template <class T>
struct HostSpace {
  using Vector = std::vector<T>;

  void resize(Vector& v, int64_t m) { v.resize(static_cast<size_t>(m)); }
  void copy(const T* from, int64_t m, Vector& to) { to.assign(from, from + m); }
  void download(T* to, const T* from, int64_t m) { std::copy_n(from, m, to); }

  // Σ term(i) of both, in four lanes each.
  template <class Term>
  Sums sum(int64_t m, const Term& term) {
    Sums lanes[4] = {};
    const auto add = [&](Sums& lane, int64_t i) {
      const Sums more = term(i);
      lane.first += more.first;
      lane.second += more.second;
    };
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
      for (int lane = 0; lane < 4; ++lane) add(lanes[lane], i + lane);
    }
    for (; i < m; ++i) add(lanes[0], i);
    return {(lanes[0].first + lanes[1].first) + (lanes[2].first + lanes[3].first),
            (lanes[0].second + lanes[1].second) + (lanes[2].second + lanes[3].second)};
  }

  // The same, after copying m elements.
  template <class Term>
  Sums copy_and_sum(const T* from, int64_t m, T* to, const Term& term) {
    std::copy_n(from, m, to);
    return sum(m, term);
  }

  template <class Body>
  void each(int64_t m, const Body& body) {
    for (int64_t i = 0; i < m; ++i) body(i);
  }

  Vector scratch;
};

}  // namespace steepest::linalg
