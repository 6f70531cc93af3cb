"""How cuBLAS and cuSOLVER are opened, and the wheels' and headers' word on what is called there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import compilers
from steepest.nlls.device import library_folders

LOAD = """
import importlib.util, sys
import steepest  # for its errors: looked for first when one is thrown, they wait for a lock
spec = importlib.util.spec_from_file_location("_cuda", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
try:
    print(*module.load_libraries(sys.argv[2:]))
except Exception as error:
    print(type(error).__name__, error)
"""


def loaded(module, *folders):
    """What a fresh process says that opens the libraries."""
    return compilers.run(
        sys.executable,
        *("-c", LOAD, module.__file__, *folders),
        PYTHONPATH=os.pathsep.join(sys.path),
    )


def test_the_folders_given_are_taken_before_the_loaders_own(module, libraries):
    assert loaded(module, libraries.parent, libraries) == (
        f"{libraries}/libcublas.so.13 {libraries}/libcusolver.so.12\n"
    )


def test_a_copy_in_the_process_is_taken_first(module, libraries, tmp_path):
    other = tmp_path / "loaded"
    shutil.copytree(libraries, other)
    before = f"import ctypes; ctypes.CDLL({str(other / 'libcublas.so.13')!r})\n"
    # glibc knows a loaded library by its soname, which the fake has none of: it is given one.
    cxx = compilers.compiler("g++")
    source = compilers.NATIVE / "fake_libraries.cpp"
    named = ["-shared", "-Wl,-soname,libcublas.so.13", "-o", other / "libcublas.so.13"]
    compilers.run(cxx, *compilers.STANDARD, source, *named)
    done = compilers.run(
        sys.executable,
        *("-c", before + LOAD, module.__file__, libraries),
        PYTHONPATH=os.pathsep.join(sys.path),
    )
    assert done.split()[0] == f"{other}/libcublas.so.13"


def test_a_library_that_is_missing_is_named(module, tmp_path):
    text = loaded(module, tmp_path)
    if text.startswith(("/", "lib")):
        pytest.skip(f"the loader finds them by name: {text}")
    assert text.startswith("BackendError libcublas.so.13 cannot be opened, which least squares on ")
    assert f"{tmp_path}/libcublas.so.13" in text and "pip install 'steepest[cuda13]'" in text


def test_a_library_without_a_symbol_is_named(module, tmp_path):
    cxx = compilers.compiler("g++")
    (tmp_path / "empty.cpp").write_text("")
    made = tmp_path / "libcublas.so.13"
    compilers.run(cxx, "-shared", tmp_path / "empty.cpp", "-o", made)
    assert loaded(module, tmp_path) == (
        f"BackendError libcublas.so.13 ({made}) has no cublasCreate_v2; expected that of CUDA 13\n"
    )


def test_every_symbol_is_in_the_wheels(module):
    folders = [f for f in library_folders() if list(Path(f).glob("libcu[bs]*.so.1[23]"))]
    if not folders:
        pytest.skip("the wheels nvidia-cublas and nvidia-cusolver are not installed")
    files = loaded(module, *folders).split()
    assert [Path(file).name for file in files] == ["libcublas.so.13", "libcusolver.so.12"]
    assert all(Path(file).parent in map(Path, folders) for file in files)


CUPYS = """
import cupy
from steepest.nlls.device import load_libraries
files = load_libraries(module, cupy)
maps = open("/proc/self/maps").read().split()
print({m for m in maps if "/libcublas.so" in m or "/libcusolver.so" in m} == set(files))
"""


def test_the_copy_is_cupys(module):
    """Also where CuPy has not needed it yet; it is asked without a driver."""
    pytest.importorskip("cupy")
    load = LOAD.split("try:")[0]
    done = compilers.run(
        sys.executable,
        *("-c", load + CUPYS, module.__file__),
        PYTHONPATH=os.pathsep.join(sys.path),
    )
    assert done == "True\n"


def headers():
    """Folders with NVIDIA's headers, of the wheels and of the toolkit."""
    folders = [Path(folder).parent / "include" for folder in library_folders()]
    nvcc = Path("/usr/local/cuda/bin/nvcc"), Path(shutil.which("nvcc") or "nvcc").resolve()
    return [*folders, *(path.parent.parent / "include" for path in nvcc)]


def check_headers(*first):
    found = headers()
    for name in ("cublas_v2.h", "cusolverDn.h", "cuda_runtime_api.h"):
        if not any((folder / name).exists() for folder in found):
            pytest.skip(f"{name} is not found")
    source = compilers.ROOT / "csrc/linalg/device/headers.cpp"
    includes = [part for folder in found for part in ("-isystem", folder)]
    command = [compilers.compiler("g++"), "-std=c++17", "-fsyntax-only", *first]
    command += [f"-I{compilers.ROOT / 'csrc'}", *includes, source]
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def test_prototypes_are_those_of_the_headers():
    done = check_headers()
    assert done.returncode == 0, done.stderr


def test_a_wrong_prototype_would_be_seen(tmp_path):
    name = "linalg/device/libraries.hpp"
    text = (compilers.ROOT / "csrc" / name).read_text()
    wrong = text.replace("const T* beta, T* c, int64_t ldc", "const T* beta, T* c, int ldc")
    assert wrong != text
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(wrong)
    done = check_headers(f"-I{tmp_path}")
    assert done.returncode != 0 and "syrk" in done.stderr
