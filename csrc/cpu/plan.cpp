#include "cpu/plan.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "cpu/fetch_ahead.hpp"
#include "cpu/teams.hpp"

namespace steepest {

namespace {

// What a tensor costs beside its elements, counted in elements, so that the threads' shares take
// equal time where there are many small tensors.
constexpr int64_t tensor_cost = 128;

// p + offset, computed on integers: p is null for arrays that a tensor lacks, which are not used.
void* at(void* p, int64_t offset) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(offset));
}

size_t index(int64_t i) { return static_cast<size_t>(i); }

int64_t bytes_of(const Tensor& tensor) {
  int arrays = 2;
  for (const void* state : tensor.states) arrays += state ? 1 : 0;
  return arrays * tensor.n * size_of(tensor.dtype);
}

// Joins the partial sums by a fixed tree: the upper half is added to the lower until one is left.
double fold_in_half(std::vector<double>& a) {
  size_t n = a.size();
  while (n > 1) {
    const size_t half = (n + 1) / 2;
    for (size_t i = 0; i < n - half; ++i) a[i] += a[i + half];
    n = half;
  }
  return a.empty() ? 0.0 : a[0];
}

}  // namespace

void Plan::add_group(const Group& group) {
  groups_.push_back(group);
  last_given_.push_back(group.given);
}

void Plan::remember() {
  for (size_t i = 0; i < groups_.size(); ++i) last_given_[i] = groups_[i].given;
}

void Plan::restore(const std::vector<int64_t>& steps, const std::vector<double>& scalars,
                   int64_t count_of_steps, int64_t count_of_skipped) {
  steps_ = steps;
  scalars_ = scalars;
  step_count = count_of_steps;
  skipped = count_of_skipped;
}

void Plan::add_tensor(const Tensor& tensor, int64_t t, double scalar) {
  tensors_.push_back(tensor);
  steps_.push_back(t);
  scalars_.push_back(scalar);
  work_of_.push_back(-1);
  offsets_.push_back(offsets_.back() + tensor.n + tensor_cost);
  blocks_.push_back(blocks_.back() + (tensor.n + norm_block - 1) / norm_block);
  bytes_ += bytes_of(tensor);
}

void Plan::truncate(int64_t groups, int64_t tensors) {
  const auto keep = [](auto& all, int64_t n) { all.erase(all.begin() + n, all.end()); };
  keep(groups_, groups);
  keep(last_given_, groups);
  keep(tensors_, tensors);
  keep(steps_, tensors);
  keep(scalars_, tensors);
  keep(work_of_, tensors);
  keep(offsets_, tensors + 1);
  keep(blocks_, tensors + 1);
  bytes_ = 0;
  for (const Tensor& tensor : tensors_) bytes_ += bytes_of(tensor);
}

template <class F>
void Plan::parallel(int64_t length, const F& f) const {
  if (!cuts.empty()) {  // for tests
    int64_t begin = 0;
    for (double cut : cuts) {
      const int64_t end = std::max(begin, static_cast<int64_t>(cut * static_cast<double>(length)));
      f(begin, end);
      begin = end;
    }
    return f(begin, length);
  }
  const int team = threads_now(bytes_);
  const double waited = in_parallel(team, [&](int thread, int threads) {
    // Not length * thread / threads, whose product may overflow.
    const int64_t part = length / threads, rest = length % threads;
    const int64_t begin = part * thread + std::min<int64_t>(thread, rest);
    f(begin, begin + part + (thread < rest ? 1 : 0));
  });
  settle(bytes_, team, waited);
}

int64_t Plan::step(const StepOptions& options) {
  const FloatMode mode;  // for the constants that are folded on this thread
  level();               // raises for a wrong STEEPEST_SIMD before anything is changed
  double factor = 1 / options.grad_scale;
  if (options.clip || options.nonfinite != Nonfinite::propagate) {
    const Norm norm = measure();
    if (norm.first_bad >= 0 && options.nonfinite == Nonfinite::raise) return norm.first_bad;
    if (norm.first_bad >= 0 && options.nonfinite == Nonfinite::skip) {
      ++skipped;
      return -1;
    }
    if (options.clip) {
      grad_norm = std::sqrt(norm.squares) / options.grad_scale;
      // Written with `!` so that a norm of NaN makes the factor NaN, as IEEE arithmetic has it.
      if (!(grad_norm <= options.max_norm))
        factor = options.max_norm / grad_norm / options.grad_scale;
    }
  }
  assign_work(options, factor);
  parallel(offsets_.back(), [this](int64_t begin, int64_t end) { walk(begin, end); });
  remember();
  ++step_count;
  return -1;
}

