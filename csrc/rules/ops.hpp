// What a rule may call: arithmetic of one meaning on host and device and at every SIMD level.
// Nothing of libm but the IEEE square root, so that folded constants have the same bits everywhere.
#pragma once
#include <cstdint>

#ifndef STEEPEST_LEVEL
#define STEEPEST_LEVEL base
#endif
#ifdef __CUDACC__
#define STEEPEST_HD __host__ __device__ __forceinline__
#elif !defined(STEEPEST_HD)  // the tests' simulated device has inline alone, which compiles faster
#define STEEPEST_HD inline __attribute__((always_inline))
#endif

namespace steepest::STEEPEST_LEVEL::ops {

#ifdef __CUDA_ARCH__
STEEPEST_HD float sqrt(float x) { return ::sqrtf(x); }
STEEPEST_HD double sqrt(double x) { return ::sqrt(x); }
STEEPEST_HD float abs(float x) { return ::fabsf(x); }
STEEPEST_HD double abs(double x) { return ::fabs(x); }
STEEPEST_HD float copysign(float x, float y) { return ::copysignf(x, y); }
STEEPEST_HD double copysign(double x, double y) { return ::copysign(x, y); }
#else
STEEPEST_HD float sqrt(float x) { return __builtin_sqrtf(x); }
STEEPEST_HD double sqrt(double x) { return __builtin_sqrt(x); }
STEEPEST_HD float abs(float x) { return __builtin_fabsf(x); }
STEEPEST_HD double abs(double x) { return __builtin_fabs(x); }
STEEPEST_HD float copysign(float x, float y) { return __builtin_copysignf(x, y); }
STEEPEST_HD double copysign(double x, double y) { return __builtin_copysign(x, y); }
#endif

// These two let NaN through.
template <class T>
STEEPEST_HD T max(T a, T b) {
  const T larger = a > b ? a : b;  // b where one is NaN: a single instruction on x86
  return a != a ? a : larger;
}
template <class T>
STEEPEST_HD T sign(T x) {
  return x < T(0) || x > T(0) ? copysign(T(1), x) : x;
}

// b^t by repeated squaring.
STEEPEST_HD double power(double b, int64_t t) {
  double r = 1;
  for (; t > 0; t >>= 1, b *= b)
    if (t & 1) r *= b;
  return r;
}

// e^x for x <= 0: x = -k ln 2 + r, a Taylor polynomial in r, halved k times.
STEEPEST_HD double exp(double x) {
  if (!(x > -745)) return x != x ? x : 0;
  const int64_t k = static_cast<int64_t>(0.5 - x * 1.4426950408889634);
  const double n = static_cast<double>(k);
  const double r = (x + n * 0.693147180369123816490) + n * 1.90821492927058770002e-10;
  double sum = 1;
  for (int i = 14; i > 0; --i) sum = 1 + sum * (r / i);
  return sum * power(0.5, k);
}

// 1 - b with b first rounded to the type it is used in.
template <class T>
STEEPEST_HD T one_minus(double b) {
  return static_cast<T>(1 - static_cast<double>(static_cast<T>(b)));
}

// 1 - b^t, the bias of a running mean after t steps, likewise; in double.
template <class T>
STEEPEST_HD double bias(double b, int64_t t) {
  return 1 - power(static_cast<double>(static_cast<T>(b)), t);
}

}  // namespace steepest::STEEPEST_LEVEL::ops
