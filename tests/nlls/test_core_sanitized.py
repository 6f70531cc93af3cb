"""The core in C++ under the address and undefined-behaviour sanitizers, without Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import compilers

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def test_addresses_and_undefined_behaviour(tmp_path):
    cxx = compilers.compiler("g++", "c++")
    (tmp_path / "empty.cpp").write_text("int main() {}\n")
    empty = [cxx, *FLAGS, tmp_path / "empty.cpp", "-o", tmp_path / "empty"]
    if subprocess.run(empty, capture_output=True).returncode:
        pytest.skip(f"{cxx} has no sanitizers")
    own = [
        "tests/native/least_squares.cpp",
        "csrc/linalg/lapack.cpp",
        "csrc/linalg/blas_threads.cpp",
    ]
    sources = [ROOT / path for path in own]
    program = tmp_path / "least_squares"
    built = subprocess.run(
        [cxx, *compilers.STANDARD, *FLAGS, *sources, "-o", program], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all fits converged" in done.stdout
