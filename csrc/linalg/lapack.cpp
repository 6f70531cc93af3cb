#include "linalg/lapack.hpp"

#include <limits>

#include "core/error.hpp"

namespace steepest::linalg {

template <class T>
Lapack<T>& lapack_table() {
  static Lapack<T> table;
  return table;
}

template <class T>
const Lapack<T>& lapack() {
  const Lapack<T>& table = lapack_table<T>();
  if (!table.geqrf) {
    throw Error(ErrorKind::backend, "LAPACK: no function pointers loaded before their first use");
  }
  return table;
}

int blas_int(int64_t n) {
  if (n > std::numeric_limits<int>::max()) {
    throw Error(ErrorKind::value,
                "LAPACK: size " + std::to_string(n) +
                    " does not fit its 32-bit integers; expected at most 2147483647");
  }
  return static_cast<int>(n);
}

template Lapack<float>& lapack_table<float>();
template Lapack<double>& lapack_table<double>();
template const Lapack<float>& lapack<float>();
template const Lapack<double>& lapack<double>();

}  // namespace steepest::linalg
