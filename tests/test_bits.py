"""The same bits for any SIMD level, number of threads, cut, packing and alignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import steepest as st
from runs import CASES, SIZES, bits, make, problem, snapshot
from steepest import _cpu
from table import CLASSES, RULES, STEP_STAGES

pytestmark = pytest.mark.usefixtures("settings_stay")

DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda d: d.__name__)
ALL_STEP = (*STEP_STAGES[:3], dict(grad_scale=4.0, max_norm=0.5, zero_grad=True))


def special(dtype):
    """A problem with denormals, infinities, NaN and extremes among ordinary numbers."""
    thetas, grads = problem(dtype)
    odd = [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny / 8]
    rng = np.random.default_rng(1)
    for arrays in (thetas, *grads):
        for array in arrays:
            if array.size > 10:
                array[rng.integers(0, array.size, array.size // 9)] = rng.choice(odd)
    return thetas, grads


def after(rule, data, stages, cuts=(), **step_stages):
    thetas, grads = data
    params = [theta.copy() for theta in thetas]
    opt = make(rule, params, **stages)
    opt._plan.set_cuts(list(cuts))
    for step in grads:
        step = [g.copy() for g in step]
        opt.step(step, **step_stages)
        params.extend(step)  # zeroed or untouched: compared too
    return snapshot(opt, params)


@DTYPES
@pytest.mark.parametrize("rule, stages", CASES, ids=str)
def test_levels_and_threads(rule, stages, dtype):
    for data in (problem(dtype), special(dtype)):
        for options in ALL_STEP:
            st.set_num_threads(1)
            _cpu.set_simd_level("base")
            want = after(rule, data, stages, **options)
            for level in _cpu.simd_levels():
                _cpu.set_simd_level(level)
                assert after(rule, data, stages, **options) == want, level
            if options in ALL_STEP[::3]:
                _cpu.set_bytes_per_thread(1)
                for threads in (2, 3, 8):
                    st.set_num_threads(threads)
                    assert after(rule, data, stages, **options) == want, threads


@pytest.mark.parametrize("rule, stages", CASES, ids=str)
def test_memory_fetched_ahead(rule, stages):
    """Whether, how far and how many lines at a time, past the arrays' ends included."""
    data, none = problem(np.float32), (0, 0, 0)
    before = _cpu.set_fetch_ahead(none, none, none, 0)
    try:
        for options in ALL_STEP[::3]:
            _cpu.set_fetch_ahead(none, none, none, 0)
            want = after(rule, data, stages, **options)
            for ahead in ((64, 0, 2), (448, 1536, 4), (2048, 8192, 2), (1 << 20, 2 << 20, 4)):
                _cpu.set_fetch_ahead(ahead, ahead, ahead, 0)
                assert after(rule, data, stages, **options) == want, ahead
    finally:
        _cpu.set_fetch_ahead(*before)


def test_small_work_is_threaded_here():
    """The test above would prove nothing if its teams had one thread."""
    if not _cpu.openmp:
        pytest.skip("built without OpenMP")
    _cpu.set_bytes_per_thread(1)
    st.set_num_threads(8)
    assert _cpu.threads_for(4 * sum(SIZES)) == 8


WHOLE = {
    (rule, dtype): None for rule in CLASSES for dtype in (np.float32, np.float64)
}  # filled on first use: the run without cuts


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    rule=some.sampled_from(CLASSES),
    dtype=some.sampled_from((np.float32, np.float64)),
    cuts=some.lists(some.floats(0, 1), min_size=1, max_size=9).map(sorted),
    level=some.sampled_from(_cpu.simd_levels()),
)
def test_any_cut(rule, dtype, cuts, level):
    stages, options = dict(ema_decay=0.7), dict(max_norm=0.5, zero_grad=True)
    data = problem(dtype)
    if WHOLE[rule, dtype] is None:
        WHOLE[rule, dtype] = after(rule, data, stages, **options)
    _cpu.set_simd_level(level)
    assert after(rule, data, stages, cuts, **options) == WHOLE[rule, dtype]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rule=some.sampled_from(RULES),
    dtype=some.sampled_from((np.float32, np.float64)),
    owner=some.lists(some.integers(0, 2), min_size=len(SIZES), max_size=len(SIZES)),
    grouped=some.booleans(),
)
def test_any_packing_into_optimizers_and_groups(rule, dtype, owner, grouped):
    thetas, grads = problem(dtype)
    want = [theta.copy() for theta in thetas]
    whole = make(rule, want)
    got = [theta.copy() for theta in thetas]
    packs = [[i for i, o in enumerate(owner) if o == k] for k in sorted(set(owner))]
    if grouped:
        opts = [make(rule, [{"params": [got[i] for i in pack]} for pack in packs])]
    else:
        opts = [make(rule, [got[i] for i in pack]) for pack in packs]
    for step in grads:
        whole.step(step)
        given_grads = [[step[i] for i in pack] for pack in packs]
        for opt, mine in zip(opts, [given_grads] if grouped else given_grads, strict=True):
            opt.step(mine)
    assert [bits(p) for p in got] == [bits(p) for p in want]


