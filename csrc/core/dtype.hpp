// The element types, and the one choice between them.
#pragma once
#include <cstdint>

namespace steepest {

enum class DType : int32_t { float32 = 0, float64 = 1 };
constexpr int n_dtypes = 2;

constexpr int64_t size_of(DType dtype) { return dtype == DType::float32 ? 4 : 8; }

// f(T{}) with the element type of dtype.
template <class F>
auto visit(DType dtype, F&& f) {
  return dtype == DType::float32 ? f(float{}) : f(double{});
}

}  // namespace steepest
