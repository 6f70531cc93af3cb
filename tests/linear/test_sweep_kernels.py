"""The compiled passes: the same bits for any number of threads, rows with gaps, bad arguments."""

import numpy as np
import pytest
from linear_systems import definite, right_hand_side

from steepest import _cpu


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("n", [1, 7, 64, 200])
def test_threads_levels_and_gaps_between_rows_do_not_change_bits(n, backward, dtype, settings):
    wide = np.zeros((n, n + 5), dtype)
    gaps = wide[:, :n]
    gaps[...] = definite(n, dtype)
    b = np.ascontiguousarray(right_hand_side(n, 2, dtype).T)
    results = set()
    for level in _cpu.simd_levels():
        _cpu.set_simd_level(level)
        for threads in (1, 3):
            _cpu.set_num_threads(threads)
            for a in (gaps, np.ascontiguousarray(gaps)):
                x, residual = np.ones_like(b), np.empty_like(b)
                _cpu.sweep(a, b, x, x_start=x.copy(), residual=residual, backward=backward)
                results.add((x.tobytes(), residual.tobytes()))
                plain = np.ones_like(b)
                _cpu.sweep(a, b, plain, backward=backward)
                assert plain.tobytes() == x.tobytes()
    assert len(results) == 1


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("n", [1, 7, 64, 200])
def test_triangle_ignores_the_other_half(n, backward):
    a, b = definite(n), np.ascontiguousarray(right_hand_side(n, 2).T)
    half = np.triu(a) if backward else np.tril(a)
    half = half + np.diag(np.diag(a)) / 0.8 - np.diag(np.diag(a))
    spoiled = np.where(half == 0, np.nan, a)
    x = np.zeros_like(b)
    _cpu.sweep(spoiled, b, x, omega=0.8, backward=backward, triangle=True)
    np.testing.assert_allclose(x, np.linalg.solve(half, b.T).T, rtol=1e-12, atol=1e-15)


def test_arguments_are_checked_before_memory_is_touched():
    a, b = np.eye(4), np.ones((1, 4))
    for args, message in (
        ((np.eye(4, dtype=int), b, b.copy()), "a: dtype int64; expected aligned float32 or"),
        ((np.frombuffer(bytes(129), np.float64, 16, 1).reshape(4, 4), b, b.copy()), "aligned"),
        ((np.ones((4, 3)), b, b.copy()), "a: expected a square matrix"),
        ((np.asfortranarray(definite(4)), b, b.copy()), "whose rows are contiguous"),
        ((a, np.ones(4), b.copy()), "b: expected a C-contiguous"),
        ((a, b, np.ones((1, 5))), "x: expected a C-contiguous"),
        ((a, b, np.ones((1, 4), np.float32)), "x: expected a C-contiguous"),
        ((a, b, np.ones((2, 8))[:1, ::2]), "x: expected a C-contiguous"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            _cpu.sweep(*args)
    with pytest.raises(ValueError, match="x_start and residual come together"):
        _cpu.sweep(a, b, b.copy(), x_start=b.copy())
    frozen = np.ones((1, 4))
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        _cpu.sweep(a, b, frozen)
