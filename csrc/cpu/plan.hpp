// A plan: a list of tensors with their groups, ready to be stepped many times.
//
// The tensors form one virtual range, a prefix sum of their sizes. Threads cut it evenly, find
// their start by bisection and walk, so that a step is one parallel region for any number of them.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/task.hpp"
#include "cpu/level.hpp"

namespace steepest {

class Plan {
 public:
  void add_group(const Group& group);
  void set_group(int i, const Group& group) { groups_[static_cast<size_t>(i)] = group; }
  void set_lr(int i, double lr) { groups_[static_cast<size_t>(i)].given[0] = lr; }
  // t: steps taken so far; scalar: what the rule carries beside its arrays.
  void add_tensor(const Tensor& tensor, int64_t t, double scalar);
  // Keeps only the first groups and tensors; of the others, not all need have been added.
  void truncate(int64_t groups, int64_t tensors);
  int64_t groups() const { return static_cast<int64_t>(groups_.size()); }
  int64_t size() const { return static_cast<int64_t>(tensors_.size()); }
  const Tensor& tensor(int64_t i) const { return tensors_[static_cast<size_t>(i)]; }
  void set_gradient(int64_t i, void* grad) {
    void*& held = tensors_[static_cast<size_t>(i)].grad;
    gradient_changes_ += held != grad;
    held = grad;
  }
  int64_t gradient_changes() const { return gradient_changes_; }

  // One step on the gradients set. Under Nonfinite::raise, the index of the first tensor whose
  // gradient is not finite, with nothing changed; else -1.
  int64_t step(const StepOptions& options);

  // By tensor.
  const std::vector<int64_t>& steps() const { return steps_; }
  const std::vector<double>& scalars() const { return scalars_; }
  // The rules' hyperparameters as the last step used them, by group.
  const std::vector<std::vector<double>>& given_of_last_step() const { return last_given_; }
  void remember();  // the present hyperparameters as those of the last step
  void restore(const std::vector<int64_t>& steps, const std::vector<double>& scalars,
               int64_t count_of_steps, int64_t count_of_skipped);
  int64_t bytes() const { return bytes_; }

  int64_t step_count = 0, skipped = 0;
  double grad_norm = -1;  // negative: never clipped
  // For tests: where the virtual range is cut, as fractions, instead of evenly.
  std::vector<double> cuts;

 private:
  static constexpr int max_stages = 5;  // scale, decay, rule, ema, zero
  // What is done to a tensor: the stages, in order, and their constants.
  struct Work {
    Record record;
    std::array<Stage, max_stages> stages;
    int n_stages;
    int64_t chunk;
    // What the record was made for.
    int group;
    DType dtype;
    int64_t t;
    double scalar_before, scalar_after;
  };
  struct Norm {
    double squares;
    int64_t first_bad;  // tensor, or -1
  };

  Norm measure();
  void assign_work(const StepOptions& options, double factor);
  Work make_work(const Tensor& tensor, int64_t t, double scalar, const StepOptions& options,
                 double factor) const;
  void walk(int64_t begin, int64_t end) const;
  template <class F>
  void parallel(int64_t length, const F& f) const;

  std::vector<Group> groups_;
  std::vector<std::vector<double>> last_given_;  // by group
  std::vector<Tensor> tensors_;
  std::vector<int64_t> offsets_{0};  // of the virtual range
  std::vector<int64_t> blocks_{0};   // prefix sum of the tensors' norm blocks
  std::vector<int64_t> steps_;
  std::vector<double> scalars_;
  std::vector<int> work_of_;  // by tensor; -1: nothing to do
  std::vector<Work> works_;
  std::vector<double> partial_;  // a sum of squares a block
  int64_t bytes_ = 0;
  int64_t gradient_changes_ = 0;
};

}  // namespace steepest
