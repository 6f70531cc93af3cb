// What each file of bindings adds to its module, and what they share.
#pragma once
#include <pybind11/pybind11.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

namespace steepest {

// Work, rows * columns², from which a factorization gives up the GIL.
constexpr int64_t work_without_gil = 1 << 18;

// Gives up the GIL while it lives. If Python has ended meanwhile, taking the GIL back ends the
// thread: up to Python 3.13 by unwinding its stack. Unwinding out of a destructor aborts the
// process, as happened with a daemon thread in a step. So the thread sleeps until the process ends,
// as Python 3.14 makes it do.
class WithoutGil {
 public:
  explicit WithoutGil(bool wanted = true) : thread_(wanted ? PyEval_SaveThread() : nullptr) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
    if (!thread_) return;
    try {
      PyEval_RestoreThread(thread_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }

 private:
  PyThreadState* thread_;
};

// Locks a mutex, waiting without the GIL, which its owner may need in order to go on.
class Hold {
 public:
  explicit Hold(std::recursive_mutex& mutex) : lock_(mutex, std::try_to_lock) {
    if (lock_) return;
    const WithoutGil release;
    lock_.lock();
  }
  // Leaves it locked at the end.
  void keep() { lock_.release(); }

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

// Lets Python's garbage collector see the objects that a T holds: T::visit(see) calls see with
// each, until that is not 0. No cycle consists of Ts alone, so it is enough that the other objects
// in it can be cleared.
template <class T>
pybind11::custom_type_setup collected() {
  return pybind11::custom_type_setup([](PyHeapTypeObject* heap) {
    heap->ht_type.tp_flags |= Py_TPFLAGS_HAVE_GC;
    heap->ht_type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) -> int {
      Py_VISIT(Py_TYPE(self));
      auto* instance = reinterpret_cast<pybind11::detail::instance*>(self);
      if (!instance->owned) return 0;  // there is no memory for the T yet
      auto held = instance->get_value_and_holder();
      if (!held.holder_constructed()) return 0;  // the T is not constructed yet
      return held.template value_ptr<T>()->visit([&](const pybind11::handle& object) {
        Py_VISIT(object.ptr());
        return 0;
      });
    };
  });
}

void bind_cg_vectors(pybind11::module_& m);  // vector part of conjugate gradients
void bind_linear(pybind11::module_& m);      // sweeps and factorisations of dense systems
void bind_nlls(pybind11::module_& m);        // the least-squares solver
void bind_nlls_cuda(pybind11::module_& m);   // the same, to _cuda
void bind_pairs(pybind11::module_& m);       // the stored pairs of L-BFGS
void bind_shuffle(pybind11::module_& m);     // the order of minibatches
void bind_stream(pybind11::module_& m);      // memory yardstick of the benchmarks
void bind_structures(pybind11::module_& m);  // leaves of nested structures
void bind_tensors(pybind11::module_& m);     // PyTorch's tensors as NumPy arrays
void bind_threads(pybind11::module_& m);     // thread policy, floating-point mode
void bind_updates(pybind11::module_& m);     // plans, rules, SIMD level
void bind_vectors(pybind11::module_& m);     // vector kernels of the full-batch methods

}  // namespace steepest
