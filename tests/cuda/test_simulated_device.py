"""Optimizers on device arrays: the module _cuda over a simulated device, a CuPy over the host.

All of the package but the launches themselves: what the tests with a GPU repeat on a real one.
"""

from __future__ import annotations

import contextlib
import copy

import fake_cupy
import numpy as np
import pytest

import steepest as st
from runs import Failing, make, problem
from steepest.updates import placement
from table import RULES, STAGES, STEP_STAGES

pytestmark = pytest.mark.usefixtures("device")

SIZES = (1003, 1, 0, 5000)


def on_device(array, device=0):
    return fake_cupy.ndarray(array.copy("K"), device)


@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda d: d.__name__)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_rule_gives_the_bits_of_the_host(rule, dtype):
    for k, (stages, step_stages) in enumerate(zip(STAGES, (*STEP_STAGES, {}), strict=True)):
        thetas, grads = problem(dtype, SIZES, steps=4)
        host, there = [t.copy() for t in thetas], [on_device(t) for t in thetas]
        a, b = make(rule, host, **stages), make(rule, there, **stages)
        for i, step in enumerate(grads):
            step = [None if i == k and j == 1 else g for j, g in enumerate(step)]
            a.step([g if g is None else g.copy() for g in step], **step_stages)
            b.step([g if g is None else on_device(g) for g in step], **step_stages)
        for x, y in zip(host, there, strict=True):
            assert x.tobytes() == y.held.tobytes()
        same_state(a, b)
        assert a.grad_norm == b.grad_norm


def same_state(a, b):
    mine, others = a.state_dict(), b.state_dict()
    assert mine["param_groups"] == others["param_groups"]
    assert (a.step_count, a.skipped) == (b.step_count, b.skipped)
    for i, entry in mine["state"].items():
        for name, value in entry.items():
            other = others["state"][i][name]
            if isinstance(value, np.ndarray):
                assert value.tobytes() == other.held.tobytes()
            else:
                assert value == other


def test_a_step_is_one_launch_and_waits_for_nothing(device):
    p, g = on_device(np.ones(100)), on_device(np.ones(100))
    opt = st.Adam(p, lr=lambda step: 0.1 / (1 + step), ema_decay=0.9)
    opt.lr = 0.1
    opt.bind_grads(g)
    before = device.calls()
    opt.step()
    opt.step(g, zero_grad=True)
    launches, copies, waits = (b - a for a, b in zip(before, device.calls(), strict=True))
    assert (launches, copies, waits) == (2, 0, 0)
    opt.step(g, max_norm=1.0, nonfinite="skip")
    assert [b - a for a, b in zip(before, device.calls(), strict=True)] == [4, 0, 0]


def test_waits_do_not_grow_with_the_list(device):
    """What a plan knows is read at once; an array that goes to the host waits by itself."""

    def waits_of(asked, tensors):
        opt = st.Nesterov([on_device(np.ones(3)) for _ in range(tensors)], lr=0.1)
        opt.step([on_device(np.ones(3)) for _ in range(tensors)])
        before = device.calls()
        asked(opt)
        return device.calls()[2] - before[2]

    for asked in (lambda opt: opt.state_dict(), lambda opt: opt.iterates()):
        assert 0 < waits_of(asked, 2) == waits_of(asked, 40) < 10


def test_everything_is_asked_of_the_current_stream(hooks):
    with fake_cupy.Stream(non_blocking=True) as stream:
        hooks.simulated_only_stream()
        params = [on_device(np.ones(3)) for _ in range(500)]  # more than arguments hold
        opt = st.Adam(params, lr=0.1, ema_decay=0.9)
        opt.step([on_device(p.held) for p in params], max_norm=1.0, nonfinite="raise")
        opt.lr = 0.2
        opt.add_param_group({"params": [on_device(np.ones(2))], "lr": 0.3})
        opt.load_state_dict(opt.state_dict())
        assert opt.grad_norm > 0 and opt.step_count == 1
        assert hooks.simulated_only_stream() == stream.ptr


