// The CUDA engine over a simulated grid against the CPU engine, bit for bit: random lists of
// tensors, alignments, groups, options, grids and orders. Exits with 1 and says where they differ.
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>

#include "core/error.hpp"
#include "cpu/plan.hpp"
#include "cuda/plan.hpp"
#include "grid_tensors.hpp"
#include "rules/list.hpp"
#include "simulated.hpp"

using namespace steepest;
using cuda::simulated::settings;

namespace {

// One list of tensors, stepped in both worlds.
class Case {
 public:
  explicit Case(uint64_t seed) : seed_(seed) {
    rng.seed(seed);
    settings = {};
    settings.resident = static_cast<int>(pick(1, 9));
    if (chance(0.5)) settings.cache_bytes = 1000;  // most lists are larger
    const auto all = sizes(base::AllRules{});
    const bool mixed = chance(0.3);
    const auto one = static_cast<int>(seed % all.size());
    ema_ = chance(0.4);
    const int n_groups = static_cast<int>(pick(1, 3));
    for (int g = 0; g < n_groups; ++g) {
      rules_.push_back(mixed ? static_cast<int>(pick(0, static_cast<int64_t>(all.size()) - 1))
                             : one);
      n_given_.push_back(all[static_cast<size_t>(rules_.back())].first);
      n_states_.push_back(all[static_cast<size_t>(rules_.back())].second);
      const Group group = some_group(rules_.back(), n_given_.back(), ema_);
      host_.add_group(group);
      device_.add_group(group);
    }
    // Many tensors so short that a block takes several at a time, by some of its threads each; in
    // some cases more than a launch's arguments hold.
    const bool many = chance(0.04), some = chance(0.2);
    if (many) {
      add(cuda::max_carried + pick(1, 9), 3);
    } else if (some) {
      add(pick(30, 300), pick(1, 600));
    } else {
      add(pick(1, 9), 0);
    }
  }

  void run() {
    for (int k = 0; k < 6; ++k) {
      if (k == 3 && chance(0.3)) add(2, 0);
      if (chance(0.2)) change_rate();
      step();
    }
    if (chance(0.5)) graph();
    if (chance(0.5)) in_a_row();
    compare();
  }

 private:
  void add(int64_t n, int64_t fixed) {
    const bool aligned = chance(0.5), same = chance(0.5);  // one type for all
    const DType one = some_dtype();
    for (int64_t i = 0; i < n; ++i) {
      const auto group = static_cast<int>(pick(0, static_cast<int64_t>(rules_.size()) - 1));
      tensors_.push_back(make_tensor(group, n_states_[static_cast<size_t>(group)], ema_, aligned,
                                     same ? one : some_dtype(),
                                     fixed ? pick(0, fixed) : some_size()));
      host_.add_tensor(tensors_.back().host, 0, 1);
      device_.add_tensor(tensors_.back().device, 0, 1);
    }
    auto memory = std::make_unique<char[]>(static_cast<size_t>(device_.bytes_needed()));
    device_.place(memory.get(), nullptr);
    memory_ = std::move(memory);
  }

  int some_of_the_groups() {
    return static_cast<int>(pick(0, static_cast<int64_t>(rules_.size()) - 1));
  }
  void change_rate() {
    const int g = some_of_the_groups();
    const double lr = 0.01 * static_cast<double>(pick(1, 99));
    host_.set_lr(g, lr);
    device_.set_lr(g, lr, nullptr);
  }
  void change_group() {
    const int g = some_of_the_groups();
    const auto k = static_cast<size_t>(g);
    const Group group = some_group(rules_[k], n_given_[k], ema_);
    host_.set_group(g, group);
    device_.set_group(g, group, nullptr);
  }

  void set_gradients(bool rough) {
    for (Pair& p : tensors_) p.arrays[1].fill(p.dtype, rough);
    choose_gradients();
  }
  void choose_gradients() {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const Array& grad = tensors_[i].arrays[1];
      const bool none = chance(0.2);
      host_.set_gradient(static_cast<int64_t>(i), none ? nullptr : grad.host.get());
      device_.set_gradient(static_cast<int64_t>(i), none ? nullptr : grad.at_device());
    }
  }

