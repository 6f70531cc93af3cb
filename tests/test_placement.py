"""New arrays beside parameters: laid out like them, apart in the low bits of their addresses."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import steepest as st
from steepest import placement

SIZES = some.one_of(some.integers(0, 600), some.integers(600, 5000))


def distance(a, b):
    """In the low twelve bits of addresses, either way round."""
    d = (a.ctypes.data - b.ctypes.data) % 4096
    return min(d, 4096 - d)


@given(
    some.lists(
        some.tuples(SIZES, some.integers(0, 1023), some.sampled_from("fd")), min_size=1, max_size=9
    ),
    some.integers(1, 4),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_apart_and_in_lines(arrays, n_fills):
    memory = np.zeros(sum(8 * n + 8192 for n, _, _ in arrays), np.uint8)
    params, begin = [], -memory.ctypes.data % 4096
    for n, shift, code in arrays:
        item = np.dtype(code).itemsize
        start = begin + 4 * shift // item * item
        params.append(memory[start : start + n * item].view(code))
        begin += -(-(4096 + n * item) // 4096) * 4096
    fills = [0.0, 1.5, 0.0, 2.0][:n_fills]
    made = placement.like(params, fills)
    for param, mine in zip(params, made, strict=True):
        for fill, array in zip(fills, mine, strict=True):
            assert array.dtype == param.dtype and array.shape == param.shape
            assert np.all(array == fill) and array.flags.writeable
            assert param.size == 0 or array.ctypes.data % 64 == 0
        for a, b in itertools.combinations([param, *mine], 2):
            assert param.size == 0 or distance(a, b) >= min(512, param.nbytes)
    every = sorted((a for mine in made for a in mine if a.size), key=lambda a: a.ctypes.data)
    for a, b in itertools.pairwise(every):
        assert a.ctypes.data + a.nbytes <= b.ctypes.data
    if every:
        used = every[-1].ctypes.data + every[-1].nbytes - every[0].ctypes.data
        # 512 bytes to either side of a parameter and three others, at most
        assert used <= sum(a.nbytes + 64 + 4 * 1024 for a in every)


@pytest.mark.parametrize(
    "view",
    [lambda a: a[::-1], lambda a: a.T, lambda a: a[:, ::-1], lambda a: a.transpose(1, 0)[::-1]],
)
def test_strides_are_kept(view):
    param = view(np.arange(12.0).reshape(3, 4))
    for array in placement.like([param], [0.0, 3.0])[0]:
        assert array.strides == param.strides and array.shape == param.shape
    first, second = placement.like([param], [0.0, 3.0])[0]
    first[...] = param
    np.testing.assert_array_equal(first, param)
    assert np.all(second == 3)


def test_an_optimizer_s_states():
    """NumPy's large arrays begin at the same twelve bits, all of them."""
    params = [np.ones(1 << 16, np.float32) for _ in range(3)]
    opt = st.Adam(params, amsgrad=True, ema_decay=0.9)
    for i, param in enumerate(params):
        mine = [*opt._states[i].values(), opt.ema[i]]
        assert len(mine) == 4
        for a, b in itertools.combinations([param, *mine], 2):
            assert distance(a, b) >= 512
        np.testing.assert_array_equal(opt.ema[i], param)
