"""The rules without an object, for embedding: one function per rule, made from its class.

``adam(p, g, m, v, *, step, lr, ...)`` updates p and its state arrays in place for one step; the
keywords are those of `steepest.Adam` without ``ema_decay``, ``step`` counts from 1. The state
arrays are those of the class, in its order or by its names, laid out like p; initialize them as the
class does (mostly to zeros). ``nadam`` also carries a number from step to step: it returns
``mu_product``, a keyword of its next call. Each call checks all its arguments, in a few µs: a
loop over short arrays is several times faster with the class.

>>> import numpy as np, steepest as st
>>> p, g, m, v = np.ones(2), np.ones(2), np.zeros(2), np.zeros(2)
>>> st.functional.adam(p, g, m, v, step=1, lr=0.1)
>>> p.round(3)
array([0.9, 0.9])
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from steepest import _cpu, arrays, check, devices, rules
from steepest.updates.groups import MISSING, check_rounding, largest
from steepest.updates.optimizer import Optimizer
from steepest.updates.rule_list import RULES, group_arguments

_CLASSES: dict[str, type[Optimizer]] = {n.lower(): getattr(rules, n) for n in rules.__all__}
_STATES = {state for rule in RULES.values() for state in rule.states}
__all__ = list(_CLASSES)
LEFT_OUT = {"ema_decay", "initial_accumulator_value"}  # the caller makes the arrays

DOCUMENTED = """One step of `steepest.{cls}`, in place on p and its state arrays.

Parameters
----------
p : array, float32 or float64
    The parameter.
g : array
    Its gradient, with the shape, dtype and strides of p.
states : arrays like p
    With the default options: {states}. In this order, or by name. They start like those of
    `steepest.{cls}`, mostly as zeros, and are kept from step to step.
step : int
    The number of this step, 1 for the first.
lr, ... : keywords
    As for `steepest.{cls}`, without {without}; `lr` is a number.
{returned}
Raises
------
TypeError, ValueError
    For invalid arguments; nothing is changed then.
"""
RETURNED = """
Returns
-------
{0} : float
    To be passed as the keyword `{0}` at the next step.