  void step() {
    set_gradients(chance(0.2));
    const StepOptions options = some_options();
    const int64_t launches = cuda::calls.launches, waits = cuda::calls.waits;
    const int64_t want = host_.step(options), got = device_.step(options, nullptr);
    if (want != got) fail("the first bad tensor", seed_, want);
    if (options.nonfinite != Nonfinite::raise && cuda::calls.waits != waits)
      fail("no synchronisation in a step: the number", seed_, cuda::calls.waits - waits);
    const bool measured = options.clip || options.nonfinite != Nonfinite::propagate;
    const bool carried = static_cast<int64_t>(tensors_.size()) <= cuda::max_carried;
    if (carried && got < 0 && cuda::calls.launches - launches != 1 + measured)
      fail("one launch without clip: the number", seed_, cuda::calls.launches - launches);
    compare();
  }

  // A step captured, and replayed with another rate and other gradients in the same memory.
  void graph() {
    StepOptions options = some_options();
    if (options.nonfinite == Nonfinite::raise) options.nonfinite = Nonfinite::skip;
    set_gradients(false);
    settings.capturing = true;
    device_.step(options, nullptr);
    settings.capturing = false;
    for (int k = 0; k < 3; ++k) {
      for (Pair& p : tensors_) p.arrays[1].fill(p.dtype, k == 1);
      change_rate();
      host_.step(options);
      cuda::simulated::replay(nullptr);
      compare();
    }
  }

  // Steps that begin before the last has ended, and before what is written between them is there.
  void in_a_row() {
    set_gradients(chance(0.2));
    settings.overlap = true;
    for (int k = 0; k < 8; ++k) {
      if (chance(0.3)) change_rate();
      if (chance(0.2)) change_group();
      if (chance(0.2)) choose_gradients();
      StepOptions options = chance(0.3) ? some_options() : StepOptions{};
      if (options.nonfinite == Nonfinite::raise) options.nonfinite = Nonfinite::skip;
      host_.step(options);
      device_.step(options, nullptr);
    }
    compare();
    settings.overlap = false;
  }

  void compare() {
    const cuda::Counts counts = device_.counts(nullptr);
    if (counts.step_count != host_.step_count) fail("step_count", seed_, counts.step_count);
    if (counts.skipped != host_.skipped) fail("skipped", seed_, counts.skipped);
    const double norm = device_.grad_norm(nullptr);
    if (std::memcmp(&norm, &host_.grad_norm, 8) != 0 &&
        !(std::isnan(norm) && std::isnan(host_.grad_norm)))
      fail("grad_norm", seed_, 0);
    const std::vector<cuda::Clock> clocks = device_.clocks(nullptr);
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const auto id = static_cast<int64_t>(i);
      for (size_t k = 0; k < tensors_[i].arrays.size(); ++k)
        if (!tensors_[i].arrays[k].same(tensors_[i].dtype))
          fail("an array of tensor", seed_, id * 10 + static_cast<int64_t>(k));
      if (clocks[i].t != host_.steps()[i]) fail("the step of tensor", seed_, id);
      if (std::memcmp(&clocks[i].scalar, &host_.scalars()[i], 8) != 0)
        fail("the scalar of tensor", seed_, id);
    }
    if (device_.given_of_last_step(nullptr) != host_.given_of_last_step())
      fail("the last hyperparameters", seed_, 0);
  }

  uint64_t seed_;
  bool ema_ = false;
  std::vector<int> rules_, n_given_, n_states_;
  std::vector<Pair> tensors_;
  Plan host_;
  cuda::Plan device_{0};
  std::unique_ptr<char[]> memory_;
};

template <class... Rules>
int number_of(base::List<Rules...>, const char* name) {
  int i = 0, found = -1;
  ((std::strcmp(Rules::name, name) == 0 ? void(found = i) : void(), ++i), ...);
  return found;
}

// Which constants that were folded before the wait are used after it: spoilt, they make NaN.
class Foreseen {
 public:
  // Tensors in two groups by turns, of which all have made a step; a block for each.
  explicit Foreseen(int resident = n_, int elements = 5, int multiprocessors = n_) {
    settings = {};
    settings.resident = resident;
    settings.multiprocessors = multiprocessors;
    for (int g = 0; g < 2; ++g) plan_.add_group(group(0.5));
    for (int i = 0; i < n_; ++i) {
      tensors_.push_back(make_tensor(i % 2, 2, false, true, DType::float32, elements));
      plan_.add_tensor(tensors_.back().device, 0, 0);
      set_gradient(i, true);
    }
    memory_ = std::make_unique<char[]>(static_cast<size_t>(plan_.bytes_needed()));
    plan_.place(memory_.get(), nullptr);
    plan_.step({}, nullptr);
    settings.overlap = true;
    settings.at_once = n_;
  }

