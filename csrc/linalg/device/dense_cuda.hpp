// The linear algebra below the least-squares solver on a CUDA device. J, residuals and matrices
// stay there; what has n numbers comes to the host, one transfer for each of the solver's
// questions: the cost, the linearization, the step with its product.
#pragma once
#include <algorithm>
#include <cmath>

#include "linalg/dense/dense.hpp"
#include "linalg/dense/second_derivative.hpp"
#include "linalg/device/cholesky.hpp"
#include "linalg/device/normal.hpp"
#include "linalg/device/triangle.hpp"

namespace steepest::linalg {

// J of one point and products with it: as in dense/cg.hpp, vectors of n come from the host.
template <class T>
class DeviceOperator : public KeptRows<T, DeviceSpace<T>> {
 public:
  using Space = DeviceSpace<T>;

  void gradient(DeviceNormal<T>& out, Space& space) {
    T* g = out.new_gradient();
    if (!rows_.jac_weight) return transpose(rows_.f, g, space);
    space.resize(Jv_, rows_.m);
    space.each(rows_.m, WeighResidual<T>{rows_.jac_weight, rows_.res_weight, rows_.f, Jv_.data()});
    transpose(Jv_.data(), g, space);
  }

  void product(const T* v, T* out, Space& space) {
    multiply(v, space);
    weighted_transpose(out, space);
  }

  bool curvature(const T* s, T h, const T* f, const T* ahead, T* out, Space& space) {
    multiply(s, space);
    space.each(rows_.m, SecondDerivative<T>{f, ahead, h, Jv_.data()});
    weighted_transpose(out, space);
    return std::all_of(out, out + rows_.n, [](T v) { return std::isfinite(v); });
  }

 private:
  // Jv_ = J v
  void multiply(const T* v, Space& space) {
    space.resize(Jv_, rows_.m);
    space.resize(small_, 2 * rows_.n);
    space.upload(small_.data(), v, rows_.n);
    if (rows_.row_major) {
      space.gemv(transposed, rows_.n, rows_.m, rows_.data, rows_.ld, small_.data(), T(0),
                 Jv_.data());
    } else {
      space.gemv(as_it_is, rows_.m, rows_.n, rows_.data, rows_.ld, small_.data(), T(0), Jv_.data());
    }
  }
  void transpose(const T* v, T* out, Space& space) { add_product(space, rows_, v, false, out); }
  // out = (weighted J)ᵀ weights Jv_
  void weighted_transpose(T* out, Space& space) {
    if (rows_.jac_weight) {
      space.each(rows_.m, SquareWeights<T>{rows_.jac_weight, Jv_.data()});
    }
    transpose(Jv_.data(), small_.data() + rows_.n, space);
    space.download(out, small_.data() + rows_.n, rows_.n);
  }

  using KeptRows<T, Space>::rows_;
  DeviceVector<T> Jv_, small_;
};

template <class T>
struct DeviceParts {
  using Scalar = T;
  using Space = DeviceSpace<T>;
  using Normal = DeviceNormal<T>;
  using Triangle = DeviceTriangle<T>;
  using Operator = DeviceOperator<T>;
  using Cholesky = DeviceCholesky<T>;
};

template <class T>
using DenseCuda = Dense<DeviceParts<T>>;

}  // namespace steepest::linalg
