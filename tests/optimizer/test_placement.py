"""New arrays beside parameters: laid out like them, apart in the low bits of their addresses."""

import contextlib
import copy
import itertools
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import steepest as st
from runs import Failing, snapshot
from steepest import _cpu
from steepest.updates import placement

SIZES = some.one_of(some.integers(0, 600), some.integers(600, 5000))


def distance(a, b):
    """In the low twelve bits of addresses, either way round."""
    d = (a.ctypes.data - b.ctypes.data) % 4096
    return min(d, 4096 - d)


def address_of_lowest(a):
    ends = zip(a.shape, a.strides, strict=True)
    return a.ctypes.data + sum((n - 1) * stride for n, stride in ends if stride < 0)


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


def test_short_arrays_take_a_line_or_two():
    made = placement.like([np.ones(1) for _ in range(100)], [0.0, 0.0, 0.0])
    begins = [array.ctypes.data for mine in made for array in mine]
    assert max(begins) - min(begins) < 300 * 2 * 64


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a.T,
        lambda a: a[:, ::-1],
        lambda a: a.transpose(1, 0)[::-1],
        lambda a: a[1:2, ::-1],
        lambda a: np.lib.stride_tricks.as_strided(a, (1, 12), (-(1 << 40), 8)),
        lambda a: a[:, :0][::-1],
        lambda a: a[0, 0, ...],
        lambda a: a.reshape(2, 3, 2).transpose(1, 2, 0)[:, ::-1],
    ],
)
def test_strides_are_kept(view):
    params = [np.ones(5), view(np.arange(12.0).reshape(3, 4)), np.ones(7)]
    made = placement.like(params, [0.0, 3.0])
    for array in made[1]:
        assert array.strides == params[1].strides and array.shape == params[1].shape
    first, second = made[1]
    assert np.all(second == 3) and np.all(first == 0)
    every = [array for mine in made for array in mine]
    lowest = [address_of_lowest(array) for array in (params[1], first, second)]
    assert first.size == 0 or all(at % 64 == 0 for at in lowest[1:])
    for a, b in itertools.permutations(lowest, 2):
        assert (a - b) % 4096 >= first.nbytes
    for k, array in enumerate(every):
        array[...] = k
    assert all((array == k).all() for k, array in enumerate(every))  # none lies over another


def test_a_reversed_parameter_is_apart_by_its_lowest_element():
    memory = np.zeros(16_000 + 4096, np.uint8)
    begin = -memory.ctypes.data % 4096
    param = memory[begin : begin + 16_000].view(float)[::-1]
    for array in placement.like([param], [0.0, 0.0])[0]:
        distance_of_lowest = (address_of_lowest(array) - begin - memory.ctypes.data) % 4096
        assert 512 <= distance_of_lowest <= 4096 - 512


def test_an_optimizer_s_states():
    """NumPy's large arrays begin at the same twelve bits, all of them."""
    params = [np.ones(1 << 16, np.float32) for _ in range(3)]
    opt = st.Adam(params, amsgrad=True, ema_decay=0.9)
    for i, param in enumerate(params):
        mine = list(opt._states[i].values())
        assert len(mine) == 3
        for a, b in [*itertools.combinations([param, *mine], 2), (param, opt.ema[i])]:
            assert distance(a, b) >= 512
        np.testing.assert_array_equal(opt.ema[i], param)


def test_rules_without_states_take_no_memory(monkeypatch):
    params = [np.ones(3), np.ones(2)]
    monkeypatch.setattr(np, "zeros", None)
    assert placement.like(params, []) == [[], []]


def test_more_arrays_than_can_lie_apart():
    param = np.zeros(1000)
    first, *rest = placement.like([param], range(12))[0]
    assert all(distance(param, a) >= 512 for a in (first, *rest[:2]))
    assert [a[-1] for a in (first, *rest)] == list(range(12))
    assert all((a == k).all() for k, a in enumerate((first, *rest)))  # none lies over another