  // Parts of what is launched from now on that do not wait for the next launch.
  Foreseen& at_once(int parts) {
    settings.at_once = parts;
    return *this;
  }
  Foreseen& step(const StepOptions& options = {}) {
    plan_.step(options, nullptr);
    return *this;
  }
  Foreseen& capture() {
    settings.capturing = true;
    plan_.step({}, nullptr);
    settings.capturing = false;
    return *this;
  }
  Foreseen& replay() {
    cuda::simulated::replay(nullptr);
    return *this;
  }
  Foreseen& set_lr() {
    plan_.set_lr(0, 0.25, nullptr);
    return *this;
  }
  Foreseen& set_group() {
    plan_.set_group(1, group(0.25), nullptr);
    return *this;
  }
  Foreseen& set_gradient(int i, bool there) {
    const Array& grad = tensors_[static_cast<size_t>(i)].arrays[1];
    plan_.set_gradient(i, there ? grad.at_device() : nullptr);
    return *this;
  }
  Foreseen& restore() {
    plan_.restore(std::vector<int64_t>(n_, 7), std::vector<double>(n_, 1), 7, 0, nullptr);
    return *this;
  }

  // A last step: the tensors that they are used of.
  int used(const StepOptions& options = {}, void* stream = nullptr) {
    settings.spoil = true;
    plan_.step(options, stream);
    plan_.counts(stream);
    int used = 0;
    for (const Pair& tensor : tensors_) {
      float theta;
      std::memcpy(&theta, tensor.arrays[0].at_device(), sizeof theta);
      used += std::isnan(theta);
    }
    return used;
  }

 private:
  static constexpr int n_ = 24;
  static Group group(double lr) {
    return {number_of(base::AllRules{}, "adam"), {lr, 0.9, 0.99, 1e-8, 1}, 0, false, 0};
  }
  std::vector<Pair> tensors_;
  cuda::Plan plan_{0};
  std::unique_ptr<char[]> memory_;
};

void foreseen() {
  const auto expect = [](const char* what, int used, int want) {
    if (used != want) fail(what, 0, used);
  };
  const int all = 24;
  expect("used after a step that has ended", Foreseen().used(), all);
  expect("used while the last step ends", Foreseen().at_once(23).step().used(), all);
  expect("used before the last step", Foreseen().at_once(0).step().used(), all);
  for (int parts : {0, all}) {
    expect("used after lr is set", Foreseen().at_once(parts).set_lr().used(), 0);
    expect("used after a group is set", Foreseen().at_once(parts).set_group().used(), 0);
    expect("used after lr is set and two steps are captured",
           Foreseen().at_once(parts).set_lr().capture().capture().used(), 0);
    expect("used after a replay", Foreseen().at_once(parts).capture().replay().used(), all);
    expect("used a step later", Foreseen().at_once(parts).set_lr().step().used(), all);
    expect("used where the last step left a tensor alone",
           Foreseen().at_once(parts).set_gradient(5, false).step().set_gradient(5, true).used(),
           all - 1);
  }
  expect("used after counts are restored", Foreseen().restore().used(), 0);
  expect("used a step after that", Foreseen().restore().step().used(), all);
  int other_stream = 0;
  expect("used on another stream", Foreseen().used({}, &other_stream), 0);
  StepOptions clipped;
  clipped.clip = true;
  expect("used where gradients are measured", Foreseen().used(clipped), 0);
  // A warp each: 7 tensors of 512 elements on a multiprocessor, or 3.5 of 128.
  expect("used of 512 elements, by warps", Foreseen(all, 512, 3).used(), 0);
  expect("used of 513 elements, by blocks", Foreseen(all, 513, 3).used(), all);
  expect("used of 128 elements, by warps", Foreseen(all, 128, 4).used(), 0);
  expect("used of 129 elements, by blocks", Foreseen(all, 129, 4).used(), all);
  expect("used of few short tensors, by blocks", Foreseen(all, 1, 7).used(), all);
  // A block alone: two tensors have constants, which every other turn's of their groups share.
  expect("shared", Foreseen(1, 600).used(), all / 2);
  expect("kept for the next of a group where the first is left alone",
         Foreseen(1, 600).set_gradient(0, false).used(), all / 2 - 1);
}

// Memory of n floats that costs only what is touched.
float* reserve(int64_t n) {
  void* p = mmap(nullptr, static_cast<size_t>(n) * sizeof(float), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    std::printf("%lld floats cannot be reserved\n", static_cast<long long>(n));
    std::exit(2);
  }
  return static_cast<float*>(p);
}

