"""Denormals and the floating-point mode of parallel regions."""

import sys

import numpy as np
import pytest
from fresh_process import BIG, run

import compilers
import steepest as st
from steepest import _cpu

pytestmark = pytest.mark.usefixtures("settings_stay")


def test_denormals_are_kept_unless_flushed():
    st.set_num_threads(3)
    least = sys.float_info.min
    assert {halved for *_, halved in _cpu.probe_team(BIG)} == {least / 2}
    st.set_flush_denormals(True)
    assert {halved for *_, halved in _cpu.probe_team(BIG)} == {0.0}
    assert st.info()["denormals"] == "flushed to zero"
    assert least / 2 > 0  # only inside regions
    st.set_flush_denormals(False)
    assert {halved for *_, halved in _cpu.probe_team(0)} == {least / 2}
    assert st.info()["denormals"] == "kept"


@pytest.mark.parametrize("threads", [1, 3])
def test_a_step_keeps_denormals_unless_flushed(threads):
    st.set_num_threads(threads)
    _cpu.set_bytes_per_thread(1)
    for flushed in (False, True):
        st.set_flush_denormals(flushed)
        p = np.zeros(37)
        st.SGD(p, lr=1.0).step(np.full(37, 1e-310))
        assert (p == (0.0 if flushed else -1e-310)).all()


def test_set_flush_denormals_refuses_what_is_no_flag():
    with pytest.raises(TypeError, match="^on: 1 is an int; expected True or False$"):
        st.set_flush_denormals(1)
    assert not _cpu.flush_denormals()


def test_region_does_not_inherit_the_mode_of_its_caller():
    """Some libraries switch a thread to flushing; results must not depend on that."""
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("torch cannot flush here")
    try:
        halved = sys.float_info.min / 2
        seen = [row[2] for row in _cpu.probe_team(0)]
        still = sys.float_info.min / 2
        p = np.zeros(1, np.float32)  # its constants are folded outside of regions
        st.SGD(p, lr=1e-40).step(np.full(1, 1e10, np.float32))
    finally:
        torch.set_flush_denormal(False)
    assert halved == still == 0.0  # the caller's mode came back
    assert seen == [sys.float_info.min / 2]
    assert p[0] == -np.float32(1e-40) * np.float32(1e10)


@pytest.mark.parametrize("fast", ["-ffast-math", "-funsafe-math-optimizations", "-Ofast"])
def test_fast_math_in_cxxflags_is_overruled(fast, tmp_path):
    """gcc before 13 links what flushes denormals wherever the module is loaded."""
    cxx = compilers.compiler("g++", "clang++")
    source, library = tmp_path / "one.cpp", tmp_path / "one.so"
    source.write_text("#ifdef __FAST_MATH__\n#error fast-math\n#endif\nint one = 1;\n")
    flags = [fast, "-fPIC", *compilers.ALIKE]
    compilers.run(cxx, *flags, "-c", source, "-o", tmp_path / "one.o")
    link = [fast, *compilers.LINKED_ALIKE, "-shared"]
    compilers.run(cxx, *link, tmp_path / "one.o", "-o", library)
    kept = f"import ctypes; ctypes.CDLL({str(library)!r}); print(sys.float_info.min / 2 > 0)"
    assert run(kept) == ["True"]
