// NumPy arrays for the bindings of the least-squares solver: read as they lie, made by copying.
#pragma once
#include <pybind11/numpy.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace steepest {

// In C order and aligned, converted where it is not.
template <class T>
using InOrder = pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast |
                                         pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_>;

template <class T>
std::vector<T> vector_or_none(const pybind11::handle& value) {
  if (value.is_none()) return {};
  const auto a = pybind11::cast<InOrder<T>>(value);
  return std::vector<T>(a.data(), a.data() + a.size());
}

// NumPy's dtype object for T, of which there is one.
template <class T>
PyObject* description_of() {
  static PyObject* const one = pybind11::dtype::of<T>().release().ptr();
  return one;
}

// Whether it is of NumPy's own class: a subclass may have a mask.
inline bool is_numpy(const pybind11::handle& value) {
  return Py_TYPE(value.ptr()) == pybind11::detail::npy_api::get().PyArray_Type_;
}

// Whether it is a NumPy array of T. The pointer to the dtype is compared first: comparing dtypes
// takes ten times as long.
template <class T>
bool holds(const pybind11::handle& value) {
  namespace py = pybind11;
  if (!is_numpy(value)) return false;
  return py::detail::array_proxy(value.ptr())->descr == description_of<T>() ||
         py::array_t<T>::check_(value);
}

// A copy as a NumPy array. pybind11's constructor around NumPy's function takes twice as long.
template <class T>
pybind11::array_t<T> array_of(const T* from, int64_t n) {
  namespace py = pybind11;
  const auto& numpy = py::detail::npy_api::get();
  const Py_intptr_t shape = n;
  PyObject* description = py::handle(description_of<T>()).inc_ref().ptr();
  PyObject* made = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, description, 1, &shape, nullptr,
                                               nullptr, 0, nullptr);
  if (!made) throw py::error_already_set();
  auto to = py::reinterpret_steal<py::array_t<T>>(made);
  std::memcpy(to.mutable_data(), from, static_cast<size_t>(n) * sizeof(T));
  return to;
}

// A 1-D array of T whose numbers can be read as they lie.
template <class T>
bool plain(const pybind11::object& value) {
  using pybind11::detail::npy_api;
  constexpr int wanted = npy_api::NPY_ARRAY_ALIGNED_ | npy_api::NPY_ARRAY_C_CONTIGUOUS_;
  if (!value || !holds<T>(value)) return false;
  const auto* fields = pybind11::detail::array_proxy(value.ptr());
  return fields->nd == 1 && (fields->flags & wanted) == wanted;
}

}  // namespace steepest
