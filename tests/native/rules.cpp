// Steps every rule over a plan in many ways, for sanitizers and other processors: a line a rule and
// type with a hash of the bits it ends with. Fails where two ways differ.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/plan.hpp"
#include "cpu/teams.hpp"
#include "cpu/threads.hpp"
#include "rules/list.hpp"

namespace {

using steepest::DType;
using steepest::Plan;
using steepest::Tensor;

// How a run is made: none of it may show in the result.
struct Way {
  int threads;
  int offset;  // of each array, in elements
  const char* level;
  std::vector<double> cuts;
};

// What is added to the end of an allocation is seen by the address sanitizer: arrays end there.
template <class T>
struct Array {
  std::vector<T> memory;
  int offset;
  Array(int64_t n, int at) : memory(static_cast<size_t>(n + at)), offset(at) {}
  T* data() { return memory.data() + offset; }
};

struct Random {
  uint64_t state = 1;
  double operator()() {  // in [-1, 1), exact in float32, with an odd one now and then
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto bits = static_cast<int64_t>(state >> 41);  // 23 bits
    const double odd[] = {0.0, -0.0, HUGE_VAL, -HUGE_VAL, std::nan(""), 1e-40, 3e38, -1e30};
    if (bits % 101 == 0) return odd[bits / 101 % 8];
    return static_cast<double>(bits) / 4194304 - 1;
  }
};

// By value, low bits first, whatever the byte order.
void add_to_hash(uint64_t& hash, uint64_t bits) {
  for (int i = 0; i < 64; i += 8) hash = (hash ^ (bits >> i & 0xff)) * 1099511628211u;
}

uint64_t bits_of(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

template <class T>
void add_to_hash(uint64_t& hash, Array<T>& array, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    T x = array.data()[i];
    if (x != x) x = T(0x7ffffe);  // sign and payload of a NaN are not promised
    add_to_hash(hash, bits_of(static_cast<double>(x)));
  }
}

double hyperparameter(const std::string& name) {
  if (name == "lr") return 0.01;
  if (name == "eps") return 1e-8;
  if (name == "beta2") return 0.999;
  if (name == "weight_decay" || name == "lr_decay" || name == "momentum_decay") return 0.004;
  if (name == "bias_correction") return 1;
  return 0.9;
}

std::vector<double> given_of(const std::string& names) {
  std::vector<double> given;
  for (size_t at = 0; at < names.size();) {
    const size_t end = std::min(names.find(' ', at), names.size());
    given.push_back(hyperparameter(names.substr(at, end - at)));
    at = end + 1;
  }
  return given;
}

template <class Rule, class T>
uint64_t run(int rule, const Way& way) {
  const std::vector<int64_t> sizes = {1003, 1, 0, 17, 4101, 33, 64};
  steepest::set_num_threads(way.threads);
  steepest::set_level(way.level);
  Plan plan;
  plan.add_group({rule, given_of(Rule::given), 0.001, true, 0.1});
  Random random;
  std::vector<Array<T>> arrays;  // of each tensor: theta, gradient, mean, states
  constexpr int per_tensor = 3 + Rule::n_states;
  for (const int64_t n : sizes)
    for (int k = 0; k < per_tensor; ++k) {
      Array<T>& array = arrays.emplace_back(n, way.offset);
      for (int64_t i = 0; k < 2 && i < n; ++i) array.data()[i] = static_cast<T>(random());
    }
  for (size_t i = 0; i < sizes.size(); ++i) {
    Array<T>* mine = &arrays[i * per_tensor];
    Tensor tensor{};
    tensor.theta = mine[0].data();
    tensor.grad = mine[1].data();
    tensor.ema = mine[2].data();
    for (int s = 0; s < Rule::n_states; ++s)
      tensor.states[static_cast<size_t>(s)] = mine[3 + s].data();
    tensor.n = sizes[i];
    tensor.dtype = sizeof(T) == 4 ? DType::float32 : DType::float64;
    plan.add_tensor(tensor, 0, 1);
  }
  plan.cuts = way.cuts;
  for (int step = 0; step < 3; ++step)
    plan.step({2, false, 0, steepest::Nonfinite::propagate, false});
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < arrays.size(); ++i) add_to_hash(hash, arrays[i], sizes[i / per_tensor]);
  // Clipping makes everything NaN here: only the norm is of interest.
  plan.step({1, true, 1, steepest::Nonfinite::propagate, true});
  plan.set_gradient(0, nullptr);
  plan.step({1, true, 1, steepest::Nonfinite::skip, true});
  add_to_hash(hash, static_cast<uint64_t>(plan.step_count));
  return hash;
}

template <class Rule, class T>
void try_all_ways(int rule, const std::vector<Way>& ways) {
  const uint64_t want = run<Rule, T>(rule, ways[0]);
  for (const Way& way : ways)
    if (run<Rule, T>(rule, way) != want) {
      std::printf("%s differs: %d threads, offset %d, level %s, %d cuts\n", Rule::name, way.threads,
                  way.offset, way.level, static_cast<int>(way.cuts.size()));
      std::exit(1);
    }
  std::printf("%s %d %016llx\n", Rule::name, static_cast<int>(sizeof(T)),
              static_cast<unsigned long long>(want));
}

template <class... Rules>
void try_all_rules(steepest::base::List<Rules...>, const std::vector<Way>& ways) {
  int rule = 0;
  ((try_all_ways<Rules, float>(rule, ways), try_all_ways<Rules, double>(rule, ways), ++rule), ...);
}

}  // namespace

// With any argument, only the ways that have threads.
int main(int argc, char**) {
  steepest::set_bytes_per_thread(1);
  std::vector<Way> ways;
  for (const char* level : steepest::level_names()) {
    for (int offset : {0, 1, 3})
      if (argc == 1) ways.push_back({1, offset, level, {}});
    for (int threads : {2, 5}) ways.push_back({threads, 0, level, {}});
    if (argc == 1) ways.push_back({1, 0, level, {0.1, 0.1, 0.33, 0.9, 1.0}});
  }
  try_all_rules(steepest::base::AllRules{}, ways);
}
