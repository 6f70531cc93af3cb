// A plan on a CUDA device, as cpu/plan.hpp is one for the host. Counts, scalars and learning rates
// live in device memory, where a captured graph sees them change.
#pragma once
#include <cstdint>
#include <vector>

#include "core/task.hpp"
#include "cuda/runtime.hpp"

namespace steepest::cuda {

struct Counts {
  int64_t step_count, skipped;
};

class Plan {
 public:
  explicit Plan(int device) : device_(device) {}

  void add_group(const Group& group);
  void add_tensor(const Tensor& tensor, int64_t t, double scalar);
  void truncate(int64_t groups, int64_t tensors);  // as on the CPU
  int64_t groups() const { return static_cast<int64_t>(groups_.size()); }
  int64_t size() const { return static_cast<int64_t>(tensors_.size()); }
  const Tensor& tensor(int64_t i) const { return tensors_[static_cast<size_t>(i)]; }
  // A tensor without elements has a gradient where the pointer is not null.
  void set_gradient(int64_t i, void* grad) {
    void*& held = tensors_[static_cast<size_t>(i)].grad;
    gradient_changes_ += held != grad;
    held = grad;
  }
  int64_t gradient_changes() const { return gradient_changes_; }

  // After groups or tensors were added, the caller allocates as much device memory as is needed,
  // and keeps it; place() fills it, and brings counts and clocks along.
  bool placed() const { return placed_; }
  int64_t bytes_needed() const;
  // The same once so many groups and tensors of these sizes are added.
  int64_t bytes_needed(int64_t more_groups, const std::vector<int64_t>& more_sizes) const;
  void check_place(Stream stream) const;  // refuses a stream that is captured
  void place(void* memory, Stream stream);

  void set_group(int i, const Group& group, Stream stream);
  void set_lr(int i, double lr, Stream stream);

  // As on the CPU. Waits for the device under Nonfinite::raise only.
  int64_t step(const StepOptions& options, Stream stream);
  bool last_was_captured() const { return last_was_captured_; }

  // These wait for the device.
  Counts counts(Stream stream);
  double grad_norm(Stream stream);
  const std::vector<Clock>& clocks(Stream stream);                            // by tensor
  const std::vector<std::vector<double>>& given_of_last_step(Stream stream);  // by group
  void restore(const std::vector<int64_t>& steps, const std::vector<double>& scalars,
               int64_t step_count, int64_t skipped, Stream stream);
  void remember(Stream stream);  // the present hyperparameters as those of the last step

  // Calls of step so far, skipped ones included. Waits once a step was captured: replays count.
  int64_t calls(Stream stream);

 private:
  struct Counted {
    int64_t groups, tensors, tiles, empty;
  };
  struct Layout {  // offsets in the plan's memory
    int64_t groups, last_given, entries, clocks, grads, tensor_of, partial, end;
  };
  Counted counted() const;
  static Layout layout(const Counted& n);
  void refuse_capture(const char* what, Stream stream) const;
  Control control(Stream stream);
  void read_back(Stream stream);
  void fill_tiles(std::vector<char>& image) const;
  StepArgs arguments(const StepOptions& options, bool captured, Stream stream);
  void write_gradients(bool captured, Stream stream);
  void count(const Tensor& tensor);
  int64_t bytes_of_arrays() const;
  void share_out();
  int64_t turns() const {
    const int64_t after = table_.n_tiles - table_.full_turns * table_.full_slots;
    return table_.full_turns + (after + table_.last_slots - 1) / table_.last_slots;
  }

  int device_;
  std::vector<Group> groups_;
  std::vector<std::vector<double>> last_given_;
  std::vector<Tensor> tensors_;
  std::vector<Clock> clocks_;  // as of the last time they were read back
  Control control_{0, 0, -1, 1, 0, -1, none_bad, 0, 0};
  int64_t tiles_ = 0, empty_ = 0;  // tiles of tensors with elements; tensors without
  int64_t elements_ = 0;
  int64_t calls_ = 0;
  bool placed_ = false;
  bool captured_ = false;  // some step was captured, and may be replayed
  bool last_was_captured_ = false;
  int64_t gradient_changes_ = 0;
  int64_t written_ = -1;  // the changes that the device's table of gradients has seen
  bool changed_ = true;   // groups, clocks or memory have changed since the last step
  Stream last_stream_ = nullptr;
  Table table_{};
  int kind_ = any_kind;
  int blocks_ = 0, measure_blocks_ = 0;  // resident at a time
};

}  // namespace steepest::cuda
