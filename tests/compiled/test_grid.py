"""The CUDA kernels over a simulated grid: the CPU engine's bits, under sanitizers."""

from __future__ import annotations

import pytest

import compilers

SANITIZED = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    cxx = compilers.compiler("g++")
    folder = tmp_path_factory.mktemp("grid")
    plan = folder / "cuda_plan.cpp"  # another plan.cpp than the CPU's
    plan.write_text(f'#include "{compilers.ROOT / "csrc/cuda/plan.cpp"}"\n')
    flags = [*SANITIZED, *compilers.SIMULATED_FLAGS]
    sources = [*compilers.SIMULATED, compilers.NATIVE / "grid.cpp", *compilers.ENGINE, plan]
    made = compilers.objects(cxx, folder, flags, sources, ("base",))
    compilers.run(cxx, *flags, *made, "-fopenmp", "-pthread", "-o", folder / "grid")
    return folder / "grid"


def test_random_lists_grids_and_orders_give_the_bits_of_the_cpu(grid):
    """Also: one launch without clip, no synchronisation, graphs that see rates change, and steps in
    a row of which each begins before the last has ended."""
    assert compilers.run(grid, 0, 300, OMP_NUM_THREADS="1") == "300 cases\n"


def test_tiles_on_both_sides_of_two_to_the_31_and_32_elements(grid):
    assert compilers.run(grid, OMP_NUM_THREADS="1") == "far tiles\n"


def test_constants_folded_early_are_used_only_if_nothing_was_changed_meanwhile(grid):
    assert compilers.run(grid, "foreseen", OMP_NUM_THREADS="1") == "foreseen\n"
