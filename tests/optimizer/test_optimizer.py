"""What an optimizer does around its rule: structures, groups, gradients, schedules, counts."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import steepest as st
from runs import bits, make, problem, snapshot
from table import CLASSES, RULES, STAGES

Layer = namedtuple("Layer", "w b")


def structure(make_leaf):
    return {
        "first": Layer(make_leaf(2, 3), make_leaf(3)),
        "rest": [make_leaf(4), (make_leaf(1), {"deep": make_leaf(2)})],
    }


def leaves(node):
    if isinstance(node, np.ndarray):
        return [node]
    children = node.values() if isinstance(node, dict) else node
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
    monkeypatch.setattr("steepest.tree.written", None)
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
    st.SGD(p, lr=1.0).step(np.ones(2))
    pair = (np.ones(2), np.ones(3))
    st.SGD(pair, lr=1.0).step([np.ones(2), np.ones(3)])  # a list will do for a tuple
    assert not p.any() and not pair[0].any() and not pair[1].any()


# --- groups ---


def test_groups_have_their_own_hyperparameters():
    a, b = np.ones(2), {"w": np.ones(3)}
    opt = st.SGD([{"params": a, "lr": 0.5}, {"params": b, "weight_decay": 1.0}], lr=0.25)
    opt.step([np.ones(2), {"w": np.ones(3)}])
    assert a.tolist() == [0.5] * 2 and b["w"].tolist() == [0.5] * 3
    opt.step([{"params": np.ones(2)}, {"params": {"w": np.zeros(3)}}])  # PyTorch's form
    assert a.tolist() == [0.0] * 2 and b["w"].tolist() == [0.375] * 3


def test_a_group_may_have_no_arrays():
    p = np.zeros(2)
    opt = st.AMSGrad([{"params": []}, {"params": p}], lr=0.5, ema_decay=0.5)
    opt.step([[], np.ones(2)])
    assert (p < 0).all() and opt.ema[0] == [] and len(opt.param_groups) == 2


def test_groups_have_their_own_running_means():
    a, b = np.zeros(1), np.zeros(1)
    opt = st.SGD([{"params": a, "ema_decay": 0.5}, {"params": b}], lr=1.0, ema_decay=0.75)
    opt.step([np.ones(1), np.ones(1)])
    assert opt.ema == [-0.5, -0.25]
    opt.param_groups[1]["ema_decay"] = 0.0
    opt.step([None, None])
    assert opt.ema == [-0.75, -1.0]


def test_reading_where_groups_differ_points_to_the_groups():
    opt = st.Adam([{"params": np.ones(1), "lr": 0.5}, {"params": np.ones(1)}], lr=0.25)
    with pytest.raises(AttributeError, match=r"^lr: groups differ .*; read param_groups\[i\]\['lr"):
        _ = opt.lr
    assert opt.betas == (0.9, 0.999)
    opt.lr = 0.125
    assert [group["lr"] for group in opt.param_groups] == [0.125] * 2 and opt.lr == 0.125


def test_setting_for_all_groups_is_all_or_none():
    opt = st.Adam([{"params": np.ones(1)}, {"params": np.ones(1, np.float32)}])
    with pytest.raises(ValueError, match="^betas: .* rounds to 1 in float32"):
        opt.betas = (0.9, 1 - 1e-12)
    assert opt.betas == (0.9, 0.999)


@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_settings_take_effect_at_the_next_step(rule):
    p, q = np.ones(5), np.ones(5)
    opt = make(rule, p)
    made = {name: opt.param_groups[0][name] for name in opt._checks}
    opt.lr, opt.weight_decay, opt.maximize = 0.5, 0.25, True
    other = getattr(st, rule.cls)(
        q, **{**rule.kwargs, "lr": 0.5, "weight_decay": 0.25, "maximize": True}
    )
    for _ in range(2):
        opt.step(np.ones(5))
        other.step(np.ones(5))
    assert bits(p) == bits(q)
    changed = {name for name in made if opt.param_groups[0][name] != made[name]}
    assert changed == {"lr", "weight_decay", "maximize"}


def test_a_new_group_has_the_latest_defaults():
    opt = st.SGD(np.ones(2), lr=0.5)
    opt.lr = 0.25
    opt.add_param_group({"params": np.ones(2)})
    assert opt.param_groups[1]["lr"] == 0.25


@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_an_added_group_starts_at_its_own_first_step(rule):
    thetas, grads = problem(np.float64, sizes=(9, 5), steps=5)
    a, b = (theta.copy() for theta in thetas)
    opt = make(rule, [a], ema_decay=0.5)
    opt.step([grads[0][0]])
    opt.step([grads[1][0]])
    opt.add_param_group({"params": b})
    for step in grads[2:]:
        opt.step([[step[0]], step[1]])
    alone, alone_b = make(rule, thetas[0], ema_decay=0.5), make(rule, thetas[1], ema_decay=0.5)
    for step in grads:
        alone.step(step[0])
    for step in grads[2:]:
        alone_b.step(step[1])
    assert bits(a) == bits(thetas[0]) and bits(b) == bits(thetas[1])
    state = opt.state_dict()["state"]
    assert (state[0]["step"], state[1]["step"], opt.step_count) == (5, 3, 5)
    assert bits(opt.ema[0][0]) == bits(alone.ema) and bits(opt.ema[1]) == bits(alone_b.ema)


def test_adding_a_group_names_no_array_but_the_first_and_its_own(monkeypatch):
    opt, named = st.Adam([np.ones(1) for _ in range(1000)]), []
    monkeypatch.setattr("steepest.tree.written", lambda *path: named.append(path))
    opt.add_param_group({"params": np.ones(1)})
    assert len(named) <= 2


def test_a_setting_checks_no_other(monkeypatch):
    opt = st.Adam([{"params": np.ones(1)}, {"params": np.ones(1)}])
    monkeypatch.setitem(st.Adam._checks, "betas", None)
    opt.lr = 0.5
    opt.param_groups[1]["eps"] = 0.25
    opt.step([np.ones(1), np.ones(1)])
    assert opt.lr == 0.5 and [group["eps"] for group in opt.param_groups] == [1e-8, 0.25]


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_of_a_group_is_a_dict_that_changes_no_optimizer(again):
    p = np.ones(2)
    opt = st.SGD([p], lr=0.5)
    group = again(opt.param_groups[0])
    assert type(group) is dict and group.keys() == opt.param_groups[0].keys()
    group["lr"] = 7.0
    opt.step([np.ones(2)])
    assert opt.lr == 0.5 and p.tolist() == [0.5, 0.5]


def test_param_groups_is_a_view_of_hyperparameters_only():
    opt = st.SGD(np.ones(2), lr=0.5)
    with pytest.raises(AttributeError):
        opt.param_groups.append("nothing")
    (group,) = opt.param_groups
    assert set(group) == {"params", "param_names", *opt._checks} and len(group) == len(set(group))
    assert repr(group).startswith("ParamGroup(1 array, lr=0.5, ")


def test_structures_that_a_group_shows_are_copies():
    """Of the same arrays; what a caller puts into them reaches neither the optimizer nor copies."""
    p = {"w": np.zeros(2), "b": [np.zeros(1)]}
    opt = st.Nesterov([{"params": p, "lr": 1.0}], momentum=0.5)
    (group,) = opt.param_groups
    assert group["params"]["w"] is p["w"] and group["params"]["b"][0] is p["b"][0]
    group["params"]["w"] = np.full(2, 5.0)
    group["params"]["b"].append(np.ones(1))
    group["param_names"].append("c")
    assert group["params"]["w"] is p["w"] and group["param_names"] == ["w", "b/0"]
    other = copy.deepcopy(opt)
    for each in (opt, other):
        each.step([{"w": np.ones(2), "b": [np.ones(1)]}])
        assert (each.iterates()[0]["w"] == -1).all()
        assert (each.param_groups[0]["params"]["b"][0] == p["b"][0]).all()


def test_each_group_may_have_the_rate_that_has_no_default():
    p, q = np.zeros(1), np.zeros(1)
    opt = st.SGD([{"params": p, "lr": 1.0}, {"params": q, "lr": 2.0}])
    opt.step([np.ones(1), np.ones(1)])
    assert (p, q) == (-1, -2)
    for cls in (st.SGD, st.Momentum, st.Nesterov):
        with pytest.raises(TypeError, match="^params: lr is missing, and has no default$"):
            cls(np.zeros(1))
        with pytest.raises(TypeError, match=r"^params\[1\]: lr is missing, and has no default$"):
            cls([{"params": p, "lr": 1.0}, {"params": q}])
    with pytest.raises(TypeError, match=r"^params\[2\]: lr is missing"):
        opt.add_param_group({"params": np.zeros(1)})
    pickle.loads(pickle.dumps(opt)).step([np.ones(1), np.ones(1)])


@pytest.mark.parametrize("form", [tuple, list, copy.deepcopy], ids=lambda f: f.__name__)
def test_groups_of_another_optimizer(form):
    """Their arrays and hyperparameters are taken, and the other is left alone."""
    p = {"w": np.ones((2, 3)), "b": [np.ones(3)]}
    schedule = st.schedules.exponential(0.5, 0.5)
    other = st.Adam([{"params": p, "betas": (0.5, 0.75)}, {"params": np.ones(1)}], lr=schedule)
    groups = form(other.param_groups)
    opt = st.AdamW(groups, lr=9.0, weight_decay=9.0)
    for mine, its in zip(opt.param_groups, other.param_groups, strict=True):
        assert {k: v for k, v in mine.items() if k != "params"} == {
            k: v for k, v in its.items() if k != "params"
        }
    assert opt.lr is schedule or form is copy.deepcopy
    assert opt.param_groups[0]["params"]["b"][0] is groups[0]["params"]["b"][0]
    opt.step([{"w": np.ones((2, 3)), "b": [np.ones(3)]}, np.ones(1)])
    np.testing.assert_allclose(groups[0]["params"]["w"], 0.5, rtol=1e-7)
    assert other.step_count == 0 and opt.step_count == 1
    opt.param_groups[0]["eps"] = 1.0
    assert other.param_groups[0]["eps"] == 1e-8
    one = st.SGD(np.zeros(2), lr=0.5)
    one.add_param_group(st.SGD(np.zeros(3), lr=0.25).param_groups[0])
    assert [group["lr"] for group in one.param_groups] == [0.5, 0.25]


# --- gradients ---


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_bound_gradients_are_the_same_step(rule):
    thetas, grads = problem(np.float32)
    for stages in STAGES:
        p, q = [t.copy() for t in thetas], [t.copy() for t in thetas]
        given, bound = make(rule, p, **stages), make(rule, q, **stages)
        buffers = [np.zeros_like(t) for t in thetas]
        bound.bind_grads(buffers)
        for step in grads:
            for buffer, g in zip(buffers, step, strict=True):
                buffer[...] = g
            for options in ({}, dict(max_norm=0.5, grad_scale=2.0)):
                given.step(step, **options)
                bound.step(**options)
        assert snapshot(given, p) == snapshot(bound, q)


def test_binding_again_and_other_gradients_between():
    p = np.zeros(2)
    opt = st.SGD([p], lr=1.0)
    first, second = np.ones(2), np.full(2, 10.0)
    opt.bind_grads([first])
    opt.step()
    opt.step([second])  # given for once: the bound ones stay
    opt.step()
    assert p.tolist() == [-12.0] * 2
    opt.bind_grads([second])
    opt.step()
    assert p.tolist() == [-22.0] * 2
    with pytest.raises(ValueError, match=r"^grads\[0\]: shape"):
        opt.bind_grads([np.ones(3)])
    with pytest.raises(ValueError, match=r"^grads\[0\]: shares memory"):
        opt.bind_grads([p])
    opt.step()  # what was bound before
    assert p.tolist() == [-32.0] * 2
    opt.add_param_group({"params": np.zeros(1)})
    with pytest.raises(TypeError, match="none are bound"):
        opt.step()
    opt.bind_grads([[first], None])
    opt.step()
    assert p.tolist() == [-33.0] * 2


def test_bound_buffers_are_kept_alive():
    p = np.zeros(1000)
    opt = st.SGD([p], lr=1.0)
    opt.bind_grads([np.ones(1000)])
    rubbish = [np.full(1000, 7.0) for _ in range(50)]
    opt.step()
    assert (p == -1).all() and len(rubbish) == 50


def test_adding_a_group_lets_go_of_bound_buffers():
    opt, g = st.SGD(np.zeros(2), lr=1.0), np.ones(2)
    opt.bind_grads(g)
    buffer = weakref.ref(g)
    del g
    opt.add_param_group({"params": np.zeros(2)})
    assert buffer() is None


@pytest.mark.parametrize("of", ["grads", "params"])
def test_unpickled_arrays_are_taken_as_they_are(of, monkeypatch):
    given = {"params": [np.zeros(3), np.zeros((), np.float32)]}
    given["grads"] = [np.ones(3), np.ones((), np.float32)]
    given[of] = pickle.loads(pickle.dumps(given[of]))
    assert given[of][0].dtype is not np.dtype(float)  # which made a step 100 times slower
    monkeypatch.setattr("steepest.arrays.as_gradient", None)
    st.SGD(given["params"], lr=1.0).step(given["grads"])
    assert all((p == -1).all() for p in given["params"])


@pytest.mark.parametrize("kind", [np.ndarray, np.memmap])
def test_bound_buffers_cannot_be_resized(kind):
    """A step would read memory that is no longer theirs."""
    p, owned = np.zeros(1000), np.ones(1000).view(kind).copy()
    opt = st.SGD(p, lr=1.0)
    opt.bind_grads(owned)
    for n in (1, 10**6):
        with pytest.raises(ValueError, match="cannot resize"):
            owned.resize(n, refcheck=False)
    opt.step()
    assert (p == -1).all()
    opt.bind_grads(np.ones(1000))
    owned.resize(1, refcheck=False)  # let go
    copy.deepcopy(opt)
    owned.resize(1000, refcheck=False)
    opt.bind_grads(owned)
    opt.add_param_group({"params": np.zeros(1)})
    owned.resize(1, refcheck=False)


@pytest.mark.parametrize(
    "options",
    [dict(grad_scale=2.0), dict(max_norm=0.5), dict(nonfinite="skip"), dict(zero_grad=True)],
    ids=str,
)
def test_each_option_alone_holds_for_bound_gradients(options):
    p, g = np.zeros(2), np.array([3.0, np.nan if "nonfinite" in options else 4.0])
    opt = st.SGD([p], lr=1.0)
    opt.bind_grads([g])
    opt.step(**options)
    factor = {"grad_scale": 0.5, "max_norm": 0.1, "nonfinite": 0, "zero_grad": 1}[min(options)]
    np.testing.assert_allclose(p, [-3 * factor, -4 * factor], rtol=1e-15)
    assert opt.skipped == ("nonfinite" in options) and g.any() == ("zero_grad" not in options)


def test_none_leaves_a_tensor_alone_and_averages_it():
    a, b = np.ones(3), np.ones(3)
    opt = st.Adam([a, b], lr=0.5, ema_decay=0.5, weight_decay=0.1)
    opt.step([np.ones(3), np.ones(3)])
    before, mean = b.copy(), opt.ema[1].copy()
    opt.step([np.ones(3), None], zero_grad=True, max_norm=1.0)
    assert bits(b) == bits(before)
    assert opt.ema[1].tolist() == (mean + 0.5 * (b - mean)).tolist()
    assert [entry["step"] for entry in opt.state_dict()["state"].values()] == [2, 1]
    opt.step([None, None], nonfinite="raise", max_norm=1.0)
    assert opt.step_count == 3 and opt.grad_norm == 0.0


def test_zero_grad_and_grad_scale():
    p, g = np.zeros(3), np.full(3, 8.0)
    opt = st.SGD([p], lr=1.0)
    opt.step([g], grad_scale=4, zero_grad=True)
    assert p.tolist() == [-2.0] * 3 and g.tolist() == [0.0] * 3


@pytest.mark.parametrize("yes", [True, np.True_])
def test_maximize_climbs(yes):
    p = np.zeros(2)
    st.SGD(p, lr=1.0, maximize=yes, weight_decay=0.5).step(np.ones(2))
    assert p.tolist() == [1.0, 1.0]


def test_float32_and_float64_in_one_optimizer():
    a, b = np.ones(33, np.float32), np.ones(17)
    opt = st.Adam([a, b], lr=0.1)
    opt.step([np.ones(33, np.float32), np.ones(17)], max_norm=1.0)
    assert opt.grad_norm == np.sqrt(50.0)
    assert a.dtype == np.float32 and (a < 1).all() and (b < 1).all()


# --- schedules, counts, skips ---


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


# --- the rest ---


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
    opt._schedule = ["private", p]
    other = copy.deepcopy(opt)
    assert other.note == "mine" and other._schedule[1] is other.param_groups[0]["params"]
    assert vars(other).keys() == vars(opt).keys() and other.step_count == 1
