"""The rules compiled for 64-bit ARM, whose baseline has fused multiply-add, give x86's bits."""

from __future__ import annotations

import compilers


def test_same_bits_as_here(tmp_path):
    here, cross = compilers.compiler("g++"), compilers.compiler("aarch64-linux-gnu-g++")
    emulator = compilers.compiler("qemu-aarch64", "qemu-aarch64-static")
    printed = []
    for cxx, start in ((here, []), (cross, [emulator])):
        folder = tmp_path / str(len(start))
        folder.mkdir()
        program = compilers.program(
            cxx, folder, ["-O3" if start else "-O1"], link=("-fopenmp", "-static")
        )
        printed.append(compilers.run(*start, program, OMP_WAIT_POLICY="passive"))
    assert len(printed[0].splitlines()) >= 2 * 19  # two types of each rule
    assert printed[1] == printed[0]
