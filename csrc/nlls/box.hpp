// The bounds on x.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace steepest::nlls {

template <class T>
class Box {
 public:
  // No bounds at all where both are empty.
  Box(std::vector<T> lower, std::vector<T> upper)
      : lower_(std::move(lower)), upper_(std::move(upper)) {}

  bool bounded() const { return !lower_.empty(); }

  T lower(int64_t j) const { return lower_[static_cast<size_t>(j)]; }
  T upper(int64_t j) const { return upper_[static_cast<size_t>(j)]; }

  // -1 on the lower, 1 on the upper bound, 0 between.
  int side(T x, int64_t j) const {
    if (!bounded()) return 0;
    return x <= lower(j) ? -1 : x >= upper(j) ? 1 : 0;
  }

  // True where x is on a bound and the gradient pushes it outwards.
  bool rests(T x, T gradient, int64_t j) const {
    const int at = side(x, j);
    return (at < 0 && gradient > 0) || (at > 0 && gradient < 0);
  }

  T clip(T value, int64_t j) const {
    return bounded() ? std::min(std::max(value, lower(j)), upper(j)) : value;
  }

 private:
  std::vector<T> lower_, upper_;
};

}  // namespace steepest::nlls