// One tensor past 2^32 elements, of which only the tiles on both sides of 2^31 and of 2^32 are
// touched: the others' blocks do not run, but count as finished.
class Far {
 public:
  Far() {
    plan_.add_group({0, {0.5}, 0, false, 0});
    plan_.add_tensor({theta_, grad_, {}, nullptr, n_, DType::float32, 0}, 0, 0);
    memory_ = std::make_unique<char[]>(static_cast<size_t>(plan_.bytes_needed()));
    settings = {};
    settings.resident = static_cast<int>(tiles_);
    for (const int64_t side : {int64_t{1} << 31, int64_t{1} << 32}) {
      tiles_run_.push_back(side / width_ - 1);
      tiles_run_.push_back(side / width_);
    }
    fill();
    plan_.place(memory_.get(), nullptr);
  }

  void run() {
    take({}, 1, "far out, theta");
    StepOptions clipped;
    clipped.clip = true;
    clipped.max_norm = norm() / 4;
    clipped.nonfinite = Nonfinite::skip;
    take(clipped, 0.25f, "far out, theta when clipped");
    if (std::abs(plan_.grad_norm(nullptr) / norm() - 1) > 1e-15) fail("far out, the norm", 0, 0);
    grad_[n_ - 1] = std::numeric_limits<float>::infinity();
    const std::vector<float> before = written();
    step(clipped);
    if (written() != before || plan_.counts(nullptr).skipped != 1) fail("far out, skipped", 0, 0);
  }

 private:
  template <class F>
  void each(const F& f) {
    for (const int64_t tile : tiles_run_)
      for (int64_t i = tile * width_; i < std::min(n_, (tile + 1) * width_); ++i) f(i);
  }
  void fill() {
    each([&](int64_t i) { grad_[i] = static_cast<float>(i % 1013); });
  }
  std::vector<float> written() {
    std::vector<float> all;
    each([&](int64_t i) { all.push_back(theta_[i]); });
    return all;
  }
  double norm() {
    double squares = 0;  // of integers, so that their order does not matter
    each([&](int64_t i) { squares += static_cast<double>(grad_[i]) * grad_[i]; });
    return std::sqrt(squares);
  }

  // A launch whose last block to run finds all others finished.
  void launch(int64_t blocks, const std::vector<int64_t>& run, const std::function<void()>& f) {
    settings.only_blocks = run;
    auto& control = *reinterpret_cast<cuda::Control*>(memory_.get());
    control.ticket = static_cast<uint64_t>(blocks) - run.size();
    f();
    if (control.ticket != 0) fail("far out, the ticket", 0, 0);
  }
  // The norm's kernel takes 16 tiles a block and turn.
  void step(const StepOptions& options) {
    settings.capturing = true;
    settings.graph.clear();
    plan_.step(options, nullptr);
    settings.capturing = false;
    const int64_t at_once = cuda::threads / 16;
    std::vector<int64_t> measured;
    for (const int64_t tile : tiles_run_)
      if (measured.empty() || measured.back() != tile / at_once) measured.push_back(tile / at_once);
    if (settings.graph.size() == 2) {
      // The whole of a block's tiles is read: those beside ours as well.
      launch((tiles_ + at_once - 1) / at_once, measured, settings.graph[0]);
    }
    std::vector<int64_t> updated;  // every other step goes from the last tile to the first
    for (const int64_t tile : tiles_run_)
      updated.push_back(steps_begun_ % 2 ? tiles_ - 1 - tile : tile);
    ++steps_begun_;
    launch(tiles_, updated, settings.graph.back());
  }
  void take(const StepOptions& options, float factor, const char* what) {
    const std::vector<float> before = written();
    step(options);
    size_t k = 0;
    each([&](int64_t i) {
      if (theta_[i] != before[k++] - 0.5f * (factor * grad_[i])) fail(what, 0, i);
    });
    if (plan_.counts(nullptr).step_count != ++steps_) fail("far out, the count", 0, steps_);
  }

  const int64_t n_ = (int64_t{1} << 32) + 16, width_ = cuda::tile_size,
                tiles_ = (n_ + width_ - 1) / width_;
  float *theta_ = reserve(n_), *grad_ = reserve(n_);
  std::vector<int64_t> tiles_run_;
  cuda::Plan plan_{0};
  std::unique_ptr<char[]> memory_;
  int64_t steps_ = 0, steps_begun_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    Far().run();
    std::printf("far tiles\n");
    return 0;
  }
  if (std::strcmp(argv[1], "foreseen") == 0) {
    foreseen();
    std::printf("foreseen\n");
    return 0;
  }
  const uint64_t first = std::strtoull(argv[1], nullptr, 10);
  const uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200;
  for (uint64_t seed = first; seed < first + count; ++seed) Case(seed).run();
  std::printf("%llu cases\n", static_cast<unsigned long long>(count));
}
