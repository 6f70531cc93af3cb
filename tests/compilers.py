"""Compilers for the tests that build C++: CMake's own flags, sources and levels."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CMAKE = (ROOT / "CMakeLists.txt").read_text()
STANDARD = ["-std=c++17", "-fPIC", f"-I{ROOT / 'csrc'}"]
ALIKE = re.search(r"add_compile_options\(([^)]*)\)", CMAKE)[1].split()
SSE2 = re.search(r"add_compile_options\((-msse2[^)]*)\)", CMAKE)[1].split()  # on 32-bit x86
if sys.maxsize < 2**32 and re.search("x86|i.86", platform.machine()):
    ALIKE += SSE2
LINKED_ALIKE = re.search(r"add_link_options\(([^)]*)\)", CMAKE)[1].split()
LEVELS = {
    level: flags.split()
    for level, flags in re.findall(r'set\(STEEPEST_FLAGS_(\w+) "?([^)"]*)', CMAKE)
}
# Files that are compiled once a level.
LEVEL_SOURCES = [ROOT / name for name in re.findall(r"^steepest_levels\(\w+ (\S+)\)", CMAKE, re.M)]
# What a program over plans is made of: what is compiled once a level, and what once.
ENGINE_LEVEL = ROOT / "csrc/cpu/level.cpp"
NATIVE = ROOT / "tests" / "native"
ENGINE = [
    ROOT / "csrc/core/float_mode.cpp",
    *(
        ROOT / "csrc/cpu" / f"{name}.cpp"
        for name in ("fetch_ahead", "level_table", "plan", "teams", "threads")
    ),
]
# A device that is not there, but for its kernels of least squares: first what compiles longest.
SIMULATED = [
    NATIVE / f"{name}.cpp" for name in ("simulated_updates", "simulated_few_lanes", "simulated")
]
SIMULATED_FLAGS = ["-Wno-unknown-pragmas", "-DSTEEPEST_HD=inline"]
# What opens cuBLAS and cuSOLVER.
DEVICE_LIBRARIES = [ROOT / "csrc/linalg/device/libraries.cpp"]


def compiler(*names):
    """The first of these that is found, or the test is skipped."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"none of {', '.join(names)} is found")


def supports(cxx, flags, folder):
    """Skips where the compiler cannot link with these."""
    (folder / "empty.cpp").write_text("int main() {}\n")
    command = [cxx, *flags, folder / "empty.cpp", "-o", folder / "empty"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"{cxx} cannot link {' '.join(flags)}")


def run(*command, **env):
    """What a command prints; its output is shown where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=900,
    )
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def objects(cxx, folder, flags, sources, levels, of_level=ENGINE_LEVEL):
    """Compiles sources once, and ``of_level`` once a level; two at a time."""
    x86 = ["-DSTEEPEST_X86_LEVELS=1"] if "avx512" in levels else []
    common = [cxx, *STANDARD, *ALIKE, *x86, "-fopenmp", *flags, "-c"]
    jobs = [[*common, source, "-o", folder / f"{source.stem}.o"] for source in sources]
    for level in levels:
        made = folder / f"{of_level.stem}_{level}.o"
        definition = f"-DSTEEPEST_LEVEL={level}"
        jobs.insert(0, [*common, *LEVELS[level], definition, of_level, "-o", made])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: run(*job), jobs))
    return [job[-1] for job in jobs]


def program(cxx, folder, flags, extra=(), levels=("base",), link=("-fopenmp",)):
    """The program of native/rules.cpp."""
    sources = [*ENGINE, NATIVE / "rules.cpp", *extra]
    made = objects(cxx, folder, flags, sources, levels)
    run(cxx, *flags, *made, *link, "-pthread", "-o", folder / "program")
    return folder / "program"


def fake_libraries(cxx, folder, flags=("-O1",)):
    """A folder with cuBLAS and cuSOLVER over host memory, for the loader to find."""
    made = folder / "libraries"
    made.mkdir()
    first = made / "libcublas.so.13"
    run(cxx, *STANDARD, *flags, "-shared", NATIVE / "fake_libraries.cpp", "-o", first)
    shutil.copy(first, made / "libcusolver.so.12")
    return made
