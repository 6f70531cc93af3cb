"""An optimizer around its rule: structures of parameters, schedules, counts, skipped steps."""

from __future__ import annotations

import copy
import gc
import weakref
from collections import namedtuple
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
import pytest

import steepest as st
from runs import bits, make, problem, snapshot
from table import RULES

Layer = namedtuple("Layer", "w b")


def structure(make_leaf):
    return {
        "first": Layer(make_leaf(2, 3), make_leaf(3)),
        "rest": [make_leaf(4), (make_leaf(1), MappingProxyType({"deep": make_leaf(2)}))],
    }


def leaves(node):
    if isinstance(node, np.ndarray):
        return [node]
    children = node.values() if isinstance(node, Mapping) else node
    return [leaf for child in children for leaf in leaves(child)]


def test_nested_structures_are_updated_in_place():
    params, grads = structure(lambda *n: np.ones(n)), structure(lambda *n: np.full(n, 0.5))
    held = leaves(params)
    opt = st.SGD(params, lr=1.0)
    assert opt.step(grads) is None
    assert all(a is b for a, b in zip(leaves(params), held, strict=True))
    assert all((p == 0.5).all() for p in held)
    names = opt.param_groups[0]["param_names"]
    assert names == ["first/0", "first/1", "rest/0", "rest/1/0", "rest/1/1/deep"]


def test_a_step_writes_no_path_of_a_structure(monkeypatch):
    params = structure(lambda *n: np.ones(n))
    opt = st.SGD(params, lr=0.5)
    monkeypatch.setattr("steepest.updates.tree.written", None)
    opt.step(structure(lambda *n: np.ones(n)))
    assert all((p == 0.5).all() for p in leaves(params))


def test_ema_and_iterates_have_the_structure_of_the_parameters():
    params = structure(lambda *n: np.ones(n))
    opt = st.Nesterov(params, lr=1.0, momentum=0.5, ema_decay=0.75)
    assert all(
        e.tolist() == p.tolist() for e, p in zip(leaves(opt.ema), leaves(params), strict=True)
    )
    opt.step(structure(lambda *n: np.ones(n)))
    for tree in (opt.ema, opt.iterates()):
        assert isinstance(tree["first"], Layer) and tree["first"].w.shape == (2, 3)
        assert isinstance(tree["rest"][1], tuple) and set(tree["rest"][1][1]) == {"deep"}
    # v = -1, stored 1 + 0.5 v - 1 = -0.5, iterate -0.5 - 0.5 v = 0; ema 1 + 0.25 (-0.5 - 1)
    assert all((p == -0.5).all() for p in leaves(params))
    assert all((x == 0).all() for x in leaves(opt.iterates()))
    assert all((e == 0.625).all() for e in leaves(opt.ema))
    with pytest.raises(AttributeError, match="^ema: kept only with ema_decay; pass it at constr"):
        _ = st.SGD(np.ones(1), lr=0.1).ema


def test_the_iterate_of_a_0d_array_is_an_array():
    theta = st.Nesterov(np.array(1.0), lr=0.1).iterates()
    assert isinstance(theta, np.ndarray) and theta.shape == ()


def test_one_array_and_a_tuple_of_arrays():
    p = np.ones(2)
    opt = st.SGD(p, lr=1.0)
    opt.step(np.ones(2))
    assert opt.param_groups[0]["param_names"] == ["0"]
    pair = (np.ones(2), np.ones(3))
    st.SGD(pair, lr=1.0).step([np.ones(2), np.ones(3)])  # a list will do for a tuple
    assert not p.any() and not pair[0].any() and not pair[1].any()


def test_schedules_by_group_and_a_number_again():
    asked = []

    def rate(step):
        asked.append(step)
        return 0.5**step

    a, b = np.zeros(1), np.zeros(1)
    opt = st.SGD([{"params": a, "lr": rate}, {"params": b}], lr=1.0)
    for _ in range(3):
        opt.step([np.ones(1), np.ones(1)])
    assert (a[0], b[0], asked) == (-1.75, -3.0, [0, 1, 2])
    assert opt.param_groups[0]["lr"] is rate
    opt.lr = 2.0
    opt.step([np.ones(1), np.ones(1)])
    assert (a[0], b[0], asked) == (-3.75, -5.0, [0, 1, 2])


@pytest.mark.parametrize("new", [0.5, lambda step: 0.5], ids=["number", "callable"])
def test_a_schedule_may_set_the_learning_rate(new):
    """The step then uses what was set, and so do those after it."""
    groups = [{"params": np.zeros(1)}, {"params": np.zeros(1)}]

    def rate(step):
        if step == 1:
            opt.lr = new
        return 8.0

    opt = st.SGD(groups, lr=rate)
    for due in (-8.0, -8.5, -9.0):
        opt.step([np.ones(1), np.ones(1)])
        assert [group["params"][0] for group in groups] == [due] * 2
    assert opt.lr == new


