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
  using Doubles = std::vector<double>;

  template <class U>
  void resize(std::vector<U>& v, int64_t m) {
    v.resize(static_cast<size_t>(m));
  }
  void copy(const T* from, int64_t m, Vector& to) { to.assign(from, from + m); }
  void download(T* to, const T* from, int64_t m) { std::copy_n(from, m, to); }

  // Σ term(i) of both, in four lanes each.
  template <class Term>
  Sums sum(int64_t m, const Term& term) {
    constexpr int64_t lanes = 4;
    double first[lanes] = {}, second[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= m; i += lanes) {
      Sums more[lanes];
      for (int64_t l = 0; l < lanes; ++l) more[l] = term(i + l);
      for (int64_t l = 0; l < lanes; ++l) {
        first[l] += more[l].first;
        second[l] += more[l].second;
      }
    }
    for (; i < m; ++i) {
      const Sums more = term(i);
      first[0] += more.first;
      second[0] += more.second;
    }
    return {(first[0] + first[1]) + (first[2] + first[3]),
            (second[0] + second[1]) + (second[2] + second[3])};
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
