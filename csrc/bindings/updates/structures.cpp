// The leaves of nested dicts, lists and tuples, in the order of the parameters: a step has no time
// to walk them in Python.
#include "bindings/module.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

// node[key], or null where it has none.
py::object child_of(PyObject* node, Py_ssize_t i, PyObject* key) {
  PyObject* child = key ? PyObject_GetItem(node, key) : PySequence_GetItem(node, i);
  if (!child && !PyErr_ExceptionMatches(PyExc_LookupError)) throw py::error_already_set();
  if (!child) PyErr_Clear();
  return py::reinterpret_steal<py::object>(child);
}

// Python's own dicts: those of another class may look their items up in their own way.
bool is_plain_dict(PyObject* node) { return PyDict_CheckExact(node) || PyODict_CheckExact(node); }

// Appends the leaves of a node to a list. `outline`, as steepest.updates.tree makes it: how many
// children, or their keys; and their outlines, None for leaves. False where the node has another
// structure, or is a mapping of another class.
bool append_leaves(PyObject* outline, PyObject* node, py::list& leaves) {
  PyObject* children = PyTuple_GET_ITEM(outline, 0);
  PyObject* inner = PyTuple_GET_ITEM(outline, 1);
  const bool keyed = PyTuple_Check(children);
  if (!(keyed ? is_plain_dict(node) : PyList_Check(node) || PyTuple_Check(node))) return false;
  const Py_ssize_t n = PyTuple_GET_SIZE(inner), given = PyObject_Size(node);
  if (given < 0) throw py::error_already_set();
  if (given != n) return false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    const py::object child = child_of(node, i, keyed ? PyTuple_GET_ITEM(children, i) : nullptr);
    if (!child) return false;
    PyObject* within = PyTuple_GET_ITEM(inner, i);
    if (within == Py_None) {
      leaves.append(child);
    } else if (!append_leaves(within, child.ptr(), leaves)) {
      return false;
    }
  }
  return true;
}

py::object leaves_of(const py::object& outline, const py::object& node) {
  if (outline.is_none()) return py::make_tuple(node);
  py::list leaves;
  if (!append_leaves(outline.ptr(), node.ptr(), leaves)) return py::none();
  return py::tuple(leaves);
}

}  // namespace

void bind_structures(py::module_& m) { m.def("leaves_of", &leaves_of); }

}  // namespace steepest