"""


def _in_order(
    name: str, states: tuple[Any, ...], named: dict[str, Any], due: list[str]
) -> tuple[Any, ...]:
    """All state arrays, those given by name after the others."""
    if len(states) == len(due) and not named:
        return states
    rest = due[len(states) :]
    if len(states) > len(due) or named.keys() != set(rest):
        given = f"{check.counted(len(states), 'state array')} given"
        given += f" and, by name, {', '.join(sorted(named))}" if named else ""
        raise TypeError(f"{name}: {given}; expected {len(due)}: {', '.join(due) or 'none'}")
    return *states, *(named[state] for state in rest)


def _views(p: Any, g: Any, states: tuple[Any, ...], due: list[str]) -> list[Any]:
    """p, g and the state arrays of any kind as NumPy's or CuPy's."""
    theta = arrays.as_parameter("p", p)
    views = []
    for name, state in zip(due, states, strict=True):
        if not (arrays.laid_out_like(state, theta) and state.flags.writeable):
            arrays.as_parameter(name, state)
        views.append(arrays.as_gradient(name, state, theta, "what began as np.zeros_like(p)"))
    return [theta, arrays.as_gradient("g", g, theta), *views]


def _step_by_plan(
    rule: str, group: tuple[Any, ...], lr: float, views: list[Any], t: int, start: float
) -> float | None:
    """Step t on arrays that `_cpu.step_alone` refuses; what the rule then carries beside them."""
    _, _, due, scalar = RULES[rule]
    theta, gradient, *states = views
    backend = devices.backend_of([theta], ["p"])
    if pair := backend.find_overlap(views):
        first, second = (["p", "g", *due][i] for i in sorted(pair))
        raise ValueError(f"{second}: shares memory with {first}")
    plan = backend.plan()
    plan.add_group(*group)
    plan.set_lr(0, lr)
    plan.add_tensor(0, theta, states, None, t - 1, start)
    plan.step_plain((gradient,))
    return plan.clocks()[1][0] if scalar else None


def _group(name: str, dtype: Any, **hyper: Any) -> tuple[str, tuple[Any, ...], float]:
    """The rule that hyperparameters pick, the engine's group, and the largest lr that the dtype
    holds; each call sets its lr."""
    cls = _CLASSES[name]
    values = cls._checked({**_defaults(name), **hyper, "lr": 0.0})
    check_rounding(cls._checks, values, [dtype])
    rule = cls._variant(values)
    return rule, group_arguments(rule, values), largest([dtype])


_known_group = functools.lru_cache(maxsize=256, typed=True)(_group)


def _stays(value: Any) -> bool:
    """Whether a value can be a key of the cache: a tensor, say, may change without notice."""
    if type(value) is tuple:  # the cache tells types apart, but not within a tuple
        return all(type(x) in (float, int) for x in value)
    return type(value) in (float, int, bool)


def _start(name: str, rule: str, t: int, product: Any) -> float:
    """The number that the rule carries beside its arrays, before step t."""
    if not RULES[rule].scalar:
        if product is not None:
            raise TypeError(f"{name}: 'mu_product' is not one of its keywords")
        return 0.0
    if product is None and t > 1:
        raise TypeError(f"{name}: mu_product is missing: pass what the step before returned")
    return 1.0 if product is None else check.number("mu_product", product, at_least=0, at_most=1)


def _keywords(cls: type[Optimizer]) -> list[inspect.Parameter]:
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for key, parameter in inspect.signature(cls.__init__).parameters.items()
        if key not in {"self", "params", *LEFT_OUT}
    ]


@functools.cache
def _defaults(name: str) -> dict[str, Any]:
    """Defaults of the keywords, and of the options for state arrays, which the caller makes."""
    cls = _CLASSES[name]
    given = {keyword.name: keyword.default for keyword in _keywords(cls)}
    accumulator = "initial_accumulator_value"
    return {**given, "ema_decay": None, **dict.fromkeys({accumulator} & set(cls._checks), 0.0)}


def _function(name: str, cls: type[Optimizer]) -> Callable[..., float | None]:
    keywords = _keywords(cls)
    allowed = {keyword.name for keyword in keywords}

    def function(
        p: Any, g: Any, *states: Any, step: int, mu_product: Any = None, **hyper: Any
    ) -> float | None:
        named = {}  # state arrays
        if more := hyper.keys() - allowed:
            if unknown := sorted(more - _STATES):
                raise TypeError(f"{name}: {unknown[0]!r} is not one of its keywords")
            named = {key: hyper.pop(key) for key in more}
        lr = hyper.pop("lr", _defaults(name)["lr"])
        if lr is MISSING:
            raise TypeError(f"{name}: lr is missing")
        if callable(lr):
            raise TypeError("lr: got a callable; expected a number, the rate of this step")
        plain = type(p) is np.ndarray and p.dtype.char in "fd"
        theta = p if plain else arrays.as_parameter("p", p)
        lr = cls._checks["lr"]("lr", lr)
        look_up = _known_group if all(map(_stays, hyper.values())) else _group
        rule, group, most = look_up(name, theta.dtype, **hyper)
        if lr > most:
            check_rounding(cls._checks, {"lr": lr}, [theta.dtype])
        _, _, due, scalar = RULES[rule]
        t = check.integer("step", step, at_least=1, at_most=2**53)
        start = _start(name, rule, t, mu_product)
        states = _in_order(name, states, named, due)
        after = _cpu.step_alone(group, lr, (theta, g, *states), t - 1, start)
        if after is None:
            views = _views(theta, g, states, due)
            after = _step_by_plan(rule, group, lr, views, t, start)
        return after if scalar else None

    _dress(function, cls, name, keywords)
    return function


def _dress(function: Any, cls: type[Optimizer], name: str, keywords: list[Any]) -> None:
    """Name, signature and docstring, as if written by hand."""
    P = inspect.Parameter
    front = [P(key, P.POSITIONAL_OR_KEYWORD) for key in "pg"] + [P("states", P.VAR_POSITIONAL)]
    step, carried = P("step", P.KEYWORD_ONLY), []
    if scalar := RULES[name].scalar:
        carried = [P(scalar, P.KEYWORD_ONLY, default=None)]
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__signature__ = inspect.Signature([*front, step, *keywords, *carried])
    function.__doc__ = DOCUMENTED.format(
        cls=cls.__name__,
        states=", ".join(RULES[name].states) or "none",
        without=" and ".join(sorted(LEFT_OUT & {*inspect.signature(cls).parameters})),
        returned=RETURNED.format(scalar) if scalar else "",
    )


def __dir__() -> list[str]:
    return sorted(__all__)


_FUNCTIONS = {name: _function(name, cls) for name, cls in _CLASSES.items()}
globals().update(_FUNCTIONS)


def __getattr__(name: str) -> Callable[..., float | None]:  # to type checkers, the functions' type
    raise AttributeError(f"module 'steepest.functional' has no attribute {name!r}")
