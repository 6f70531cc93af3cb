// The kernels of one SIMD level: plain loops over the rules' element updates, vectorised by the
// compiler. The file is compiled once per level, into a namespace of its own and without any weak
// symbol: the linker would keep one copy for all levels.
// Arrays do not overlap; that is checked before a plan is made. A pragma tells the compiler,
// because gcc 12 loses `restrict` on local pointers and would test for overlap in every chunk.
#include "cpu/level.hpp"

#include "rules/list.hpp"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#ifdef __clang__
#define STEEPEST_ARRAYS_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define STEEPEST_ARRAYS_APART _Pragma("GCC ivdep")
#endif

namespace steepest::STEEPEST_LEVEL {
namespace {

// Fetching ahead, into either cache: `read` for lines that are only read, `written` for others.
struct IntoL1 {
  static void read(const void* p) { __builtin_prefetch(p, 0); }
  // Asks for ownership of the line at once, which the processor's own prefetchers do not.
  static void written(const void* p) { __builtin_prefetch(p, 1); }
};
struct IntoL2 {
  static void read(const void* p) { __builtin_prefetch(p, 0, 2); }
  static void written(const void* p) { read(p); }
};

// Calls update(begin, end) over blocks of `lines` cache lines. Before each block it calls
// fetch(i, into) for the lines that lie c.ahead.l1 and c.ahead.l2 bytes further on. Returns where
// the last whole block ended.
template <int lines, class T, class Fetch, class Update>
STEEPEST_HD int64_t fetch_and_update(const Chunk& c, const Fetch& fetch, const Update& update) {
  constexpr int64_t line = 64 / sizeof(T), block = lines * line;
  const int64_t l1 = c.ahead.l1 / static_cast<int64_t>(sizeof(T));
  const int64_t l2 = c.ahead.l2 / static_cast<int64_t>(sizeof(T));
  int64_t i = 0;
  for (; i + block <= c.n; i += block) {
    for (int64_t j = i; j < i + block; j += line) fetch(j + l1, IntoL1{});
    for (int64_t j = i; j < i + block; j += line) fetch(j + l2, IntoL2{});
    update(i, i + block);
  }
  return i;
}

// Calls update(begin, end) over a chunk, and fetches ahead where c.ahead says so.
template <class T, class Fetch, class Update>
void each(const Chunk& c, const Fetch& fetch, const Update& update) {
  int64_t i = 0;
  if (c.ahead.l1 > 0)
    i = c.ahead.lines == 2 ? fetch_and_update<2, T>(c, fetch, update)
                           : fetch_and_update<4, T>(c, fetch, update);
  update(i, c.n);
}

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
  const auto fetch = [=](int64_t i, auto into) {
    into.written(theta + i);
    into.read(g + i);
    if constexpr (n_states > 0) into.written(a + i);
    if constexpr (n_states > 1) into.written(b + i);
    if constexpr (n_states > 2) into.written(d + i);
    if constexpr (n_states > 3) into.written(e + i);
  };
  each<T>(c, fetch, [=](int64_t begin, int64_t end) {
    STEEPEST_ARRAYS_APART
    for (int64_t i = begin; i < end; ++i) {
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
  });
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
  each<T>(
      c, [=](int64_t i, auto into) { into.read(g + i); },
      [=](int64_t begin, int64_t end) {
        STEEPEST_ARRAYS_APART
        for (int64_t i = begin; i < end; ++i) out[i] = factor * g[i];
      });
  c.g = out;
}

template <class T>
void decay(Chunk& c, const Record& record) {
  const T lambda = static_cast<T>(record.decay);
  const T* g = static_cast<const T*>(c.g);  // may be scratch itself
  const T* theta = static_cast<const T*>(c.theta);
  T* out = static_cast<T*>(c.scratch);
  const auto fetch = [=](int64_t i, auto into) {
    into.read(g + i);
    into.written(theta + i);
  };
  each<T>(c, fetch, [=](int64_t begin, int64_t end) {
    STEEPEST_ARRAYS_APART
    for (int64_t i = begin; i < end; ++i) out[i] = g[i] + lambda * theta[i];
  });
  c.g = out;
}

template <class T>
void ema(Chunk& c, const Record& record) {
  const T rest = static_cast<T>(record.one_minus_ema);
  const T* theta = static_cast<const T*>(c.theta);
  T* e = static_cast<T*>(c.ema);
  each<T>(
      c, [=](int64_t i, auto into) { into.written(e + i); },
      [=](int64_t begin, int64_t end) {
        STEEPEST_ARRAYS_APART
        for (int64_t i = begin; i < end; ++i) e[i] += rest * (theta[i] - e[i]);
      });
}

template <class T>
void zero(Chunk& c, const Record&) {
  T* g = static_cast<T*>(c.grad);
  const int64_t n = c.n;
  for (int64_t i = 0; i < n; ++i) g[i] = T(0);
}

// The sum of squares in double. Its lanes are in vector types as wide as the level's registers: the
// compiler keeps wider ones, and a plain array of lanes, in memory, at a fifth of the speed.
#if defined(__AVX512F__)
constexpr int width = 8;
#elif defined(__AVX2__)
constexpr int width = 4;
#else
constexpr int width = 2;
#endif
typedef double Doubles __attribute__((vector_size(8 * width)));

typedef float Floats __attribute__((vector_size(4 * width)));

Doubles load(const double* p) {
  Doubles x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
Doubles load(const float* p) {
  Floats x;
  __builtin_memcpy(&x, p, sizeof x);
#ifdef __AVX512F__  // gcc 12 would convert in two halves, which takes twice the time
  return _mm512_maskz_cvtps_pd(0xff, x);
#else
  return __builtin_convertvector(x, Doubles);
#endif
}

template <class T>
bool all_finite(const T* g, int64_t n) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) finite &= g[i] * T(0) == T(0);
  return finite;
}

template <class T>
BlockSum block_sum(const void* data, int64_t n, Ahead ahead) {
  const T* g = static_cast<const T*>(data);
  Doubles sum[norm_lanes / width] = {};
  int64_t i = 0;
  for (; i + norm_lanes <= n; i += norm_lanes) {
    if (ahead.l1 > 0) {
      IntoL1::read(reinterpret_cast<const char*>(g + i) + ahead.l1);
      IntoL2::read(reinterpret_cast<const char*>(g + i) + ahead.l2);
    }
#pragma GCC unroll 8
    for (int k = 0; k < norm_lanes / width; ++k) {
      const Doubles d = load(g + i + k * width);
      sum[k] += d * d;
    }
  }
  double lane[norm_lanes];
  for (int j = 0; j < norm_lanes; ++j) lane[j] = sum[j / width][j % width];
  for (int j = 0; i < n; ++i, ++j) {
    const double d = static_cast<double>(g[i]);
    lane[j] += d * d;
  }
  for (int half = norm_lanes / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) lane[j] += lane[j + half];
  // The elements are looked at only if the sum is not finite: squares of finite doubles overflow.
  return {lane[0], lane[0] * 0 == 0 || all_finite(g, n)};
}

template <class... Rules>
constexpr Level table(List<Rules...>) {
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

constexpr Level kernels = table(AllRules{});

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL

namespace steepest {
const Level& update_kernels(simd::STEEPEST_LEVEL) { return STEEPEST_LEVEL::kernels; }
}  // namespace steepest