@DTYPES
@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_any_alignment(rule, dtype):
    (theta,), grads = problem(dtype, sizes=(517,))
    options = dict(max_norm=3.0)
    want = theta.copy()
    opt = make(rule, want, ema_decay=0.5)
    for (g,) in grads:
        opt.step(g, **options)
    for offset in range(1, 17):
        p = np.zeros(517 + 16, dtype)[offset : offset + 517]
        p[...] = theta
        shifted = make(rule, p, ema_decay=0.5)
        for (g,) in grads:
            there = np.zeros(517 + 16, dtype)[16 - offset :][:517]
            there[...] = g
            shifted.step(there, **options)
        assert snapshot(shifted, [p]) == snapshot(opt, [want])


def test_neighbours_of_an_array_are_left_alone():
    for rule in CLASSES:
        for n in (1, 3, 15, 16, 17, 33):
            memory = np.full(n + 64, 7.0, np.float32)
            make(rule, memory[32 : 32 + n]).step(np.ones(n, np.float32))
            assert (memory[:32] == 7).all() and (memory[32 + n :] == 7).all()


# --- the norm ---


def fold_in_half(partial):
    """The upper half is added to the lower until one is left."""
    partial = list(partial)
    while len(partial) > 1:
        half = (len(partial) + 1) // 2
        for i in range(len(partial) - half):
            partial[i] += partial[i + half]
        del partial[half:]
    return partial[0] if partial else 0.0


def documented_norm(arrays):
    """Lanes of 16, blocks of 4096 from each tensor's start, both folded in half, in float64."""
    blocks = []
    for array in arrays:
        for start in range(0, array.size, 4096):
            lanes = np.zeros(16)
            block = array[start : start + 4096].astype(np.float64)
            for i in range(0, block.size, 16):
                row = block[i : i + 16]
                lanes[: row.size] += row * row
            blocks.append(fold_in_half(lanes))
    return np.sqrt(fold_in_half(blocks))


@DTYPES
@pytest.mark.parametrize("sizes", [(1,), (15, 16, 17), (4096, 4097), (0, 20_011, 0, 5)], ids=str)
def test_norm_is_the_documented_tree(sizes, dtype):
    (*thetas,), ((*grads,),) = problem(dtype, sizes, steps=1, seed=5)
    want = documented_norm(grads)
    _cpu.set_bytes_per_thread(1)
    for level in _cpu.simd_levels():
        for threads in (1, 2, 3, 8):
            _cpu.set_simd_level(level)
            st.set_num_threads(threads)
            opt = st.SGD([theta.copy() for theta in thetas], lr=0.1)
            for cuts in ((), (0.1, 0.5, 0.77)):
                opt._plan.set_cuts(list(cuts))
                opt.step(grads, max_norm=1.0)
                assert opt.grad_norm == want


def test_clip_is_one_factor_over_all_tensors():
    grads = [np.array([3.0]), None, np.array([0.0, 4.0])]
    params = [np.zeros(1), np.ones(5), np.zeros(2)]
    opt = st.SGD(params, lr=1.0)
    opt.step(grads, max_norm=1.0)
    assert opt.grad_norm == 5.0
    np.testing.assert_allclose(np.hstack(params), [-0.6, *[1] * 5, 0, -0.8], rtol=1e-15)
    opt.step(grads, max_norm=5.0)  # not below: left as it is
    assert params[0][0] == -0.6 - 3.0
