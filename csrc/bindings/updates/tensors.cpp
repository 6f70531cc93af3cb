// Binding that views PyTorch's tensors as NumPy arrays, by DLPack's table of C functions.
#include <pybind11/numpy.h>

#include <array>
#include <cstdint>
#include <exception>

#include "bindings/module.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

// As DLPack's header lays them out, of version 1.
struct DLTensor {
  void* data;
  int32_t device, device_id, ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;  // strides in elements, or null: C order
  uint64_t byte_offset;
};
struct ExchangeApi {
  uint32_t major, minor;
  void *previous, *allocate, *export_owning, *import;
  int (*describe)(void* tensor, DLTensor*);  // or null
  void* stream;
};
constexpr int host = 1, floating = 2, most_dimensions = 32;

// Tensors as arrays; the table is looked up once for a row of tensors of one type.
class Views {
 public:
  // A view of the memory of a tensor; where its type has no table its own numpy(), in three times
  // the time. What cannot be viewed is returned as it is: `as_gradient` says why.
  py::object of(py::handle given) {
    try {
      if (Py_TYPE(given.ptr()) != type_) look_up(given);
      const bool own = !describe_ && given.attr("is_cpu").cast<bool>();
      if (describe_ || own) {
        const py::object view = describe_ ? described(given) : given.attr("numpy")();
        if (!is_made_up(view, given)) return view;
      }
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_Exception)) throw;
    } catch (const std::exception&) {  // of PyTorch's own, say
    }
    return py::reinterpret_borrow<py::object>(given);
  }

 private:
  void look_up(py::handle given) {
    type_ = Py_TYPE(given.ptr());
    describe_ = nullptr;
    // Its own: subclasses inherit it whose elements are elsewhere, or partly masked.
    const py::object table =
        py::type::of(given).attr("__dict__").attr("get")("__dlpack_c_exchange_api__");
    if (!PyCapsule_IsValid(table.ptr(), "dlpack_exchange_api")) return;
    const auto* api =
        static_cast<ExchangeApi*>(PyCapsule_GetPointer(table.ptr(), "dlpack_exchange_api"));
    if (api->major == 1) describe_ = api->describe;
  }

  // Whether NumPy has put memory of its own in the place of some that was freed.
  static bool is_made_up(const py::object& view, py::handle given) {
    if (!py::isinstance<py::array>(view)) return false;
    const auto array = py::reinterpret_borrow<py::array>(view);
    return array.owndata() && array.size() && !given.attr("data_ptr")().cast<uintptr_t>();
  }

  // Whether the elements are not what their memory says, of which the table tells nothing.
  bool is_negated(py::handle given) const {
    const auto answer =
        py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(given.ptr(), is_neg_.ptr()));
    if (!answer) throw py::error_already_set();
    return answer.cast<bool>();
  }

  py::object described(py::handle given) const {
    const auto as_given = py::reinterpret_borrow<py::object>(given);
    if (given.attr(requires_grad_).cast<bool>() || is_negated(given)) return as_given;
    DLTensor t{};
    if (describe_(given.ptr(), &t)) throw py::error_already_set();
    const bool known = t.code == floating && t.lanes == 1 && (t.bits == 32 || t.bits == 64);
    if (t.device != host || !known || t.ndim > most_dimensions) return as_given;
    std::array<Py_intptr_t, most_dimensions> shape, strides;
    Py_intptr_t stride = t.bits / 8;
    for (int i = t.ndim; i-- > 0;) {
      const auto k = static_cast<size_t>(i);
      shape[k] = static_cast<Py_intptr_t>(t.shape[i]);
      strides[k] = t.strides ? static_cast<Py_intptr_t>(t.strides[i]) * (t.bits / 8) : stride;
      stride *= shape[k];
    }
    const auto& api = py::detail::npy_api::get();
    auto view = py::reinterpret_steal<py::object>(api.PyArray_NewFromDescr_(
        api.PyArray_Type_, (t.bits == 32 ? single_ : double_).inc_ref().ptr(), t.ndim, shape.data(),
        strides.data(), static_cast<char*>(t.data) + t.byte_offset,
        py::detail::npy_api::NPY_ARRAY_WRITEABLE_, nullptr));
    if (!view || api.PyArray_SetBaseObject_(view.ptr(), given.inc_ref().ptr()))
      throw py::error_already_set();
    return view;
  }

  static py::object interned(const char* name) {
    return py::reinterpret_steal<py::object>(PyUnicode_InternFromString(name));
  }

  py::object requires_grad_ = interned("requires_grad"), is_neg_ = interned("is_neg");
  py::dtype single_ = py::dtype::of<float>(), double_ = py::dtype::of<double>();
  PyTypeObject* type_ = nullptr;
  int (*describe_)(void*, DLTensor*) = nullptr;
};

// Gradients, with NumPy arrays in the place of PyTorch's tensors in host memory.
py::tuple tensor_views(const py::tuple& grads) {
  Views views;
  py::tuple all(grads.size());
  for (size_t i = 0; i < grads.size(); ++i) {
    const py::handle g = PyTuple_GET_ITEM(grads.ptr(), static_cast<Py_ssize_t>(i));
    const bool plain = g.is_none() || py::isinstance<py::array>(g);
    PyTuple_SET_ITEM(all.ptr(), static_cast<Py_ssize_t>(i),
                     (plain ? py::reinterpret_borrow<py::object>(g) : views.of(g)).release().ptr());
  }
  return all;
}

}  // namespace

void bind_tensors(py::module_& m) { m.def("tensor_views", &tensor_views); }

}  // namespace steepest
