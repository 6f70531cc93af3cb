// Both element types and both sides of every rule: fold and update on the host and the device.
#include "rules/list.hpp"

namespace {

namespace rules = steepest::base;

template <class Rule, class T>
__host__ __device__ void step(T* theta, const T* g, double* given, int64_t t, double& scalar) {
  const auto& hyperparameters = *reinterpret_cast<const typename Rule::Given*>(given);
  const auto h = rules::fold<Rule, T>(hyperparameters, t, scalar);
  T states[Rule::n_states + 1] = {};
  Rule::update(*theta, *g, states, h);
}

template <class Rule, class T>
__global__ void kernel(T* theta, const T* g, double* given, int64_t t, double* scalar) {
  step<Rule, T>(theta, g, given, t, *scalar);
}

template <class Rule, class T>
void both(T* theta, const T* g, double* given, double* scalar) {
  step<Rule, T>(theta, g, given, 1, *scalar);
  kernel<Rule, T><<<1, 1>>>(theta, g, given, 1, scalar);
}

template <class... Rules>
void all(rules::List<Rules...>, float* f, double* d) {
  (both<Rules, float>(f, f, d, d), ...);
  (both<Rules, double>(d, d, d, d), ...);
}

}  // namespace

void compile_all(float* f, double* d) { all(rules::AllRules{}, f, d); }
