"""st.info, its command, and a SIMD level that the machine lacks."""

import os
import subprocess
import sys

import pytest
from fresh_process import openmp, run

import steepest as st


def test_info_has_what_matters_and_prints_as_a_table():
    info = st.info()
    for key in ("version", "simd", "threads", "openmp", "lapack", "cuda"):
        assert key in info
    assert info["threads"] == st.get_num_threads()
    lines = repr(info).splitlines()
    assert len(lines) == len(info) and lines[0].split() == ["version", st.__version__]


def test_info_imports_scipy_only_when_asked():
    code = """
    st.info(); print("scipy" in sys.modules); print("lapack" in st.info(load=True)["lapack"]
        or "blas" in st.info(load=True)["lapack"] or "mkl" in st.info(load=True)["lapack"])
    """
    assert run(code) == ["False", "True"]
    with pytest.raises(TypeError, match="^load: 'yes' is a str; expected True or False$"):
        st.info(load="yes")


def test_a_lapack_with_other_routines_than_scipys_is_refused():
    code = """
    import types
    import numpy as np
    from scipy.linalg import cython_lapack
    routines = {**cython_lapack.__pyx_capi__}
    sys.modules["scipy.linalg.cython_lapack"] = types.SimpleNamespace(__pyx_capi__=routines)
    for change in (lambda: routines.update(dpotrf=routines["dgetrf"]),
                   lambda: routines.pop("dpotrf")):
        change()
        try:
            st.solve(np.eye(2), np.ones(2))
        except st.BackendError as error:
            print(str(error).replace(" ", "_"))
    """
    wrong, none = run(code)
    assert wrong.startswith("SciPy's_dpotrf_has_the_signature_'void_(int_*,_int_*,_")
    assert ",_not_the_pattern_cirii_(c_char_*," in wrong
    assert none == "SciPy's_LAPACK_has_no_routine_dpotrf"


def test_info_command(capsys):
    from steepest.cli import main

    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    assert st.__version__ in printed and "threads" in printed and "SciPy" in printed


def test_a_level_that_this_machine_lacks_is_said_by_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "steepest", "info"],
        env={**os.environ, "STEEPEST_SIMD": "avx1024", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("steepest: STEEPEST_SIMD: 'avx1024' is not allowed; expected")


@openmp
def test_a_step_at_a_level_that_this_machine_lacks_changes_nothing():
    """Said before the first region, out of which no exception could come, and for each call."""
    code = """
    import numpy as np
    st.set_num_threads(2)
    _cpu.set_bytes_per_thread(1)
    p, m, v = np.ones(1000), np.zeros(1000), np.zeros(1000)
    opt, g = st.Adam(p), np.ones(1000)
    opt.bind_grads(g)
    calls = [lambda: opt.step(g), lambda: opt.step(g, max_norm=1.0), opt.step]
    for call in [*calls, lambda: st.functional.adam(p, g, m, v, step=1)]:
        try:
            call()
        except ValueError as error:
            print(str(error).startswith("STEEPEST_SIMD: 'avx1024' is not allowed; expected"))
        print((p == 1).all(), opt.step_count, opt.state_dict()["state"][0]["step"])
    """
    assert run(code, STEEPEST_SIMD="avx1024") == ["True", "True", "0", "0"] * 4


def test_info_says_whether_cuda_is_built(monkeypatch):
    monkeypatch.setitem(sys.modules, "steepest._cuda", None)
    assert st.info()["cuda"] == "not built"

    def broken(name):
        raise ImportError("undefined symbol: x")

    monkeypatch.setattr("steepest.devices._imported", broken)
    assert st.info()["cuda"] == "built, but not loaded: undefined symbol: x"
