"""The vector and sweep kernels by gcc and by clang: the same bits, wherever arrays lie.

clang 14 and 16 read `Vector&` as aligned; a build by clang 14 ended there.
"""

from __future__ import annotations

import compilers

LEVELS = [source for source in compilers.LEVEL_SOURCES if source != compilers.ENGINE_LEVEL]


def printed(cxx, folder):
    source = compilers.NATIVE / "linear_kernels.cpp"
    flags = [*compilers.STANDARD, *compilers.ALIKE, "-O3", "-DSTEEPEST_LEVEL=base", "-Wno-psabi"]
    compilers.run(cxx, *flags, source, *LEVELS, "-o", folder / "program")
    return compilers.run(folder / "program")


def test_clang_gives_gccs_bits(tmp_path):
    gcc, clang = compilers.compiler("g++"), compilers.compiler("clang++")
    here = printed(gcc, tmp_path)
    assert len(here.splitlines()) > 10_000 and "nan" not in here
    assert printed(clang, tmp_path) == here
