// Who else can see an array that a user's function gave: whether it may be kept, or written to,
// without a copy.
#pragma once
#include <pybind11/numpy.h>

#include <cstdint>
#include <string_view>

#include "bindings/least_squares/arrays.hpp"

namespace steepest {

// Whether the array owns its memory. That it has no base does not prove this: extensions make NumPy
// arrays without one over memory of their own, and so does CuPy over that of other libraries.
inline bool owns_memory(const pybind11::object& value) {
  namespace py = pybind11;
  using py::detail::npy_api;
  if (is_numpy(value)) {
    return py::detail::array_proxy(value.ptr())->flags & npy_api::NPY_ARRAY_OWNDATA_;
  }
  if (!py::hasattr(py::type::of(value), "__cuda_array_interface__") ||
      !py::getattr(value, "base", py::int_(0)).is_none()) {
    return false;
  }
  const py::object memory = py::type::of(value.attr("data").attr("mem")).attr("__name__");
  const auto kind = memory.cast<std::string_view>();
  return kind == "PooledMemory" || kind == "MemoryAsync" || kind == "Memory" ||
         kind == "ManagedMemory";
}

// Whether this is the only reference to an object. A free-threaded CPython does not count all
// references of local variables.
inline bool referred_to_once([[maybe_unused]] PyObject* object) {
#if !defined(Py_GIL_DISABLED)
  return Py_REFCNT(object) == 1;
#elif PY_VERSION_HEX >= 0x030e0000
  return PyUnstable_Object_IsUniquelyReferenced(object);
#else
  return false;
#endif
}

// True where nobody else can write to the array: this is the only reference to it, and it owns its
// memory.
inline bool sole(const pybind11::object& value) {
  return referred_to_once(value.ptr()) && owns_memory(value);
}

// The same for a view of a whole array that only the view refers to, as np.array(columns).T is.
inline bool sole_view(const pybind11::object& value) {
  namespace py = pybind11;
  if (!is_numpy(value) || !referred_to_once(value.ptr())) return false;
  PyObject* base = py::detail::array_proxy(value.ptr())->base;
  if (!base || !is_numpy(base) || !referred_to_once(base)) return false;
  const auto whole = py::reinterpret_borrow<py::array>(base);
  return owns_memory(whole) && whole.size() == py::reinterpret_borrow<py::array>(value).size();
}

// The numbers of a `plain` array if they may be overwritten because nobody else sees it; else null.
// A weak reference counts, too: a cache of the user's may have one.
template <class T>
T* unseen(const pybind11::object& value, int64_t n) {
  if (!plain<T>(value) || !sole(value)) return nullptr;
  if (*PyObject_GET_WEAKREFS_LISTPTR(value.ptr())) return nullptr;
  auto array = pybind11::reinterpret_borrow<pybind11::array_t<T>>(value);
  return array.size() == n && array.writeable() ? array.mutable_data() : nullptr;
}

// A copy of a NumPy array, laid out as it is.
inline pybind11::object copy_of(const pybind11::object& array) {
  constexpr int keep_order = 2;
  PyObject* made = pybind11::detail::npy_api::get().PyArray_NewCopy_(array.ptr(), keep_order);
  if (!made) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(made);
}

// A Jacobian that stays as it is until the next one: a copy, if someone else may write to it.
inline pybind11::object owned(pybind11::object value) {
  if (sole(value) || sole_view(value)) return value;
  if (is_numpy(value)) return copy_of(value);  // a call into Python takes 2 µs more
  return pybind11::module_::import("steepest.nlls.arrays").attr("copied")(value);
}

}  // namespace steepest
