// The arrays that the vector kernels work on, checked: rows of a workspace, an array (k, n) that is
// picked from by number, and arrays (n,) of their own.
#pragma once
#include <pybind11/numpy.h>

#include <string>
#include <vector>

#include "bindings/module.hpp"
#include "core/error.hpp"
#include "cpu/level.hpp"
#include "cpu/teams.hpp"
#include "linalg/vectors/vectors.hpp"

namespace steepest {

using Pointers = std::vector<void*>;

inline Error refuse(const char* what, const char* allowed) {
  return Error(ErrorKind::value, std::string(what) + ": expected " + allowed);
}

inline DType dtype_of(const pybind11::array& a, const char* what) {
  constexpr int aligned = pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (a.flags() & aligned) {
    if (pybind11::array_t<double>::check_(a)) return DType::float64;
    if (pybind11::array_t<float>::check_(a)) return DType::float32;
  }
  throw Error(ErrorKind::type, std::string(what) + ": dtype " +
                                   pybind11::str(a.dtype()).cast<std::string>() +
                                   "; expected aligned float32 or float64, native byte order");
}

inline const double* doubles(const pybind11::array& a, const char* what) {
  if (!pybind11::array_t<double>::check_(a) || !(a.flags() & pybind11::array::c_style))
    throw refuse(what, "a C-contiguous float64 array");
  return static_cast<const double*>(a.data());
}

// A matrix with contiguous rows, and the dtype and length that vectors beside it must have.
struct Workspace {
  Workspace(const pybind11::array& a, const char* what) : dtype(dtype_of(a, what)) {
    if (a.ndim() != 2 || !(a.flags() & pybind11::array::c_style))
      throw refuse(what, "a C-contiguous array (k, n)");
    k = a.shape(0);
    n = a.shape(1);
    data = static_cast<char*>(const_cast<void*>(a.data()));
    writeable = a.writeable();
  }

  void* row(int64_t i) const {
    if (i < 0 || i >= k)
      throw Error(ErrorKind::value, "picks: row " + std::to_string(i) + " of a workspace of " +
                                        std::to_string(k) + " rows");
    return data + i * n * size_of(dtype);
  }

  void* vector(const pybind11::handle& h, const char* what, bool write) const {
    if (!pybind11::isinstance<pybind11::array>(h)) throw refuse(what, "arrays");
    const auto a = pybind11::reinterpret_borrow<pybind11::array>(h);
    if (dtype_of(a, what) != dtype) throw refuse(what, "the dtype of the matrix");
    if (a.ndim() != 1 || a.shape(0) != n || (n > 1 && a.strides(0) != size_of(dtype)))
      throw refuse(what, "contiguous arrays (n,), n as the rows of the matrix");
    if (write && !a.writeable()) throw refuse(what, "writable arrays");
    return const_cast<void*>(a.data());
  }

  Pointers vectors(const pybind11::list& list, const char* what, bool write = false) const {
    Pointers out;
    for (const pybind11::handle h : list) out.push_back(vector(h, what, write));
    return out;
  }

  Pointers picked(const pybind11::list& picks, const pybind11::list& others) const {
    Pointers out;
    out.reserve(picks.size() + others.size());
    for (const pybind11::handle h : picks) out.push_back(row(h.cast<int64_t>()));
    for (const pybind11::handle h : others) out.push_back(vector(h, "vectors", false));
    return out;
  }

  DType dtype;
  int64_t k, n;
  char* data;
  bool writeable;
};

inline linalg::Pass pass_over(DType dtype, int64_t bytes) {
  return {dtype, linalg::vector_kernels(dtype, simd_level()), threads_for(bytes)};
}

// Releases the GIL where the work takes longer than that.
struct Unlocked : WithoutGil {
  explicit Unlocked(int64_t bytes) : WithoutGil(bytes > (64 << 10)) {}
};

}  // namespace steepest
