"""Parameter groups: their settings, how they are added, shown and copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import MutableMapping

import numpy as np
import pytest

import steepest as st
from runs import bits, make, problem, snapshot
from table import CLASSES


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
    opt.param_groups[0]["lr"] = float("0.25")  # equal, if not the same object
    assert opt.lr == 0.25
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
    monkeypatch.setattr("steepest.updates.tree.written", lambda *path: named.append(path))
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


def test_a_group_shows_a_user_what_a_dict_does_and_little_else():
    (group,) = st.SGD(np.ones(3), lr=0.5).param_groups
    shown = {name for name in dir(group) if not name.startswith("_")}
    assert shown - set(dir(MutableMapping)) == {"hyperparameters", "param_names", "params"}


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


class Raising(np.ndarray):
    def __getattr__(self, name):
        raise OSError("nobody catches this")


class Key:
    def __str__(self):
        raise OSError("nobody catches this")


def test_what_raises_when_a_group_is_added_leaves_no_half_of_it():
    p, q = np.ones(2), np.ones(2)
    opt = st.SGD([p], lr=0.5)
    opt.step([np.ones(2)])
    before = snapshot(opt, [p])
    with pytest.raises(OSError, match="nobody catches this"):
        opt.add_param_group({"params": {Key(): np.ones(2)}})
    assert snapshot(opt, [p]) == before
    opt.add_param_group({"params": q.view(Raising)})  # is asked whether it is PyTorch's
    opt.step([[np.ones(2)], np.ones(2).view(Raising)])
    assert len(opt.state_dict()["param_groups"]) == 2 and p[0] == 0 and q[0] == 0.5
