"""A device that is simulated: the module _cuda compiled over it, and a CuPy over the host."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import fake_cupy
import fake_cupyx
import pybind11
import pytest

import compilers
import steepest

SOURCES = [
    *compilers.SIMULATED,
    *(compilers.ROOT / f"csrc/bindings/{name}.cpp" for name in ("cuda_module", "nlls_cuda")),
    compilers.ROOT / "csrc/cuda/plan.cpp",
    *compilers.DEVICE_LIBRARIES,
    *(compilers.NATIVE / f"simulated_{part}.cpp" for part in ("linalg", "hooks")),
]


# The GPU tests run over the simulated device where this is set, for their own sake: they must not
# have gone stale when a device is at hand.
SIMULATED = bool(os.environ.get("STEEPEST_TESTS_SIMULATED"))


@pytest.fixture
def cupy(request):
    """CuPy itself, where there is a device."""
    if SIMULATED:
        request.getfixturevalue("libraries_to_be_found")
        return fake_cupy
    found = pytest.importorskip("cupy")
    try:
        found.cuda.runtime.getDeviceCount()
    except found.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"no device is usable: {error}")
    if os.environ.get("STEEPEST_TESTS_WITHOUT_POOL"):  # for memcheck, which sees no pool's parts
        found.cuda.set_allocator(None)
    return found


@pytest.fixture
def true_device():
    """What the simulated device has not, or takes too long for."""
    if SIMULATED:
        pytest.skip("needs a true device")


@pytest.fixture(scope="session")
def module(tmp_path_factory):
    """The module _cuda, compiled over the simulated device."""
    cxx = compilers.compiler("g++")
    folder = tmp_path_factory.mktemp("device")
    includes = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_path('include')}"]
    flags = [*compilers.STANDARD, *compilers.ALIKE, *compilers.SIMULATED_FLAGS, "-O1"]
    flags += includes
    made = [folder / f"{source.stem}.o" for source in SOURCES]
    jobs = [[cxx, *flags, "-c", a, "-o", b] for a, b in zip(SOURCES, made, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: compilers.run(*job), jobs))
    library = folder / f"_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    compilers.run(cxx, "-shared", *made, "-ldl", "-o", library)
    spec = importlib.util.spec_from_file_location("_cuda", library)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="session")
def libraries(tmp_path_factory, hooks):
    """The folder of the fake cuBLAS and cuSOLVER."""
    folder = compilers.fake_libraries(compilers.compiler("g++"), tmp_path_factory.mktemp("fake"))
    give = ctypes.cast(hooks.simulated_give, ctypes.c_void_p)
    for name in ("libcublas.so.13", "libcusolver.so.12"):
        ctypes.CDLL(folder / name).fake_gives(give)
    return folder


@pytest.fixture
def libraries_to_be_found(device, libraries, monkeypatch):
    monkeypatch.setattr("steepest.nlls.device.library_folders", lambda: [str(libraries)])
    return libraries


@pytest.fixture(scope="session")
def hooks(module):
    """What the simulated device can be told: see native/simulated_hooks.cpp."""
    found = ctypes.CDLL(module.__file__)
    found.simulated_capture.argtypes = [ctypes.c_int, ctypes.c_void_p]
    found.simulated_replay.argtypes = found.simulated_drain.argtypes = [ctypes.c_void_p]
    found.simulated_fail_after.argtypes = [ctypes.c_int64]
    found.simulated_only_stream.restype = ctypes.c_int64
    found.simulated_asked_with_gil.restype = ctypes.c_int64
    return found


@pytest.fixture
def device(module, hooks, monkeypatch):
    """The simulated module, in the place of a device's own and of CuPy; its streams are lazy."""
    monkeypatch.setitem(sys.modules, "steepest._cuda", module)
    monkeypatch.setattr(steepest, "_cuda", module, raising=False)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    monkeypatch.setitem(sys.modules, "cupyx", fake_cupyx)
    for name, fake in fake_cupyx.modules.items():
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setattr(fake_cupy, "left", [False])
    monkeypatch.setattr(fake_cupy, "capture", [hooks.simulated_capture])
    monkeypatch.setattr(fake_cupy, "replay", [hooks.simulated_replay])
    monkeypatch.setattr(fake_cupy, "drain", [hooks.simulated_drain, hooks.simulated_drain_all])
    hooks.simulated_lazy(1)
    yield module
    hooks.simulated_drain_all()
    hooks.simulated_lazy(0)
    fake_cupy.kept.clear()
    hooks.simulated_fail_after(-1)
    hooks.simulated_no_device(b"")
    hooks.simulated_capture(0, None)
