// BLAS and LAPACK from scipy.linalg.cython_blas and cython_lapack: `__pyx_capi__` holds one
// capsule a routine, named by its C signature with mangled type names, such as
// "void (char *, int *, __pyx_t_5scipy_6linalg_13cython_lapack_d *, int *, int *)".
#include "bindings/lapack_capsules.hpp"

#include <pybind11/pybind11.h>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#endif

#include <atomic>
#include <mutex>
#include <string>
#include <type_traits>

#include "bindings/module.hpp"
#include "core/error.hpp"
#include "linalg/blas_threads.hpp"
#include "linalg/lapack.hpp"

namespace py = pybind11;

namespace steepest {
namespace {

// A signature as one letter an argument: c for char *, i for int *, r for a real of any name.
std::string pattern_of(const std::string& signature) {
  std::string pattern;
  size_t begin = signature.find('(') + 1;
  while (begin < signature.size()) {
    const size_t end = signature.find_first_of(",)", begin);
    const std::string argument = signature.substr(begin, end - begin);
    pattern += argument == "char *" ? 'c' : argument == "int *" ? 'i' : 'r';
    begin = end + 2;
  }
  return pattern;
}

// The routine's pointer, after its capsule's signature has been compared with `pattern`.
template <class F>
void take(const py::dict& capsules, const std::string& name, const std::string& pattern, F& into) {
  if (!capsules.contains(name.c_str())) {
    throw Error(ErrorKind::backend, "SciPy's LAPACK has no routine " + name);
  }
  PyObject* capsule = capsules[name.c_str()].ptr();
  const char* signature = PyCapsule_GetName(capsule);
  if (!signature || pattern_of(signature) != pattern) {
    throw Error(ErrorKind::backend, "SciPy's " + name + " has the signature '" +
                                        (signature ? signature : "") + "', not the pattern " +
                                        pattern + " (c char *, i 32-bit int *, r real *)");
  }
  into = reinterpret_cast<F>(PyCapsule_GetPointer(capsule, signature));
}

template <class T>
void fill(const py::dict& blas, const py::dict& lapack, const std::string& letter) {
  linalg::Lapack<T> table;
  take(blas, letter + "syrk", "cciirrirri", table.syrk);
  take(blas, letter + "gemv", "ciirririrri", table.gemv);
  take(blas, letter + "symv", "cirririrri", table.symv);
  take(lapack, letter + "potrf", "cirii", table.potrf);
  take(lapack, letter + "potrs", "ciiririi", table.potrs);
  take(lapack, letter + "pocon", "cirirrrii", table.pocon);
  take(lapack, letter + "getrf", "iiriii", table.getrf);
  take(lapack, letter + "getrs", "ciiriirii", table.getrs);
  take(lapack, letter + "gecon", "cirirrrii", table.gecon);
  take(lapack, letter + "lange", "ciirir", table.lange);
  take(lapack, letter + "geqrf", "iirirrii", table.geqrf);
  take(lapack, letter + "ormqr", "cciiirirririi", table.ormqr);
  take(lapack, letter + "trtrs", "ccciiririi", table.trtrs);
  linalg::lapack_table<T>() = table;
}

// The thread control of the BLAS that a loaded file is linked to; empty for a BLAS not known here.
// dlsym searches the file and what it depends on, so it does not find NumPy's copy of OpenBLAS.
linalg::BlasThreads threads_of([[maybe_unused]] const std::string& file) {
  linalg::BlasThreads found;
#if defined(__unix__) || defined(__APPLE__)
  void* library = dlopen(file.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return found;
  const auto look = [library](const std::string& name, auto& into) {
    into = reinterpret_cast<std::remove_reference_t<decltype(into)>>(dlsym(library, name.c_str()));
  };
  look("MKL_Set_Num_Threads_Local", found.set_local);
  for (const std::string prefix : {"scipy_", ""}) {
    if (found.get && found.set) break;
    look(prefix + "openblas_get_num_threads", found.get);
    look(prefix + "openblas_set_num_threads", found.set);
  }
  if (!found.get) found.set = nullptr;
  dlclose(library);  // SciPy keeps it loaded
#endif
  return found;
}

}  // namespace

// Without a GIL too, one thread fills the tables, and the others wait until it has.
void load_lapack() {
  static std::atomic<bool> loaded{false};
  if (loaded) return;
  static std::recursive_mutex mutex;
  const Hold hold(mutex);
  if (loaded) return;
  const auto capsules = [](const char* name) {
    return py::dict(py::module_::import(name).attr("__pyx_capi__"));
  };
  const py::dict blas = capsules("scipy.linalg.cython_blas");
  const py::dict lapack = capsules("scipy.linalg.cython_lapack");
  fill<double>(blas, lapack, "d");
  fill<float>(blas, lapack, "s");
  const py::object file =
      py::getattr(py::module_::import("scipy.linalg.cython_blas"), "__file__", py::none());
  if (!file.is_none()) linalg::blas_threads() = threads_of(py::str(file));
  loaded = true;
}

}  // namespace steepest
