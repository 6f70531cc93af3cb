"""The core in C++ under the address and undefined-behaviour sanitizers, without Python.

On the host, and on the device that is simulated over fake libraries.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import compilers

FLAGS = ["-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FLAGS += ["-Wno-unknown-pragmas"]


def test_addresses_and_undefined_behaviour(tmp_path):
    cxx = compilers.compiler("g++", "c++")
    (tmp_path / "empty.cpp").write_text("int main() {}\n")
    empty = [cxx, *FLAGS, tmp_path / "empty.cpp", "-o", tmp_path / "empty"]
    if subprocess.run(empty, capture_output=True).returncode:
        pytest.skip(f"{cxx} has no sanitizers")
    names = ("least_squares", "simulated", "simulated_linalg")
    sources = [compilers.NATIVE / f"{name}.cpp" for name in names]
    sources += [compilers.ROOT / "csrc/linalg/lapack.cpp"]
    sources += [compilers.ROOT / "csrc/linalg/blas_threads.cpp", *compilers.DEVICE_LIBRARIES]
    made = [tmp_path / f"{source.stem}.o" for source in sources]
    jobs = [
        [cxx, *compilers.STANDARD, *FLAGS, "-c", source, "-o", to]
        for source, to in zip(sources, made, strict=True)
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: compilers.run(*job), jobs))
    libraries = compilers.fake_libraries(cxx, tmp_path, FLAGS)
    program = tmp_path / "least_squares_program"
    compilers.run(cxx, *FLAGS, *made, "-ldl", "-o", program)
    assert "all fits converged" in compilers.run(program, libraries)