def test_who_used_several_streams_waits_before_memory_goes_back(device):
    opt = st.Adam(on_device(np.ones(3)))
    before = device.calls()[2]
    opt.step(on_device(np.ones(3)))
    with fake_cupy.Stream():
        opt.step(on_device(np.ones(3)))
    assert device.calls()[2] == before
    del opt
    assert device.calls()[2] == before + 1


def test_a_schedule_is_asked_without_waiting(device):
    asked = []
    opt = st.SGD(on_device(np.ones(3)), lr=lambda step: asked.append(step) or 0.1)
    before = device.calls()[2]
    for _ in range(3):
        opt.step(on_device(np.ones(3)))
    assert asked == [0, 1, 2] and device.calls()[2] == before


def test_checkpoints_go_between_host_and_device(tmp_path):
    thetas, grads = problem(np.float32, SIZES)
    a = st.NAdam([t.copy() for t in thetas])
    b = st.NAdam([on_device(t) for t in thetas])
    b.step([on_device(g) for g in grads[0]])
    b.save(tmp_path / "run.npz")
    a.load(tmp_path / "run.npz")
    same_state(a, b)
    a.step(grads[1])
    b.load_state_dict(b.state_dict())
    b.step([on_device(g) for g in grads[1]])
    same_state(a, b)


def test_a_state_goes_to_another_device():
    there = [st.Adam(on_device(np.ones(3), device), lr=0.1 + device) for device in (0, 1)]
    there[0].step(on_device(np.ones(3)))
    there[1].load_state_dict(there[0].state_dict())
    assert there[1].lr == 0.1 and there[1].step_count == 1
    for mine, other in zip(there[0]._states[0].values(), there[1]._states[0].values(), strict=True):
        assert other.device.id == 1 and mine.held.tobytes() == other.held.tobytes()


def test_iterates_are_device_arrays():
    p = on_device(np.ones(1))
    opt = st.Nesterov(p, lr=0.1, momentum=0.5)
    opt.step(on_device(np.ones(1)))
    assert isinstance(opt.iterates(), fake_cupy.ndarray)
    np.testing.assert_allclose(opt.iterates().held, [0.9])


def test_two_devices_do_not_mix():
    p = [on_device(np.ones(3)), on_device(np.ones(3), 1)]
    words = r"params\[1\]: lives on CUDA device 1, but params\[0\] on CUDA device 0; an optim"
    with pytest.raises(ValueError, match=words):
        st.SGD(p, lr=0.1)


def test_overlap_and_other_layouts_are_refused():
    p = on_device(np.ones((2, 3)))
    opt = st.SGD(p, lr=0.1)
    with pytest.raises(ValueError, match="grads: shares memory with a parameter"):
        opt.step(p)
    with pytest.raises(ValueError, match=r"grads: strides .* differ"):
        opt.step(on_device(np.ones((3, 2)).T))
    with pytest.raises(ValueError, match="shares memory with"):
        st.SGD([p, p.view()], lr=0.1)


def test_the_stride_of_an_axis_of_one_does_not_count():
    p = on_device(np.ones((1, 3)))
    st.SGD(p, lr=0.5).step(on_device(np.ones((1, 6)))[:, :3])
    assert p.held.tolist() == [[0.5] * 3]


def test_nonfinite_raises_by_name():
    opt = st.SGD([on_device(np.ones(3))], lr=0.1)
    with pytest.raises(FloatingPointError, match=r"grads\[0\]: not finite"):
        opt.step([on_device(np.full(3, np.nan))], nonfinite="raise")
    assert opt.step_count == 0


def test_gradients_that_cannot_be_bound_leave_those_that_are():
    params = [on_device(np.ones(3)) for _ in range(2)]
    opt = st.SGD(params, lr=0.5)
    opt.bind_grads([on_device(np.ones(3)) for _ in params])
    with pytest.raises(ValueError, match=r"grads\[1\]: shape"):
        opt.bind_grads([on_device(np.full(3, 100.0)), on_device(np.ones(4))])
    opt.step()
    assert [p.held.tolist() for p in params] == [[0.5] * 3] * 2


