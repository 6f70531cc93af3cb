"""The parts of the core in C++ that decide alone, each asked by itself, without Python."""

from __future__ import annotations

import pytest

import compilers


@pytest.mark.parametrize("part", ["least_squares_parts", "difference_parts"])
def test_what_decides_alone_does_as_it_says(part, tmp_path):
    cxx = compilers.compiler("g++", "c++")
    program = tmp_path / "parts"
    source = compilers.NATIVE / f"{part}.cpp"
    compilers.run(cxx, *compilers.STANDARD, *compilers.ALIKE, "-O1", source, "-o", program)
    assert "all hold" in compilers.run(program)
