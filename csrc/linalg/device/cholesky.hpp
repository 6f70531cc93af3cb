// The damped normal equations by cuSOLVER's Cholesky: as in linalg/cholesky.hpp, scaled to a unit
// diagonal. Scales are found on the host from the diagonal that is there; step, its product with
// JᵀJ and the factor's diagonal come back in one transfer.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "linalg/cholesky.hpp"
#include "linalg/device/normal.hpp"

namespace steepest::linalg {

template <class T>
class DeviceCholesky {
 public:
  using Space = DeviceSpace<T>;

  bool solve(DeviceNormal<T>& normal, Damping<T> damping, const std::vector<int64_t>& free,
             const T* r, T* d, Space& space) {
    const int64_t n = static_cast<int64_t>(free.size());
    behind_ = n + n % 2;  // uploads are by words of 8 bytes
    up_.resize(at(2 * behind_));
    for (int64_t a = 0; a < n; ++a) {
      const int64_t j = free[at(a)];
      const T root = std::sqrt(damping.lambda) * damping.D[j];
      const T diagonal = normal.diagonal(j) + root * root;
      if (!(diagonal > 0) && damping.lambda == 0) return false;
      up_[at(a)] = diagonal > 0 ? 1 / std::sqrt(diagonal) : T(0);
      up_[at(behind_ + a)] = -r[j] * up_[at(a)];
    }
    send(free, normal.n, space);
    space.resize(L_, n * n);
    space.each(n * n, GatherScaled<T>{normal.H(), normal.n, free_, scale(), L_.data()});
    space.potrf(n, L_.data());
    substitute(space);
    // down: step, product, the factor's diagonal, and potrf's info in the place of one number
    space.symv(normal.n, normal.H(), down_.data(), down_.data() + normal.n);
    space.each(n, TakeDiagonal<T>{L_.data(), n, down_.data() + 2 * normal.n});
    space.copy_bytes(down_.data() + 2 * normal.n + n, space.info(), sizeof(int));
    host_.resize(at(2 * normal.n + n + 1));
    space.download(host_.data(), down_.data(), 2 * normal.n + n + 1);
    if (!factored(normal.n, n)) return false;
    for (const int64_t j : free) d[j] = host_[at(j)];
    const auto product = host_.begin() + normal.n;
    normal.last.step.assign(host_.begin(), product);
    normal.last.product.assign(product, product + normal.n);
    return true;
  }

  // d for another r, by the factor of the last solve.
  void resolve(const std::vector<int64_t>& free, const T* r, T* d, Space& space) {
    const int64_t n = free_.count;
    for (int64_t a = 0; a < n; ++a) up_[at(behind_ + a)] = -r[free[at(a)]] * up_[at(a)];
    space.upload(right(), up_.data() + behind_, n);
    substitute(space);
    space.download(host_.data(), down_.data(), n_);
    for (const int64_t j : free) d[j] = host_[at(j)];
  }

 private:
  static size_t at(int64_t j) { return static_cast<size_t>(j); }
  T* scale() { return scale_.data(); }
  T* right() { return scale_.data() + behind_; }

  void send(const std::vector<int64_t>& free, int64_t n, Space& space) {
    n_ = n;
    const int64_t count = static_cast<int64_t>(free.size());
    space.resize(scale_, 2 * behind_);
    space.upload(scale(), up_.data(), 2 * behind_);
    free_ = {nullptr, count};
    if (count < n) {
      space.resize(list_, count);
      space.upload(list_.data(), free.data(), count);
      free_.list = list_.data();
    }
    space.resize(down_, 2 * n + count + 1);
  }

  void substitute(Space& space) {
    space.potrs(free_.count, L_.data(), right());
    if (free_.list) space.clear_to(down_.data(), n_);
    space.each(free_.count, ScatterStep<T>{right(), scale(), free_, T(1), down_.data()});
  }

  bool factored(int64_t n, int64_t count) const {
    int info;
    std::memcpy(&info, host_.data() + 2 * n + count, sizeof info);
    if (info < 0) {
      throw Error(ErrorKind::backend,
                  "cusolverDnXpotrf: illegal argument " + std::to_string(-info));
    }
    const T smallest = 16 * static_cast<T>(count) * std::numeric_limits<T>::epsilon();
    for (int64_t a = 0; a < count; ++a) {
      const T root = host_[at(2 * n + a)];
      if (!(root * root > smallest)) return false;
    }
    return info == 0;
  }

  DeviceVector<T> L_, scale_, down_;  // scale_: scales, then right-hand side and solution
  DeviceVector<int64_t> list_;
  std::vector<T> up_, host_;
  Free free_{};
  int64_t n_ = 0, behind_ = 0;
};

}  // namespace steepest::linalg
