// The damped normal equations by Cholesky, by tiles or by cuSOLVER. As in dense/cholesky.hpp, they
// are scaled to a unit diagonal; the host, which has the diagonal, finds the scales. The step, its
// product with JᵀJ, the factor's diagonal and potrf's info come back in one transfer. The undamped
// step, which is asked for first, is foreseen: it comes with the linearization. The right-hand side
// is one more row of the matrix, so that only one triangular solve is left.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "linalg/dense/cholesky.hpp"
#include "linalg/device/normal.hpp"

namespace steepest::linalg {

template <class T>
class DeviceCholesky {
 public:
  using Space = DeviceSpace<T>;

  // Begins the step with λ = 0 and all variables free; normal.fetch brings it to the host.
  void foresee(DeviceNormal<T>& normal, Space& space) {
    const int64_t n = normal.n;
    make_room(n, n, space);
    free_ = {nullptr, n};
    normal.complete(space);
    space.each(n * (n + 1), ScaleUndamped<T>{normal.H(), normal.device_gradient(), system(),
                                             scale(), normal.device_diagonal()});
    factor_and_solve(normal, normal.device_answer(), space);
    normal.foreseen = true;
  }

  bool solve(DeviceNormal<T>& normal, Damping<T> damping, const std::vector<int64_t>& free,
             const T* r, T* d, T smallest, Space& space) {
    const int64_t n = static_cast<int64_t>(free.size());
    if (damping.lambda == 0) {
      for (const int64_t j : free) {
        if (!(normal.diagonal(j) > 0)) return false;
      }
      const bool foreseen =
          normal.foreseen && n == normal.n && std::memcmp(r, normal.g(), at(n) * sizeof(T)) == 0;
      if (foreseen) return take(normal, normal.answer(), free, d, smallest);
    }
    make_room(normal.n, n, space);
    up_.resize(at(2 * behind_));
    for (int64_t a = 0; a < n; ++a) {
      const int64_t j = free[at(a)];
      const T root = std::sqrt(damping.lambda) * damping.D[j];
      const T diagonal = normal.diagonal(j) + root * root;
      up_[at(a)] = diagonal > 0 ? 1 / std::sqrt(diagonal) : T(0);
      up_[at(behind_ + a)] = -r[j] * up_[at(a)];
    }
    space.upload(scale(), up_.data(), 2 * behind_);
    free_ = upload_free(space, free, normal.n, list_);
    space.each(n * (n + 1),
               GatherScaled<T>{normal.H(), normal.n, free_, scale(), scale() + behind_, system()});
    factor_and_solve(normal, down_.data(), space);
    host_.resize(at(2 * normal.n + n + 1));
    space.download(host_.data(), down_.data(), 2 * normal.n + n + 1);
    return take(normal, host_.data(), free, d, smallest);
  }

  // d for another r, by the factor of the last solve, which had λ > 0.
  void resolve(const std::vector<int64_t>& free, const T* r, T* d, Space& space) {
    const int64_t n = free_.count;
    for (int64_t a = 0; a < n; ++a) up_[at(behind_ + a)] = -r[free[at(a)]] * up_[at(a)];
    T* right = scale() + behind_;
    space.upload(right, up_.data() + behind_, n);
    space.trsv(lower_triangle, as_it_is, n, L_.data(), ld_, right);
    space.trsv(lower_triangle, transposed, n, L_.data(), ld_, right);
    if (free_.list) space.clear_to(down_.data(), n_);
    space.each(n, ScatterStep<T>{right, 1, scale(), free_, T(1), down_.data()});
    space.download(host_.data(), down_.data(), n_);
    for (const int64_t j : free) d[j] = host_[at(j)];
  }

 private:
  static size_t at(int64_t j) { return static_cast<size_t>(j); }
  T* scale() { return scale_.data(); }
  Bordered<T> system() { return {L_.data(), ld_, free_.count}; }

  void make_room(int64_t n, int64_t count, Space& space) {
    n_ = n;
    behind_ = count + count % 2;  // uploads are by words of 8 bytes
    space.resize(scale_, 2 * behind_);
    ld_ = (count + 4) / 4 * 4;  // count + 1 and the rest of an aligned column
    space.resize(L_, ld_ * (count + 1));
    space.resize(down_, 2 * n + count + 1);
  }

  // answer: step, product, the factor's diagonal, and potrf's info in place of one number.
  void factor_and_solve(DeviceNormal<T>& normal, T* answer, Space& space) {
    const int64_t n = free_.count;
    space.potrf(n + 1, L_.data(), ld_);
    space.trsv(lower_triangle, transposed, n, L_.data(), ld_, system().right(), ld_);
    if (free_.list) space.clear_to(answer, n_);
    const ScatterStep<T> step{system().right(), ld_, scale(), free_, T(1), answer};
    space.each(n, TakeAnswer<T>{step, system(), space.info(), answer + 2 * n_});
    space.symv(n_, normal.H(), answer, answer + n_);
  }

  // The answer, on the host, unless a pivot was not above `smallest`.
  bool take(DeviceNormal<T>& normal, const T* answer, const std::vector<int64_t>& free, T* d,
            T smallest) const {
    const int64_t n = normal.n;
    if (!factored(answer + 2 * n, static_cast<int64_t>(free.size()), smallest)) return false;
    for (const int64_t j : free) d[j] = answer[j];
    normal.last.step.assign(answer, answer + n);
    normal.last.product.assign(answer + n, answer + 2 * n);
    return true;
  }

  static bool factored(const T* roots, int64_t count, T smallest) {
    int info;
    std::memcpy(&info, roots + count, sizeof info);
    if (info < 0) {
      throw Error(ErrorKind::backend, "cuSOLVER potrf: illegal argument " + std::to_string(-info));
    }
    for (int64_t a = 0; a < count; ++a) {
      if (!(roots[a] * roots[a] > smallest)) return false;
    }
    return info == 0 || info == count + 1;  // no pivot but the corner's, of which nothing is read
  }

  DeviceVector<T> L_, scale_, down_;  // scale_: scales, then a right-hand side
  DeviceVector<int64_t> list_;
  std::vector<T> up_, host_;
  Free free_{};
  int64_t n_ = 0, behind_ = 0, ld_ = 0;
};

}  // namespace steepest::linalg
