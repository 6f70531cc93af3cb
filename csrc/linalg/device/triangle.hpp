// R and Qᵀf of J = QR on the device, updated by blocks of rows with geqrf on [J f], and the damped
// problem by QR of [R; √λ D]: as in dense/triangle.hpp.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "linalg/dense/cholesky.hpp"
#include "linalg/device/normal.hpp"

namespace steepest::linalg {

template <class T>
class DeviceTriangle {
 public:
  using Space = DeviceSpace<T>;

  explicit DeviceTriangle(int64_t size) : n(size) {}

  void clear(Space& space) {
    space.resize(R_, n * n + n);
    space.resize(norms2_, n);
    space.clear(R_);
    last_.step.clear();
  }

  void add(const Rows<T>& rows, Space& space) {
    const int64_t chunk = Space::chunk(n);
    for (int64_t i = 0; i < rows.m; i += chunk) {
      const int64_t m = std::min(chunk, rows.m - i), height = n + m;
      space.resize(W_, height * (n + 1));
      const T* jac_weight = rows.jac_weight ? rows.jac_weight + i : nullptr;
      const T* res_weight = rows.res_weight ? rows.res_weight + i : nullptr;
      space.each(n * (n + 1), CopyUpper<T>{R_.data(), n, n, W_.data(), height});
      space.each(m * (n + 1),
                 PackRows<T>{rows.at(i), rows.ld, rows.row_major, rows.f + i, jac_weight,
                             res_weight, m, n, n + 1, W_.data() + n, 1, height});
      space.geqrf(height, n + 1, W_.data());
      space.each(n * (n + 1), CopyUpper<T>{W_.data(), height, n, R_.data(), n});
    }
    sum_rows<T>(space, {R_.data(), n, n, n, false, nullptr}, Term::square, nullptr, false,
                norms2_.data());
  }

  // out = RᵀR v
  void product(const T* v, T* out, Space& space) {
    if (last_.known(v, out)) return;
    space.resize(down_, 3 * n);
    space.upload(down_.data(), v, n);
    multiply(space);
    space.download(out, down_.data() + n, n);
  }

  // d on `free` that minimizes |R (s + d) + Qᵀf|² + λ |D (s + d)|²; false where it is singular.
  bool solve(Damping<T> damping, const std::vector<int64_t>& free, const T* s, T* d, Space& space) {
    const T root = std::sqrt(damping.lambda);
    send(damping.D, s, free, space);
    T* D = up_.data();
    const int64_t columns = free_.count, height = n + columns + 1;
    space.resize(scale_, columns);
    space.resize(W_, height * (columns + 1));
    space.each(columns, ScaleColumns<T>{norms2_.data(), free_, root, D, scale_.data()});
    space.each(height * (columns + 1),
               StackDamping<T>{R_.data(), n, free_, root, D, D + n, scale_.data(), W_.data()});
    if (std::any_of(s, s + n, [](T v) { return v != 0; })) {
      space.gemv(as_it_is, n, n, R_.data(), n, D + n, T(1), W_.data() + columns * height);
    }
    space.geqrf(height, columns + 1, W_.data());
    space.trsv(upper_triangle, as_it_is, columns, W_.data(), height, W_.data() + columns * height);
    scatter(space);
    multiply(space);
    space.each(columns, TakeDiagonal<T>{W_.data(), height, down_.data() + 3 * n});
    host_.resize(static_cast<size_t>(3 * n + columns));
    space.download(host_.data(), down_.data(), 3 * n + columns);
    const T eps = std::numeric_limits<T>::epsilon();
    const T smallest = damping.rounding * static_cast<T>(n) * eps;
    for (int64_t a = 0; a < columns; ++a) {
      if (!(std::abs(host_[at(3 * n + a)]) > smallest)) return false;
    }
    for (const int64_t j : free) d[j] = host_[at(j)];
    last_.step.assign(host_.begin(), host_.begin() + n);
    last_.product.assign(host_.begin() + n, host_.begin() + 2 * n);
    return true;
  }

  // d with (R_FᵀR_F + λD_F²) d = -r by the triangle of the last solve (semi-normal equations).
  void resolve(const std::vector<int64_t>& free, const T* r, T* d, Space& space) {
    const int64_t columns = free_.count, height = n + columns + 1;
    T* rhs = W_.data() + columns * height;
    space.upload(up_.data(), r, n);
    space.each(columns, GatherRight<T>{up_.data(), scale_.data(), free_, rhs});
    space.trsv(upper_triangle, transposed, columns, W_.data(), height, rhs);
    space.trsv(upper_triangle, as_it_is, columns, W_.data(), height, rhs);
    scatter(space);
    space.download(host_.data(), down_.data(), n);
    for (const int64_t j : free) d[j] = host_[at(j)];
  }

  std::vector<T> matrix(Space& space) const {
    std::vector<T> R(static_cast<size_t>(n * n));
    space.download(R.data(), R_.data(), n * n);
    return R;
  }

  int64_t n;

 private:
  static size_t at(int64_t j) { return static_cast<size_t>(j); }

  void send(const T* D, const T* s, const std::vector<int64_t>& free, Space& space) {
    std::vector<T> both(D, D + n);
    both.insert(both.end(), s, s + n);
    space.resize(up_, 2 * n);
    space.upload(up_.data(), both.data(), 2 * n);
    free_ = upload_free(space, free, n, list_);
    space.resize(down_, 3 * n + free_.count);
  }

  void scatter(Space& space) {
    const T* rhs = W_.data() + free_.count * (n + free_.count + 1);
    if (free_.list) space.clear_to(down_.data(), n);
    space.each(free_.count, ScatterStep<T>{rhs, 1, scale_.data(), free_, T(-1), down_.data()});
  }

  // Of the vector at the start of down_, RᵀR times it behind it.
  void multiply(Space& space) {
    T *v = down_.data(), *Rv = v + 2 * n;
    space.gemv(as_it_is, n, n, R_.data(), n, v, T(0), Rv);
    space.gemv(transposed, n, n, R_.data(), n, Rv, T(0), v + n);
  }

  DeviceVector<T> R_;       // n x (n + 1) by columns, zero below the diagonal; the last is Qᵀf
  DeviceVector<T> norms2_;  // of R's columns
  DeviceVector<T> W_, scale_, up_, down_;
  DeviceVector<int64_t> list_;
  std::vector<T> host_;
  StepProduct<T> last_;
  Free free_{};
};

}  // namespace steepest::linalg