def test_an_interrupt_in_a_schedule_changes_nothing_and_lets_the_lock_go():
    def rate(step):
        if step == 1 and stop:
            raise KeyboardInterrupt
        return 1.0

    stop, p = True, np.zeros(2)
    opt = st.Momentum(p, lr=rate)
    opt.step(np.ones(2))
    before = snapshot(opt, [p])
    with pytest.raises(KeyboardInterrupt):
        opt.step(np.ones(2))
    assert snapshot(opt, [p]) == before
    stop = False
    with ThreadPoolExecutor(1) as other:
        other.submit(opt.step, np.ones(2)).result(timeout=60)
    assert opt.step_count == 2


def test_failed_and_raising_calls_are_not_counted_by_the_schedule():
    asked = []
    p = np.zeros(2)
    opt = st.SGD(p, lr=lambda step: asked.append(step) or 1.0)
    opt.step(np.ones(2))
    with pytest.raises(ValueError):
        opt.step(np.ones(3))
    with pytest.raises(FloatingPointError):
        opt.step(np.full(2, np.nan), nonfinite="raise")
    opt.step(np.full(2, np.nan), nonfinite="skip")
    opt.step(np.ones(2))
    assert asked == [0, 1, 1, 1, 2]
    assert (opt.step_count, opt.skipped) == (2, 1)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_skipped_step_changes_nothing_but_skipped(rule, value):
    thetas, grads = problem(np.float32)
    params = [t.copy() for t in thetas]
    opt = make(rule, params, ema_decay=0.5)
    opt.step(grads[0], max_norm=1.0)
    arrays, state, counts, groups = snapshot(opt, params)
    for i in (0, 1, 4):  # first, in the middle, last element of arrays
        bad = [g.copy() for g in grads[1]]
        bad[i][-1] = value
        kept = [g.copy() for g in bad]
        opt.step(bad, nonfinite="skip", max_norm=0.1, zero_grad=True)
        assert [bits(g) for g in bad] == [bits(g) for g in kept]
    assert snapshot(opt, params) == (arrays, state, (1, 3, counts[2]), groups)


def test_grad_norm_is_of_the_last_step_that_clipped():
    opt = st.SGD(np.zeros(2), lr=0.1)
    assert opt.grad_norm is None and (opt.step_count, opt.skipped) == (0, 0)
    opt.step(np.array([3.0, 4.0]))
    assert opt.grad_norm is None
    opt.step(np.array([3.0, 4.0]), grad_scale=0.5, max_norm=np.inf)
    assert opt.grad_norm == 10.0
    opt.step(np.ones(2))
    assert opt.grad_norm == 10.0
    opt.step(np.zeros(2), max_norm=0)
    assert opt.grad_norm == 0.0


def test_propagate_goes_on():
    p = np.zeros(2)
    opt = st.SGD(p, lr=1.0)
    opt.step(np.array([np.nan, 1.0]))
    assert np.isnan(p[0]) and p[1] == -1 and opt.step_count == 1


def test_repr_shows_arrays_steps_and_hyperparameters():
    opt = st.SGD([np.ones((2, 3)), np.ones(4)], lr=0.5)
    opt.step([np.ones((2, 3)), np.ones(4)])
    assert repr(opt) == (
        "SGD(2 arrays, 10 elements, step 1, lr=0.5, weight_decay=0.0, maximize=False, "
        "ema_decay=None)"
    )
    opt.add_param_group({"params": np.ones(1), "lr": 0.25})
    assert "\n  group 1: lr=0.25, weight" in repr(opt)
    assert repr(st.SGD(np.ones(1), lr=0.5)).startswith("SGD(1 array, 1 element, step 0, lr=0.5")


def test_state_is_exactly_the_arrays_of_the_table():
    for rule in RULES:
        opt = make(rule, np.ones((3, 4), np.float32))
        entry = opt.state_dict()["state"][0]
        arrays = {k: v for k, v in entry.items() if isinstance(v, np.ndarray)}
        assert set(arrays) == set(rule.states)
        assert all(v.shape == (3, 4) and v.dtype == np.float32 for v in arrays.values())


def test_memory_is_freed_with_the_last_reference():
    """A cycle of optimizer and groups would keep the state until Python looks for cycles."""
    gc.collect()
    gc.disable()
    try:
        opt = st.Adam([np.ones(3)], lr=lambda step: 0.1)
        opt.step([np.ones(3)])
        seen = weakref.ref(opt)
        del opt
        assert seen() is None
    finally:
        gc.enable()


def test_a_subclass_may_have_attributes_of_its_own():
    class Mine(st.SGD):
        def __init__(self, params):
            super().__init__(params, lr=1.0)
            self.note = "mine"

    p = np.ones(1)
    opt = Mine(p)
    opt.step(np.ones(1))
    assert opt.note == "mine" and p[0] == 0
    opt._schedule = ["private", p, opt]
    other = copy.deepcopy(opt)
    assert other.note == "mine" and other._schedule[1] is other.param_groups[0]["params"]
    assert other._schedule[2] is other
    assert vars(other).keys() == vars(opt).keys() and other.step_count == 1
