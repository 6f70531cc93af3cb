// Random tensors, groups and options in two worlds: the host's, and the simulated device's.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "cpu/plan.hpp"
#include "cuda/plan.hpp"
#include "rules/list.hpp"

namespace steepest {
namespace {

std::mt19937_64 rng;

int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rng);
}
bool chance(double p) { return std::bernoulli_distribution(p)(rng); }

[[noreturn]] void fail(const char* what, uint64_t seed, int64_t i) {
  std::printf("seed %llu: %s differs at %lld\n", static_cast<unsigned long long>(seed), what,
              static_cast<long long>(i));
  std::exit(1);
}

template <class... Rules>
std::vector<std::pair<int, int>> sizes(base::List<Rules...>) {  // given, states
  return {{static_cast<int>(sizeof(typename Rules::Given) / 8), Rules::n_states}...};
}

// The same numbers twice: for the host, and for the simulated device, at an offset of its own. The
// device's copy ends where its memory does, so that the sanitizer sees an access beyond it.
struct Array {
  std::unique_ptr<char[]> host, device;
  int64_t bytes = 0, skip = 0;

  Array(int64_t n, DType dtype, bool aligned) {
    bytes = n * size_of(dtype);
    skip = aligned ? 0 : size_of(dtype) * pick(0, 3);
    host = std::make_unique<char[]>(static_cast<size_t>(bytes) + 1);
    device = std::make_unique<char[]>(static_cast<size_t>(bytes + skip) + 1);
    fill(dtype, false);
  }
  void fill(DType dtype, bool rough) {
    std::normal_distribution<double> normal;
    for (int64_t i = 0; i < bytes / size_of(dtype); ++i) {
      double x = std::abs(normal(rng));
      if (rough && chance(0.01)) x = chance(0.5) ? std::nan("") : 1e300 * 1e300;
      const float single = static_cast<float>(x);
      std::memcpy(host.get() + i * size_of(dtype),
                  dtype == DType::float32 ? static_cast<const void*>(&single) : &x,
                  static_cast<size_t>(size_of(dtype)));
    }
    if (bytes) std::memcpy(at_device(), host.get(), static_cast<size_t>(bytes));
  }
  char* at_device() const { return device.get() + skip; }

  // NaN for NaN, else the bits.
  bool same(DType dtype) const {
    for (int64_t i = 0; i < bytes; i += size_of(dtype)) {
      const bool equal = dtype == DType::float32 ? same_number<float>(i) : same_number<double>(i);
      if (!equal) return false;
    }
    return true;
  }
  template <class T>
  bool same_number(int64_t at) const {
    T a, b;
    std::memcpy(&a, host.get() + at, sizeof a);
    std::memcpy(&b, at_device() + at, sizeof b);
    return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
  }
};

struct Pair {  // a tensor in both worlds
  DType dtype;
  std::vector<Array> arrays;  // theta, gradient, states, and an EMA where there is one
  Tensor host{}, device{};
};

DType some_dtype() { return chance(0.5) ? DType::float32 : DType::float64; }

Pair make_tensor(int group, int n_states, bool ema, bool aligned, DType dtype, int64_t n) {
  Pair p{dtype, {}, {}, {}};
  const int n_arrays = 2 + n_states + ema;
  for (int k = 0; k < n_arrays; ++k) p.arrays.emplace_back(n, p.dtype, aligned);
  p.host.n = p.device.n = n;
  p.host.dtype = p.device.dtype = p.dtype;
  p.host.group = p.device.group = group;
  p.host.theta = p.arrays[0].host.get();
  p.device.theta = p.arrays[0].at_device();
  for (int s = 0; s < n_states; ++s) {
    p.host.states[static_cast<size_t>(s)] = p.arrays[static_cast<size_t>(2 + s)].host.get();
    p.device.states[static_cast<size_t>(s)] = p.arrays[static_cast<size_t>(2 + s)].at_device();
  }
  if (ema) p.host.ema = p.arrays.back().host.get();
  if (ema) p.device.ema = p.arrays.back().at_device();
  return p;
}

int64_t some_size() {
  switch (pick(0, 5)) {
    case 0:
      return 0;
    case 1:
      return pick(1, 20);
    case 2:
      return cuda::tile_size + pick(-2, 2);
    case 3:
      return 2 * cuda::tile_size + pick(0, 9);
    default:
      return pick(1, 3000);
  }
}

Group some_group(int rule, int n_given, bool ema) {
  Group g{rule, {}, chance(0.3) ? 0.1 : 0, chance(0.3), ema ? 0.25 : 0};
  std::uniform_real_distribution<double> rate(0.01, 0.99);
  for (int k = 0; k < n_given; ++k) g.given.push_back(rate(rng));
  return g;
}

StepOptions some_options() {
  StepOptions o;
  if (chance(0.3)) o.grad_scale = 4;
  o.clip = chance(0.4);
  if (o.clip) o.max_norm = chance(0.3) ? 1e9 : 0.5;
  o.nonfinite = static_cast<Nonfinite>(pick(0, 2));
  o.zero_grad = chance(0.3);
  return o;
}

}  // namespace
}  // namespace steepest
