"""What is wrong with hyperparameters is said, with its place, and nothing is changed.

Every case asserts the message, and that parameters, state and counts are bitwise as before.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import steepest as st
from refusals import G, says
from runs import make, snapshot
from steepest import check
from table import CLASSES

F4 = np.float32

BAD_NUMBER = [
    (np.nan, ValueError, "nan is not allowed; expected a finite number"),
    (np.inf, ValueError, "inf is not allowed; expected a finite number"),
    (-1e-9, ValueError, "-1e-09 is not allowed; expected a finite number, at least 0"),
    (-np.inf, ValueError, "-inf is not allowed"),
    ("0.1", TypeError, "'0.1' is a str; expected a finite number, at least 0"),
    (True, TypeError, "True is a bool; expected a finite number"),
    (np.True_, TypeError, f"{np.True_!r} is a {type(np.True_).__name__}; expected a finite number"),
    (
        np.complex128(1),
        TypeError,
        f"{np.complex128(1)!r} is a complex128; expected a finite number",
    ),
    (1 + 0j, TypeError, "(1+0j) is a complex; expected a finite number"),
    (np.array("0.1"), TypeError, f"{np.array('0.1')!r} is an ndarray; expected a finite number"),
    (np.ones(1), TypeError, "array([1.]) is an ndarray; expected a finite number"),
    ([0.1], TypeError, "[0.1] is a list; expected a finite number"),
    (b"1", TypeError, "b'1' is a bytes; expected a finite number"),
    (10**400, TypeError, "1000000000000000"),
]
OF_CLASS = {
    "lr": CLASSES,
    "weight_decay": CLASSES,
    "eps": [r for r in CLASSES if "eps" in getattr(st, r.cls)._checks],
    "momentum": [r for r in CLASSES if "momentum" in getattr(st, r.cls)._checks],
    "beta": [r for r in CLASSES if "beta" in getattr(st, r.cls)._checks],
    "rho": [r for r in CLASSES if "rho" in getattr(st, r.cls)._checks],
    "lr_decay": [r for r in CLASSES if "lr_decay" in getattr(st, r.cls)._checks],
    "momentum_decay": [r for r in CLASSES if "momentum_decay" in getattr(st, r.cls)._checks],
    "ema_decay": CLASSES,
}
NUMBERS = [(rule, name) for name, rules in OF_CLASS.items() for rule in rules]


@pytest.mark.parametrize("value, error, message", BAD_NUMBER, ids=lambda v: str(v)[:15])
@pytest.mark.parametrize("rule, name", NUMBERS, ids=str)
def test_hyperparameter_that_is_no_allowed_number(rule, name, value, error, message):
    p = np.ones(3)
    with says(error, f"{name}: {message}"):
        getattr(st, rule.cls)(p, **{**rule.kwargs, name: value})
    opt = make(rule, p, ema_decay=0.5)
    opt.step(np.ones(3))
    before = snapshot(opt, [p])
    for where, change in (
        (name, lambda: setattr(opt, name, value)),
        (name, lambda: opt.param_groups[0].__setitem__(name, value)),
        (
            f'params[1]["{name}"]',
            lambda: opt.add_param_group({"params": np.ones(2), name: value}),
        ),
    ):
        with says(error, f"{where}: {message}"):
            change()
        assert snapshot(opt, [p]) == before and len(opt.param_groups) == 1
    groups = [{"params": np.ones(2)}, {"params": np.ones(2), name: value}]
    with says(error, f'params[1]["{name}"]: {message}'):
        getattr(st, rule.cls)(groups, **rule.kwargs)


def test_value_that_cannot_be_shown_in_full():
    with says(TypeError, "lr: what was given is not a real number; expected a finite number"):
        st.SGD(np.ones(1), lr=10**5000)  # more digits than Python writes
    with pytest.raises(
        TypeError, match=r"^lr: \[0, 0, .{193}\.\.\. is a list; expected a finite number"
    ):
        st.SGD(np.ones(1), lr=[0] * 10_000)


class Raises:
    """Whatever is asked of it raises."""

    def _raise(self, *args):
        raise OSError("nobody catches this")

    __float__ = __index__ = __iter__ = __repr__ = __eq__ = __bool__ = __getattr__ = _raise
    __hash__ = None


def test_value_whose_members_raise(setup):
    opt, _, unchanged = setup
    for name in opt._checks:
        if name == "betas":
            message = "betas: what was given; expected a pair of numbers"
        else:
            message = f"{name}: what was given is a Raises; expected"
        with says(TypeError, message):
            setattr(opt, name, Raises())
        unchanged()
    d = opt.state_dict()
    d["step_count"] = Raises()
    with says(TypeError, "state_dict['step_count']: what was given is a Raises; expected a whole"):
        opt.load_state_dict(d)
    d = opt.state_dict()
    for key in ("rule", "params", "param_names"):
        group = {**d["param_groups"][0], key: Raises()}
        with says(ValueError, f"{G}[0]: {key} what was given differ"):
            opt.load_state_dict({**d, "param_groups": [group]})
        unchanged()


@pytest.mark.parametrize(
    "cls, name", [("RMSProp", "beta"), ("Adadelta", "rho"), ("SGD", "ema_decay")]
)
@pytest.mark.parametrize("value", [1.0, 1.5, 2.0])
def test_decay_rates_lie_below_1(cls, name, value):
    with says(ValueError, f"{name}: {value} is not allowed; expected a finite number, at least"):
        getattr(st, cls)(np.ones(3), lr=0.1, **{name: value})


def test_the_limits_that_errors_name_are_allowed():
    p = np.ones(3, np.float32)
    below_one, most = 1 - 2.0**-24, float(np.finfo(np.float32).max)
    opt = st.RMSProp(p, beta=below_one, lr=most)
    assert (opt.beta, opt.lr) == (below_one, most)
    with says(ValueError, "beta: 0.99999999 rounds to 1 in float32, the type of its parameters; "):
        opt.beta = 0.99999999
    with pytest.raises(ValueError, match=re.escape(f"; expected at most {below_one!r}") + "$"):
        opt.beta = 0.99999999
    with pytest.raises(ValueError, match=re.escape(f"; expected at most {most!r}") + "$"):
        opt.lr = 2 * most
    opt.lr, opt.eps = 1e-60, 0.0  # 0 in float32, as they may be


WITH_BETAS = [r for r in CLASSES if "betas" in getattr(st, r.cls)._checks]
BAD_BETAS = [
    ((0.9, 1.0), ValueError, "betas[1]: 1.0 is not allowed; expected a finite number, at least"),
    ((1.5, 0.9), ValueError, "betas[0]: 1.5 is not allowed"),
    ((-0.1, 0.9), ValueError, "betas[0]: -0.1 is not allowed"),
    ((0.9, np.nan), ValueError, "betas[1]: nan is not allowed"),
    (0.9, TypeError, "betas: 0.9; expected a pair of numbers"),
    ((0.9,), TypeError, "betas: (0.9,); expected a pair of numbers"),
    ((0.9, 0.9, 0.9), TypeError, "betas: (0.9, 0.9, 0.9); expected a pair of numbers"),
    ({0.9, 0.999}, TypeError, "betas: {"),
    ({0.9: 1, 0.999: 2}, TypeError, "betas: {0.9: 1, 0.999: 2}; expected a pair of numbers"),
    ("ab", TypeError, "betas[0]: 'a' is a str"),
    (None, TypeError, "betas: None; expected a pair of numbers"),
]


@pytest.mark.parametrize("value, error, message", BAD_BETAS, ids=lambda v: str(v)[:15])
@pytest.mark.parametrize("rule", WITH_BETAS, ids=str)
def test_bad_betas(rule, value, error, message):
    p = np.ones(3)
    with says(error, message):
        getattr(st, rule.cls)(p, betas=value)
    opt = make(rule, p)
    with says(error, message):
        opt.betas = value
    assert opt.betas == getattr(st, rule.cls)(np.ones(1), **rule.kwargs).betas


def test_running_means_of_some_groups_alone(setup):
    message = "ema_decay: given for some groups and None for others; give it for all or none"
    with says(ValueError, message):
        st.SGD([{"params": np.ones(1), "ema_decay": 0.5}, {"params": np.ones(1)}], lr=0.1)
    opt, _, unchanged = setup  # which has them
    with says(ValueError, message):
        opt.add_param_group({"params": np.ones(1), "ema_decay": None})
    assert len(opt.param_groups) == 1
    unchanged()


ALLOWED = "in float32, the type of its parameters; expected "


@pytest.mark.parametrize(
    "cls, name, value, message",
    [
        (
            st.Adam,
            "eps",
            1e-46,
            f"eps: 1e-46 rounds to 0 {ALLOWED}0, or at least 1.401298464324817e",
        ),
        (st.SGD, "lr", 1e39, f"lr: 1e+39 is infinite {ALLOWED}at most 3.4028234663852886e+38"),
        (st.Momentum, "momentum", 1e39, "momentum: 1e+39 is infinite in float32"),
        (st.SGD, "weight_decay", 1e39, "weight_decay: 1e+39 is infinite in float32"),
        (st.Adagrad, "initial_accumulator_value", 1e39, "initial_accumulator_value: 1e+39 is inf"),
    ],
)
def test_hyperparameter_that_its_parameters_cannot_tell(cls, name, value, message):
    needs = {} if cls is st.Adagrad or cls is st.Adam else {"lr": 0.1}
    cls(np.ones(3), **{**needs, name: value})
    with says(ValueError, message):
        cls(np.ones(3, F4), **{**needs, name: value})
    if name == "initial_accumulator_value":
        return
    opt = cls(np.ones(3, F4), **needs)
    before = getattr(opt, name)
    with says(ValueError, message):
        setattr(opt, name, value)
    assert getattr(opt, name) == before


def test_decay_rate_that_rounds_to_one():
    close = 1 - 1e-9
    st.Adam(np.ones(3), betas=(0.9, close))
    message = f"betas: {close!r} rounds to 1 {ALLOWED}at most 0.9999999403953552"
    with says(ValueError, message):
        st.Adam([np.ones(3), np.ones(3, F4)], betas=(0.9, close))
    opt = st.Adam(np.ones(3, F4))
    with says(ValueError, message):
        opt.betas = (0.9, close)
    assert opt.betas == (0.9, 0.999)
    with says(ValueError, f"rho: {close!r} rounds to 1 in float32"):
        st.Adadelta(np.ones(3, F4), rho=close)
    p, g, m, v = np.ones(3, F4), np.ones(3, F4), np.zeros(3, F4), np.zeros(3, F4)
    with says(ValueError, message):
        st.functional.adam(p, g, m, v, step=1, betas=(0.9, close))
    assert (p == 1).all() and not m.any()


def test_group_whose_dtype_cannot_tell_is_named():
    groups = [{"params": np.ones(3)}, {"params": np.ones(3, F4)}]
    with says(ValueError, "params[1]: eps: 1e-60 rounds to 0 in float32, the type of its"):
        st.Adam(groups, eps=1e-60)
    opt = st.Adam(groups[0]["params"])
    with says(ValueError, "params[1]: lr: 1e+39 is infinite in float32, the type of its"):
        opt.add_param_group({**groups[1], "lr": 1e39})
    assert len(opt.param_groups) == 1


def test_defaults_that_every_group_overrides_are_judged_too():
    with says(ValueError, "lr: -1.0 is not allowed"):
        st.SGD([{"params": np.ones(1), "lr": 0.1}], lr=-1)


def test_unknown_hyperparameters():
    with pytest.raises(TypeError, match="unexpected keyword argument 'betas'"):
        st.SGD(np.ones(1), lr=0.1, betas=(0.9, 0.9))
    with says(TypeError, "lr: the class cosine; expected a number or a schedule"):
        st.Adam(np.ones(1), lr=st.schedules.cosine)
    with says(TypeError, "params[0]: 'amsgrad' is not one of ['betas', 'bias_correction', 'ema_"):
        st.AMSGrad([{"params": np.ones(1), "amsgrad": False}])
    adam = st.Adam({"w": np.ones(1)})
    with says(TypeError, "params[0]: 'betas' is not one of ['ema_decay', 'lr', 'maximize', 'weig"):
        st.SGD(adam.param_groups)
    for names, shown in ((["v"], "['v']"), ([], "[]"), ("w", "'w'"), (None, "None")):
        says_names = f"params[0]: param_names {shown} differ from its structure's ['w']; leave the"
        with says(ValueError, says_names):
            st.Adam([{**adam.param_groups[0], "param_names": names}])
    with says(TypeError, "params[1]: 'learning_rate' is not one of ['ema_decay', 'lr', 'maximize'"):
        st.SGD([{"params": np.ones(1)}, {"params": np.ones(1), "learning_rate": 1}], lr=0.1)
    opt = st.SGD(np.ones(1), lr=0.1)
    with pytest.raises(KeyError, match="'momentum' is not one of"):
        opt.param_groups[0]["momentum"] = 0.9
    with says(TypeError, "params[1]: 'LR' is not one of"):
        opt.add_param_group({"params": np.ones(1), "LR": 0.1})
    for bad in ({}, {"lr": 0.1}, [np.ones(1)], np.ones(1), None):
        allowed = "expected a dict with the key 'params'"
        with says(TypeError, f"param_group: {check.shown(bad)}; {allowed}"):
            opt.add_param_group(bad)
    with says(ValueError, "params: the arrays of a group cannot be replaced"):
        opt.param_groups[0]["params"] = np.ones(2)
    with says(TypeError, "'lr' cannot be deleted from a parameter group"):
        del opt.param_groups[0]["lr"]
    assert len(opt.param_groups) == 1 and opt.lr == 0.1


NONE_SUCH = "has no such hyperparameter; it has ["


def test_hyperparameter_of_another_rule_is_not_set_in_vain():
    opt = st.SGD(np.ones(1), lr=0.1)
    with says(AttributeError, f"betas: SGD {NONE_SUCH}'ema_decay', 'lr', 'maximize'"):
        opt.betas = (0.9, 0.99)

    class Mine(st.SGD):
        """Of a user, whose other attributes are theirs."""

    for opt, name in ((Mine(np.ones(1), lr=0.1), "betas"), (st.AMSGrad(np.ones(1)), "amsgrad")):
        with says(AttributeError, f"{name}: {type(opt).__name__} {NONE_SUCH}"):
            setattr(opt, name, False)


@pytest.mark.parametrize("name", ["learning_rate", "lrr", "nesterov", "state", "params"])
def test_attribute_that_no_rule_has_is_not_set_in_vain(name):
    opt = st.Momentum(np.ones(1), lr=0.1)
    with says(AttributeError, f"{name}: Momentum {NONE_SUCH}'ema_decay', 'lr', 'lr_in_vel"):
        setattr(opt, name, 0.5)
    assert not hasattr(opt, name)
    opt.step = lambda: None  # what there is may be wrapped


def test_attribute_of_a_group_is_not_set_in_vain():
    opt = st.SGD([np.ones(1)], lr=0.1)
    (group,) = opt.param_groups
    for name in ("lr", "learning_rate", "params", "most"):
        with says(AttributeError, f"{name}: not an attribute to set; set group['{name}']"):
            setattr(group, name, 0.5)
    opt.step([np.ones(1)])
    assert (opt.lr, group["lr"]) == (0.1, 0.1)


def test_update_of_a_group_is_all_or_none():
    group = st.Adam(np.ones(1)).param_groups[0]
    with says(ValueError, "betas[0]: 2.0 is not allowed"):
        group.update(lr=0.5, betas=(2, 2))
    assert group["lr"] == 1e-3
    group.update({"lr": 0.5}, eps=0.25)
    assert (group["lr"], group["eps"]) == (0.5, 0.25)


def test_dict_without_params_among_groups():
    with says(TypeError, 'params[1]["lr"]: got a float; expected an array'):
        st.SGD([{"params": np.ones(1)}, {"lr": 0.1}], lr=0.1)


@pytest.mark.parametrize(
    "cls, name, value, kwargs",
    [
        ("Momentum", "lr_in_velocity", False, {"lr": 0.1}),
        ("Nesterov", "lr_in_velocity", False, {"lr": 0.1}),
        ("RMSProp", "momentum", 0.9, {}),
        ("RMSProp", "momentum", 0.0, {"momentum": 0.9}),
        ("RMSProp", "centered", True, {}),
        ("Adam", "amsgrad", True, {}),
        ("AdamW", "amsgrad", True, {}),
        ("Adagrad", "initial_accumulator_value", 0.5, {}),
        ("SGD", "ema_decay", 0.5, {"lr": 0.1}),
        ("SGD", "ema_decay", None, {"lr": 0.1, "ema_decay": 0.5}),
    ],
)
def test_what_decides_the_state_cannot_be_set_later(cls, name, value, kwargs):
    p = np.ones(3)
    opt = getattr(st, cls)(p, **kwargs)
    before = snapshot(opt, [p])
    for change in (
        lambda: setattr(opt, name, value),
        lambda: opt.param_groups[0].__setitem__(name, value),
    ):
        was = kwargs.get(name, getattr(opt, name))
        why = f"{name}: decided at construction, as state arrays depend on it; {value} where it was"
        with says(ValueError, f"{why} {was}"):
            change()
        assert snapshot(opt, [p]) == before


@pytest.mark.parametrize("name", ["maximize", "bias_correction", "amsgrad"])
@pytest.mark.parametrize(
    "value",
    [1, 0, None, "yes", np.ones(1), pytest.param(type("bool_", (), {})(), id="named as NumPy's")],
    ids=str,
)
def test_flag_that_is_none(name, value):
    seen = "got None" if value is None else f"{value!r} is {check.kind(value)}"
    message = f"{name}: {seen}; expected True or False"
    with says(TypeError, message):
        st.Adam(np.ones(1), **{name: value})