Plan::Norm Plan::measure() {
  partial_.assign(index(blocks_.back()), 0.0);
  std::atomic<int64_t> first_bad{size()};
  parallel(blocks_.back(), [&](int64_t begin, int64_t end) {
    auto i = std::upper_bound(blocks_.begin(), blocks_.end(), begin) - blocks_.begin() - 1;
    for (int64_t block = begin; block < end; ++block) {
      while (block >= blocks_[index(i + 1)]) ++i;
      const Tensor& tensor = tensors_[index(i)];
      if (!tensor.grad) continue;
      const int64_t start = (block - blocks_[index(i)]) * norm_block;
      const BlockSum sum = level().block_sum[static_cast<int>(tensor.dtype)](
          at(tensor.grad, start * size_of(tensor.dtype)), std::min(norm_block, tensor.n - start),
          fetch_ahead.norm);
      partial_[index(block)] = sum.squares;
      int64_t seen = first_bad.load(std::memory_order_relaxed);
      while (!sum.finite && i < seen && !first_bad.compare_exchange_weak(seen, i)) {
      }
    }
  });
  const int64_t bad = first_bad.load();
  return {fold_in_half(partial_), bad < size() ? bad : -1};
}

// Gives every tensor its work, shared with the tensors of the same group, type, step count and
// scalar, and brings step counts and scalars up to date.
void Plan::assign_work(const StepOptions& options, double factor) {
  works_.clear();
  int last = -1;
  for (int64_t i = 0; i < size(); ++i) {
    const Tensor& tensor = tensors_[index(i)];
    if (!tensor.grad && !tensor.ema) {
      work_of_[index(i)] = -1;
      continue;
    }
    const int64_t t = tensor.grad ? ++steps_[index(i)] : 0;
    double& scalar = scalars_[index(i)];
    const auto fits = [&](const Work& w) {
      return w.t == t && w.group == tensor.group && w.dtype == tensor.dtype &&
             w.scalar_before == scalar;
    };
    if (last < 0 || !fits(works_[index(last)])) {
      // Looks among the latest records only: two equal ones do no harm, a long search takes time.
      const auto oldest = works_.size() > 16 ? works_.end() - 16 : works_.begin();
      const auto found = std::find_if(oldest, works_.end(), fits);
      last = static_cast<int>(found - works_.begin());
      if (found == works_.end()) works_.push_back(make_work(tensor, t, scalar, options, factor));
    }
    work_of_[index(i)] = last;
    scalar = works_[index(last)].scalar_after;
  }
}

Plan::Work Plan::make_work(const Tensor& tensor, int64_t t, double scalar,
                           const StepOptions& options, double factor) const {
  const Group& group = groups_[index(tensor.group)];
  const Level& kernels = level();
  const int dtype = static_cast<int>(tensor.dtype);
  Work w{};
  w.group = tensor.group;
  w.dtype = tensor.dtype;
  w.t = t;
  w.scalar_before = w.scalar_after = scalar;
  w.record.factor = group.maximize ? -factor : factor;
  w.record.decay = group.decay;
  w.record.one_minus_ema = group.one_minus_ema;
  const auto add = [&w](Stage stage) { w.stages[index(w.n_stages++)] = stage; };
  if (tensor.grad) {
    kernels.fold[group.rule][dtype](group.given.data(), t, &w.scalar_after, w.record.hyper);
    if (w.record.factor != 1) add(kernels.scale[dtype]);
    if (group.decay != 0) add(kernels.decay[dtype]);
    add(kernels.rule[group.rule][dtype]);
  }
  if (tensor.ema) add(kernels.ema[dtype]);
  if (tensor.grad && options.zero_grad) add(kernels.zero[dtype]);
  w.chunk = w.n_stages > 1 ? chunk_size : std::numeric_limits<int64_t>::max();
  return w;
}

void Plan::walk(int64_t begin, int64_t end) const {
  alignas(64) char scratch[chunk_size * sizeof(double)];
  const Ahead alone = bytes_ > fetch_ahead.above ? fetch_ahead.alone : Ahead{};
  const Ahead staged = bytes_ > fetch_ahead.above / 2 ? fetch_ahead.staged : Ahead{};
  auto i = std::upper_bound(offsets_.begin(), offsets_.end(), begin) - offsets_.begin() - 1;
  for (; i < size() && offsets_[index(i)] < end; ++i) {
    if (work_of_[index(i)] < 0) continue;
    const Tensor& tensor = tensors_[index(i)];
    const Work& work = works_[index(work_of_[index(i)])];
    const int64_t item = size_of(tensor.dtype);
    const int64_t stop = std::min(end - offsets_[index(i)], tensor.n);
    for (int64_t x = std::max<int64_t>(begin - offsets_[index(i)], 0); x < stop;) {
      Chunk c;
      c.n = std::min(work.chunk, stop - x);
      c.ahead = work.n_stages > 1 ? staged : alone;
      c.theta = at(tensor.theta, x * item);
      c.g = c.grad = at(tensor.grad, x * item);
      c.scratch = scratch;
      for (size_t s = 0; s < max_states; ++s) c.states[s] = at(tensor.states[s], x * item);
      c.ema = at(tensor.ema, x * item);
      for (int s = 0; s < work.n_stages; ++s) work.stages[index(s)](c, work.record);
      x += c.n;
    }
  }
}

}  // namespace steepest