def test_a_plan_counts_the_gradients_that_it_is_given():
    """Another thread may have added a group since they were counted in Python."""
    opt = st.SGD([on_device(np.ones(3)) for _ in range(2)], lr=0.5)
    for grads in ((on_device(np.ones(3)),), (None, None, None)):
        for given in (opt._plan.step_plain, opt._plan.bind):
            with pytest.raises(ValueError, match=f"grads: {len(grads)} given; expected 2"):
                given(grads)


def test_the_arrays_of_a_state_lie_together_from_line_to_line():
    held = [np.ones(5, np.float32), np.array(2.0), np.zeros((0, 3)), np.ones((3, 40))[::-1].T]
    there = [fake_cupy.ndarray(p, 0) for p in held]
    opt = st.Adagrad(there, initial_accumulator_value=0.25)
    for p, mine in zip(held, opt._states, strict=True):
        total = mine["sum"].held
        assert total.dtype == p.dtype and total.strides == p.strides and (total == 0.25).all()
    made = st.Adam(there)._states
    made = [mine for p, mine in zip(held, made, strict=True) if p.size]
    lows = [[a.held.ctypes.data - placement._down(a.held) for a in mine.values()] for mine in made]
    m, v = zip(*lows, strict=True)
    assert [at - m[0] for at in m] == [at - v[0] for at in v] == [0, 128, 256]
    assert v[0] - m[0] == 256 + 1024  # 3 x 40 of float64 in whole lines


def test_copies_are_of_their_own():
    p = on_device(np.ones(3))
    opt = st.Adam(p)
    opt.step(on_device(np.ones(3)), max_norm=1.0)
    other = copy.deepcopy(opt)
    assert other.grad_norm == opt.grad_norm == np.sqrt(3.0)
    other.step(on_device(np.ones(3)))
    assert (opt.step_count, other.step_count) == (1, 2)


def test_the_device_need_not_be_the_current_one():
    """CuPy's kernels, and what they make, are the current device's: that is asked for, if due."""
    host, p = np.ones(5), on_device(np.ones(5), device=1)
    g = np.linspace(-1, 1, 5)
    a, b = st.Nesterov(host, lr=0.1, ema_decay=0.5), st.Nesterov(p, lr=0.1, ema_decay=0.5)
    for _ in range(2):
        a.step(g)
        b.step(on_device(g, device=1))
    state, c = b.state_dict(), copy.deepcopy(b)
    b.load_state_dict(state)
    made = [b.iterates(), b.ema, c.iterates(), c.ema, state["state"][0]["velocity"]]
    assert {array.device.id for array in made} == {1}
    due = [a.iterates(), a.ema, a.iterates(), a.ema, a.state_dict()["state"][0]["velocity"]]
    for x, y in zip(due, made, strict=True):
        assert x.tobytes() == y.held.tobytes()


def test_a_group_is_added_whole_or_not_at_all():
    def optimizer(like):
        opt = st.NAdam([like(np.ones(3))], ema_decay=0.5)
        return opt, like, [like(np.ones(1003)), like(np.ones(0)), like(np.ones(2))]

    (opt, there, more), (host, here, others) = optimizer(on_device), optimizer(np.copy)
    plan, at = opt._plan, 0
    while True:
        opt._plan = Failing(plan, at)
        with contextlib.suppress(MemoryError):
            opt.add_param_group({"params": more})
        opt._plan = plan
        if len(opt.param_groups) == 2:
            break
        at += 1
        opt.step([there(np.ones(3))], max_norm=1.0)
        host.step([here(np.ones(3))], max_norm=1.0)
        same_state(host, opt)
    assert at == 7  # reserve, begin, add_group, add_tensor of three, bind
    host.add_param_group({"params": others})
    for of, like in ((opt, there), (host, here)):
        of.step([[like(np.ones(3))], [like(np.ones(1003)), like(np.ones(0)), like(np.ones(2))]])
    same_state(host, opt)
    assert more[0].held.tobytes() == others[0].tobytes()
