// The kernels of one SIMD level: plain loops over the rules' element updates, vectorised by the
// compiler. Compiled once per level into its own namespace, without any weak symbol.
// Arrays do not overlap, which is checked before a plan is made: the pragma says so, as `restrict`
// on local pointers is lost on gcc 12, which then tests for overlap in every chunk.
#include "cpu/level.hpp"

#include "rules/list.hpp"

#ifdef __clang__
#define STEEPEST_ARRAYS_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define STEEPEST_ARRAYS_APART _Pragma("GCC ivdep")
#endif

namespace steepest::STEEPEST_LEVEL {
namespace {

template <class Rule, class T>
void apply(Chunk& c, const Record& record) {
  using Hyper = typename Rule::template Hyper<T>;
  static_assert(sizeof(Hyper) <= Record::hyper_size);
  constexpr int n_states = Rule::n_states;
  const Hyper h = *reinterpret_cast<const Hyper*>(record.hyper);
  T* theta = static_cast<T*>(c.theta);
  const T* g = static_cast<const T*>(c.g);
  T* a = static_cast<T*>(c.states[0]);
  T* b = static_cast<T*>(c.states[1]);
  T* d = static_cast<T*>(c.states[2]);
  T* e = static_cast<T*>(c.states[3]);
  const int64_t n = c.n;
  STEEPEST_ARRAYS_APART
  for (int64_t i = 0; i < n; ++i) {
    T s[max_states] = {};
    if constexpr (n_states > 0) s[0] = a[i];
    if constexpr (n_states > 1) s[1] = b[i];
    if constexpr (n_states > 2) s[2] = d[i];
    if constexpr (n_states > 3) s[3] = e[i];
    T x = theta[i];
    Rule::update(x, g[i], s, h);
    theta[i] = x;
    if constexpr (n_states > 0) a[i] = s[0];
    if constexpr (n_states > 1) b[i] = s[1];
    if constexpr (n_states > 2) d[i] = s[2];
    if constexpr (n_states > 3) e[i] = s[3];
  }
}

template <class Rule, class T>
void fold_into(const double* given, int64_t t, double* scalar, void* hyper) {
  using Given = typename Rule::Given;
  using Hyper = typename Rule::template Hyper<T>;
  *static_cast<Hyper*>(hyper) = fold<Rule, T>(*reinterpret_cast<const Given*>(given), t, *scalar);
}

template <class T>
void scale(Chunk& c, const Record& record) {
  const T factor = static_cast<T>(record.factor);
  const T* g = static_cast<const T*>(c.g);
  T* out = static_cast<T*>(c.scratch);
  const int64_t n = c.n;
  STEEPEST_ARRAYS_APART
  for (int64_t i = 0; i < n; ++i) out[i] = factor * g[i];
  c.g = out;
}

template <class T>
void decay(Chunk& c, const Record& record) {
  const T lambda = static_cast<T>(record.decay);
  const T* g = static_cast<const T*>(c.g);  // may be scratch itself
  const T* theta = static_cast<const T*>(c.theta);
  T* out = static_cast<T*>(c.scratch);
  const int64_t n = c.n;
  STEEPEST_ARRAYS_APART
  for (int64_t i = 0; i < n; ++i) out[i] = g[i] + lambda * theta[i];
  c.g = out;
}

template <class T>
void ema(Chunk& c, const Record& record) {
  const T rest = static_cast<T>(record.one_minus_ema);
  const T* theta = static_cast<const T*>(c.theta);
  T* e = static_cast<T*>(c.ema);
  const int64_t n = c.n;
  STEEPEST_ARRAYS_APART
  for (int64_t i = 0; i < n; ++i) e[i] += rest * (theta[i] - e[i]);
}

template <class T>
void zero(Chunk& c, const Record&) {
  T* g = static_cast<T*>(c.grad);
  const int64_t n = c.n;
  for (int64_t i = 0; i < n; ++i) g[i] = T(0);
}

// Sum of squares in double over fixed lanes: lane j takes elements j, j + lanes, ...; the lanes are
// then folded in half until one is left. Vector types of the compiler: it keeps a plain array of
// lanes in memory, at half the speed.
constexpr int lanes = 16;
typedef double Doubles __attribute__((vector_size(8 * lanes)));

template <class T>
BlockSum block_sum(const void* data, int64_t n) {
  typedef T Values __attribute__((vector_size(sizeof(T) * lanes)));
  const T* g = static_cast<const T*>(data);
  Doubles sum = {};
  Values bad = {};  // 0 * x is NaN just where x is not finite
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Values x;
    __builtin_memcpy(&x, g + i, sizeof x);
    const Doubles d = __builtin_convertvector(x, Doubles);
    sum += d * d;
    bad += x * T(0);
  }
  double lane[lanes];
  T bad_sum = 0;
  for (int j = 0; j < lanes; ++j) {
    lane[j] = sum[j];
    bad_sum += bad[j];
  }
  for (int j = 0; i < n; ++i, ++j) {
    const double d = static_cast<double>(g[i]);
    lane[j] += d * d;
    bad_sum += g[i] * T(0);
  }
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) lane[j] += lane[j + half];
  return {lane[0], bad_sum == T(0)};
}

template <class... Rules>
constexpr Level table(List<Rules...>) {
  static_assert(sizeof...(Rules) == n_rules);
  return {
      {{apply<Rules, float>, apply<Rules, double>}...},
      {{fold_into<Rules, float>, fold_into<Rules, double>}...},
      {scale<float>, scale<double>},
      {decay<float>, decay<double>},
      {ema<float>, ema<double>},
      {zero<float>, zero<double>},
      {block_sum<float>, block_sum<double>},
  };
}

}  // namespace

extern const Level kernels;
const Level kernels = table(AllRules{});

}  // namespace steepest::STEEPEST_LEVEL
