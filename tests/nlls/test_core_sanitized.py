"""The core in C++ under the address, undefined-behaviour and thread sanitizers, without Python.

On the host, and on the device that is simulated over fake libraries.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import compilers

FLAGS = ["-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FLAGS += compilers.SIMULATED_FLAGS


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """By the names of their sources, what the programs below are linked of."""
    folder = tmp_path_factory.mktemp("objects")
    cxx = compilers.compiler("g++", "c++")
    compilers.supports(cxx, FLAGS, folder)
    names = ("least_squares", "tiled_cholesky", "simulated", "simulated_linalg")
    sources = [compilers.NATIVE / f"{name}.cpp" for name in names]
    sources += [compilers.ROOT / "csrc/linalg/lapack.cpp"]
    sources += [compilers.ROOT / "csrc/linalg/blas_threads.cpp", *compilers.DEVICE_LIBRARIES]
    made = {source.stem: folder / f"{source.stem}.o" for source in sources}
    jobs = [
        [cxx, *compilers.STANDARD, *FLAGS, "-c", source, "-o", made[source.stem]]
        for source in sources
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: compilers.run(*job), jobs))
    return made


def program(objects, without, *args):
    """What the program says that is linked of all but one of these objects."""
    cxx = compilers.compiler("g++", "c++")
    made = objects[without].parent / f"without_{without}"
    linked = [file for name, file in objects.items() if name != without]
    compilers.run(cxx, *FLAGS, *linked, "-ldl", "-o", made)
    return compilers.run(made, *args)


def test_least_squares(objects, tmp_path):
    cxx = compilers.compiler("g++", "c++")
    libraries = compilers.fake_libraries(cxx, tmp_path, FLAGS)
    assert "all fits converged" in program(objects, "tiled_cholesky", libraries)


def test_cholesky_by_tiles(objects):
    assert program(objects, "least_squares") == "all factored\n"


def test_tiles_wait_for_what_they_read(tmp_path):
    """Blocks are threads, of which each has one tile: the flags alone put them in order."""
    cxx = compilers.compiler("g++")
    flags = ["-g1", "-O1", "-Wno-unknown-pragmas", "-pthread", "-fsanitize=thread"]
    compilers.supports(cxx, flags, tmp_path)
    made = tmp_path / "tiles_at_once"
    source = compilers.NATIVE / "tiles_at_once.cpp"
    compilers.run(cxx, *compilers.STANDARD, *flags, source, "-o", made)
    assert compilers.run(made) == "all factored\n"