def test_who_keeps_the_running_means_keeps_no_states():
    params = [np.ones(1 << 15) for _ in range(4)]
    tracemalloc.start()
    try:
        opt = st.AMSGrad(params, ema_decay=0.5)
        means = opt.ema
        assert tracemalloc.get_traced_memory()[0] > 16 << 18
        del opt
        assert tracemalloc.get_traced_memory()[0] < 5 << 18  # four are of the means
    finally:
        tracemalloc.stop()
    assert all((mean == 1).all() for mean in means)


def test_states_that_no_memory_can_hold():
    beyond = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 55,), (8,))
    with pytest.raises(MemoryError):
        st.Adam(beyond)


@pytest.mark.parametrize("had", [0, 1], ids=["states", "means"])
def test_a_group_for_which_there_is_no_memory_is_not_added(had, monkeypatch):
    p, zeros, left = np.ones(3), np.zeros, [None] * had
    opt = st.Adam(p, ema_decay=0.5)
    before = snapshot(opt, [p])

    def failing(*size):
        if not left:
            raise MemoryError
        left.pop()
        return zeros(*size)

    with monkeypatch.context() as patch:
        patch.setattr(np, "zeros", failing)
        with pytest.raises(MemoryError):
            opt.add_param_group({"params": np.ones(2)})
    assert snapshot(opt, [p]) == before and len(opt.param_groups) == 1
    opt.step(np.ones(3))  # of an array still, not of groups


@pytest.mark.parametrize("lr", [0.5, lambda step: 0.5], ids=["number", "schedule"])
def test_a_group_is_added_whole_or_not_at_all(lr):
    p, q, g = np.ones(3), np.ones(2), np.ones(3)
    opt = st.NAdam([p], ema_decay=0.5)
    opt.bind_grads([g])
    opt.step()
    before, plan, references = snapshot(opt, [p]), opt._plan, sys.getrefcount(q)
    group, at = {"params": [q, np.ones(()), np.ones(0)], "lr": lr}, 0
    while True:
        opt._plan = Failing(plan, at)
        with contextlib.suppress(MemoryError):
            opt.add_param_group(group)
        opt._plan = plan
        if len(opt.param_groups) == 2:
            break
        at += 1
        assert snapshot(opt, [p]) == before
        assert sys.getrefcount(q) == references + 1  # of the dict
        other, copied = copy.deepcopy((opt, [p]))
        opt.step()  # what was bound before, of an array still, not of groups
        other.step([g])
        before = snapshot(opt, [p])
        assert snapshot(other, copied) == before
    assert at == 9  # begin, add_group, add_tensor and watch of three, bind
    opt.step([[g], [np.ones(2), None, None]])
    assert (q != 1).all()
    with pytest.raises(ValueError, match="shares memory"):
        opt.step([[g], [q, None, None]])


@pytest.mark.parametrize("at", range(9))
def test_a_group_that_was_not_added_leaves_nothing_behind(at, settings_stay):
    """Later steps, of a group of other sizes and by several threads, are as without it."""
    st.set_num_threads(2)
    _cpu.set_bytes_per_thread(1 << 10)
    ends = []
    for fails in (True, False):
        g, spare = np.ones(3), np.ones(50_000)
        params = [np.ones(3), np.ones((10, 20), np.float32), np.ones(50_000)]
        opt = st.NAdam(params[:1], ema_decay=0.5)
        opt.step([g])
        plan = opt._plan
        if fails:
            opt._plan = Failing(plan, at)
            with pytest.raises(MemoryError):
                opt.add_param_group({"params": [spare, np.ones((5, 70), np.float32), np.ones(0)]})
            opt._plan = plan
        opt.add_param_group({"params": params[1:], "lr": 0.5})
        spare.flags.writeable = False
        opt.step([[g], [params[1] + 1, spare]], max_norm=1.0)
        ends.append((snapshot(opt, params), plan.clocks(), plan.given_of_last_step()))
    assert ends[0] == ends[1]
