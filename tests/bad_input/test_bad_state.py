"""What is wrong with a state dict is said, with its place, and nothing is changed.

Every case asserts the message, and that parameters, state and counts are bitwise as before.
"""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from refusals import G, S, says
from runs import make, snapshot
from steepest import check
from table import CLASSES


def put(path, value):
    """A change of a state dict: the value at a path of keys, or its removal."""

    def change(d):
        *front, last = path
        for key in front:
            d = d[key]
        if value is KeyError:
            del d[last]
        else:
            d[last] = value

    return change


BIG = 2**60
BAD_STATES = [
    (
        put(["state"], KeyError),
        ValueError,
        "state_dict: ['state'] missing; expected ['state', 'p",
    ),
    (put(["extra"], 1), ValueError, "state_dict: ['extra'] not known"),
    (put(["state"], []), TypeError, f"{S}: got a list; expected a dict"),
    (put(["state", 2], KeyError), ValueError, f"{S}: entries [0, 1]; expected 0 to 2"),
    (put(["state", 3], {}), ValueError, f"{S}: entries [0, 1, 2, 3]; expected 0 to 2"),
    (
        put(["state"], {"0": {}, "1": {}, "2": {}}),
        ValueError,
        f"{S}: entries ['0', '1', '2']; expected 0 to 2 as whole numbers, which JSON",
    ),
    (put(["state", 1, "exp_avg"], KeyError), ValueError, f"{S}[1]: ['exp_avg'] missing"),
    (put(["state", 1, "momentum"], 1), ValueError, f"{S}[1]: ['momentum'] not known"),
    (put(["state", 1], None), TypeError, f"{S}[1]: got None; expected a dict with"),
    (
        put(["state", 2, "exp_avg"], np.ones(4)),
        ValueError,
        f"{S}[2]['exp_avg']: shape (4,) differs from the present (5,)",
    ),
    (
        put(["state", 2, "ema"], np.ones(5, np.float32)),
        TypeError,
        f"{S}[2]['ema']: dtype float32 differs from the present float64",
    ),
    (put(["state", 2, "ema"], np.ones(5, ">f8")), TypeError, f"{S}[2]['ema']: dtype >f8 differs"),
    (put(["state", 2, "ema"], "text"), TypeError, f"{S}[2]['ema']: dtype <U4 differs"),
    (put(["state", 2, "step"], -1), ValueError, f"{S}[2]['step']: -1 is not allowed"),
    (put(["state", 2, "step"], 1.5), TypeError, f"{S}[2]['step']: 1.5 is a float"),
    (put(["state", 2, "step"], 2), ValueError, f"{S}[2]['step']: 2 is not allowed; expected a w"),
    (put(["step_count"], BIG), ValueError, f"state_dict['step_count']: {BIG} is not allowed"),
    (put(["step_count"], 10**30), ValueError, "state_dict['step_count']: 10000000000000"),
    (put(["step_count"], None), TypeError, "state_dict['step_count']: got None"),
    (put(["skipped"], -1), ValueError, "state_dict['skipped']: -1 is not allowed"),
    (put(["param_groups"], []), ValueError, f"{G}: got 0 groups; expected a list of 1 group"),
    (put(["param_groups"], {0: {}}), ValueError, f"{G}: got a dict; expected a list of 1 group"),
    (put(["param_groups"], [3]), TypeError, f"{G}[0]: got an int; expected a dict with"),
    (put(["param_groups", 0, "rule"], "sgd"), ValueError, f"{G}[0]: rule 'sgd' differs from the"),
    (put(["param_groups", 0, "lr"], KeyError), ValueError, f"{G}[0]: ['lr'] missing"),
    (put(["param_groups", 0, "lr"], -1), ValueError, f"{G}[0]['lr']: -1.0 is not allowed"),
    (put(["param_groups", 0, "betas"], (0.9, 1)), ValueError, f"{G}[0]['betas'][1]: 1.0 is not a"),
    (
        put(["param_groups", 0, "ema_decay"], None),
        ValueError,
        f"{G}[0]: ema_decay: decided at construction, as state arrays depend on it; None where",
    ),
    (
        put(["param_groups", 0, "last_step", "lr"], KeyError),
        ValueError,
        f"{G}[0]['last_step']: ['lr'] missing",
    ),
    (
        put(["param_groups", 0, "last_step", "beta1"], np.nan),
        ValueError,
        f"{G}[0]['last_step']['beta1']: nan is not allowed",
    ),
    (
        put(["param_groups", 0, "last_step", "beta1"], -0.5),
        ValueError,
        f"{G}[0]['last_step']['beta1']: -0.5 is not allowed",
    ),
    (
        put(["param_groups", 0, "last_step"], 1),
        TypeError,
        f"{G}[0]['last_step']: got an int; expected a",
    ),
    (put(["param_groups", 0, "foo"], 1), ValueError, f"{G}[0]: ['foo'] not known"),
    (
        put(["param_groups", 0, "param_names"], ["a", "b", "c"]),
        ValueError,
        f"{G}[0]: param_names ['a', 'b', 'c'] differ from the present ['layer1/0', 'layer1/1'",
    ),
    (put(["param_groups", 0, "param_names"], 3), ValueError, f"{G}[0]: param_names 3 differ"),
    (
        put(["param_groups", 0, "params"], [0, 2, 1]),
        ValueError,
        f"{G}[0]: params from 1 on: [2, 1] differ from the present [1, 2]",
    ),
    (
        put(["param_groups", 0, "params", 1], np.ones(2)),
        ValueError,
        f"{G}[0]: params from 1 on: [array([1., 1.]), 2] differ from the present [1, 2]",
    ),
]


