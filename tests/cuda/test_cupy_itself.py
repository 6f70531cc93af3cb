"""CuPy's own arrays, over host memory and without a driver, through the simulated module."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from device_problems import decay

import steepest as st
from steepest import arrays, devices
from steepest.nlls.device import DeviceSolver
from steepest.updates import placement


@pytest.fixture
def there(module, monkeypatch):
    """A NumPy array as one of CuPy over the same memory."""
    cupy = pytest.importorskip("cupy")

    def over(held):
        low = np.lib.array_utils.byte_bounds(held)[0] if held.size else 0
        memory = cupy.cuda.UnownedMemory(low, max(held.nbytes, 1), held, 0)
        at = held.ctypes.data - low if held.size else 0
        pointer = cupy.cuda.MemoryPointer(memory, at)
        return cupy.ndarray(held.shape, held.dtype, pointer, strides=held.strides)

    def allocate(n):
        memory = np.zeros(n, np.uint8)
        return SimpleNamespace(ptr=memory.ctypes.data, memory=memory)

    def kind(array):
        return 1 if isinstance(array, np.ndarray) else 2

    def zeros(device, nbytes):
        return over(np.zeros(nbytes, np.uint8))

    def current(device=0):
        return SimpleNamespace(ptr=0)

    monkeypatch.setitem(sys.modules, "steepest._cuda", module)
    for place in (arrays, devices):
        monkeypatch.setattr(place, "dlpack_device", kind)  # which CuPy asks the driver
    monkeypatch.setattr(cupy.cuda, "get_current_stream", current)
    monkeypatch.setattr(cupy.cuda, "alloc", allocate)
    monkeypatch.setattr(devices.Cuda, "in_use", lambda self: nullcontext())
    monkeypatch.setattr(placement, "_device_zeros", zeros)
    return over


def param_of(array):
    """The memory of a CuPy array on the host, as NumPy's."""
    interface = {
        "shape": array.shape,
        "typestr": array.dtype.str,
        "strides": array.strides,
        "data": (array.data.ptr, False),
        "version": 3,
    }
    return np.asarray(SimpleNamespace(__array_interface__=interface))


LAYOUTS = {
    "rows": lambda a: a,
    "columns": lambda a: a.T,
    "backwards": lambda a: a[::-1],
    "both": lambda a: a[:, ::-1].T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_step_reads_pointers_and_strides(there, layout):
    def made(*seed):
        rng = np.random.default_rng(seed)
        first = LAYOUTS[layout](rng.standard_normal((30, 41)))
        return [first, np.array(2.0), np.zeros((0, 3))]

    host, mine = made(0), made(0)
    a, b = st.Adam(host, lr=0.1), st.Adam([there(p) for p in mine], lr=0.1)
    for step in range(3):
        a.step(made(1, step))
        b.step([there(g) for g in made(1, step)])
    assert [p.tobytes() for p in host] == [p.tobytes() for p in mine]
    with pytest.raises(ValueError, match="strides"):
        b.step([there(np.zeros(p.shape, order="FC"[layout == "columns"])) for p in mine])


@pytest.mark.parametrize("order", "CF")
def test_a_fit_reads_residuals_and_jacobians(there, libraries, monkeypatch, order):
    def fakes(module, cupy):
        module.load_libraries([str(libraries)])

    monkeypatch.setattr("steepest.nlls.device.load_libraries", fakes)
    fun, jac, x0 = decay()
    want = st.LeastSquares(x0)
    s = DeviceSolver(0, x0, want._solver.options)
    while not want.done and s.phase != 2:
        f, J = fun(want.x), np.array(jac(want.x), order=order)
        np.testing.assert_allclose(s.point(), want.x, rtol=1e-6)
        s._core.tell_residual(there(f), None)
        if s.phase == 1:
            s._core.tell_jacobian(there(J))
        want.tell(f, lambda x, J=J: J)
    assert s.phase == 2 and want.done
