// Bindings of the thread policy and the floating-point mode.
#include "cpu/threads.hpp"

#include <limits>
#include <optional>
#include <vector>

#include "bindings/lapack_capsules.hpp"
#include "bindings/module.hpp"
#include "cpu/teams.hpp"
#include "linalg/blas_threads.hpp"

namespace py = pybind11;

namespace steepest {

namespace {

py::dict limits_as_dict(const std::string& root) {
  const ThreadLimits limits = thread_limits(root);
  py::dict d;
  d["set"] = limits.set;
  d["affinity"] = limits.affinity;
  d["quota"] = limits.quota;
  d["openmp"] = limits.openmp;
  d["threads"] = threads_allowed(limits);
  return d;
}

struct Seen {
  int team = 0, nested = 0;
  double halved = 0;
};

// What each thread of a real team sees, for tests: the team's size, what a region inside it would
// get, and half of the least normal double, which is 0 where denormals are flushed.
py::list probe_team(int64_t bytes) {
  std::vector<Seen> seen(max_threads);
  int team = 1;
  {
    const WithoutGil release;
    in_parallel(threads_for(bytes), [&](int thread, int threads) {
      volatile double least = std::numeric_limits<double>::min();
      seen[static_cast<size_t>(thread)] = {threads, threads_for(bytes), least / 2};
      if (thread == 0) team = threads;
    });
  }
  py::list rows;
  for (int i = 0; i < team; ++i) {
    const Seen& s = seen[static_cast<size_t>(i)];
    rows.append(py::make_tuple(s.team, s.nested, s.halved));
  }
  return rows;
}

// For `with`: SciPy's BLAS keeps to one thread in it.
class OneBlasThread {
 public:
  void enter() {
    load_lapack();
    limit_.emplace(true);
  }
  void leave(const py::args&) { limit_.reset(); }

 private:
  std::optional<linalg::OneBlasThread> limit_;
};

}  // namespace

void bind_threads(py::module_& m) {
  make_forks_safe();
#ifdef _OPENMP
  m.attr("openmp") = _OPENMP;
#else
  m.attr("openmp") = 0;
#endif
  m.attr("max_threads") = max_threads;
  m.def("get_num_threads", &get_num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"));
  m.def("thread_limits", &limits_as_dict, py::arg("root") = "");
  m.def("threads_for", &threads_for, py::arg("bytes"));
  m.def("threads_now", &threads_now, py::arg("bytes"));
  m.def("note_wait", &note_wait, py::arg("seconds"));
  m.def("expected_wait", &expected_wait);
  m.def("settle", &settle, py::arg("bytes"), py::arg("threads"), py::arg("waited"));
  m.def("teams_account", &teams_account);
  m.def("reset_account", &reset_account);
  m.def("bytes_per_thread", &bytes_per_thread);
  m.def("set_bytes_per_thread", &set_bytes_per_thread, py::arg("bytes"));
  py::class_<OneBlasThread>(m, "OneBlasThread")
      .def(py::init())
      .def("__enter__", &OneBlasThread::enter)
      .def("__exit__", &OneBlasThread::leave);
  m.def("probe_team", &probe_team, py::arg("bytes"));
  m.def("set_flush_denormals", &set_flush_denormals, py::arg("on"));
  m.def("flush_denormals", &flush_denormals);
}

}  // namespace steepest
