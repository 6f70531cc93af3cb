// What a step is told: tensors, their groups' hyperparameters, and the options of the call.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/chunk.hpp"
#include "core/dtype.hpp"

namespace steepest {

// Hyperparameters of a group. given: the rule's own, in the order of Rule::Given.
struct Group {
  int rule;
  std::vector<double> given;
  double decay;  // coupled; 0 where the rule has its own
  bool maximize;
  double one_minus_ema;  // used for tensors that have an EMA array
};

struct Tensor {
  void* theta;
  void* grad;  // null: left alone this step
  std::array<void*, max_states> states;
  void* ema;  // or null
  int64_t n;
  DType dtype;
  int group;
};

enum class Nonfinite { propagate, skip, raise };

struct StepOptions {
  double grad_scale = 1;
  bool clip = false;
  double max_norm = 0;
  Nonfinite nonfinite = Nonfinite::propagate;
  bool zero_grad = false;
};

}  // namespace steepest
