"""No object of a SIMD level has a weak symbol.

The linker keeps one copy of a weak function, perhaps that of AVX-512: a processor without it
would then run into an illegal instruction.
"""

from __future__ import annotations

import pytest

import compilers


@pytest.mark.parametrize("source", compilers.LEVEL_SOURCES, ids=lambda path: path.name)
def test_no_weak_symbols(source, tmp_path):
    cxx, nm = compilers.compiler("g++", "c++"), compilers.compiler("nm")
    made = compilers.objects(cxx, tmp_path, ["-O3"], [], compilers.LEVELS, source)
    assert len(made) == len(compilers.LEVELS)
    for path in made:
        rows = [line.split() for line in compilers.run(nm, path).splitlines()]
        kinds = {name: kind for *_, kind, name in rows}
        assert [name for name, kind in kinds.items() if kind in "WVuwv"] == []
        # What it shares with the other levels is its own table alone.
        level = path.stem.split("_")[-1]
        shared = [name for name, kind in kinds.items() if kind.isupper() and kind != "U"]
        assert shared and all(level in name for name in shared)


def test_weak_symbols_would_be_seen(tmp_path):
    cxx, nm = compilers.compiler("g++", "c++"), compilers.compiler("nm")
    (tmp_path / "weak.cpp").write_text("inline int f() { return 1; }\nint (*g)() = f;\n")
    compilers.run(cxx, "-c", tmp_path / "weak.cpp", "-o", tmp_path / "weak.o")
    assert " W " in compilers.run(nm, tmp_path / "weak.o")