@pytest.mark.parametrize("change, error, message", BAD_STATES)
def test_wrong_state_dict(setup, change, error, message):
    opt, params, unchanged = setup
    d = opt.state_dict()
    for entry in d["state"].values():  # what would be seen if it were taken over in part
        entry["exp_avg"] = entry["exp_avg"] + 1
    change(d)
    with says(error, message):
        opt.load_state_dict(d)
    unchanged()


@pytest.mark.parametrize("given", [None, [], "state", np.ones(1)], ids=str)
def test_what_is_no_state_dict(setup, given):
    opt, _, unchanged = setup
    with says(TypeError, f"state_dict: {check.got(given)}; expected a dict with"):
        opt.load_state_dict(given)
    unchanged()


def test_state_that_is_no_array(setup):
    opt, _, unchanged = setup
    for value, message in (
        (None, "got None; expected an array"),
        (np.ma.ones(5), "a masked array, whose mask would be ignored; pass its .data"),
        ([[1.0], [1.0, 2.0]], "not an array: "),
    ):
        d = opt.state_dict()
        d["state"][2]["exp_avg"] = value
        with says(TypeError, f"{S}[2]['exp_avg']: {message}"):
            opt.load_state_dict(d)
        unchanged()


@pytest.mark.parametrize("product", [-0.5, 1.5, np.nan])
def test_a_product_that_nadam_cannot_have(product):
    p = np.ones(3)
    opt = st.NAdam(p)
    opt.step(np.ones(3))
    before, d = snapshot(opt, [p]), opt.state_dict()
    d["state"][0]["mu_product"] = product
    with says(ValueError, f"{S}[0]['mu_product']: {product} is not allowed"):
        opt.load_state_dict(d)
    assert snapshot(opt, [p]) == before


@pytest.mark.parametrize("rule", CLASSES, ids=str)
def test_state_of_another_rule(rule):
    p = np.ones(3)
    opt = make(rule, p)
    opt.step(np.ones(3))
    before = snapshot(opt, [p])
    for other in CLASSES:
        if other is not rule:
            with says(ValueError, "state_dict['"):
                opt.load_state_dict(make(other, np.ones(3)).state_dict())
            assert snapshot(opt, [p]) == before


def test_the_state_of_pytorchs_own_optimizer_is_named(setup):
    opt, _, unchanged = setup
    theirs = {"state": {}, "param_groups": [{"lr": 1e-3, "params": [0, 1, 2]}]}
    missing = "['step_count', 'skipped'] missing, as in those of PyTorch's own optimizers"
    with says(ValueError, f"state_dict: {missing}; expected one from an optimizer of this"):
        opt.load_state_dict(theirs)
    unchanged()
