"""The rules without an object, for embedding: one function a rule, made from its class.

``adam(p, g, m, v, *, step, lr, ...)`` updates p and its state arrays in place for one step; the
keywords are those of `steepest.Adam`, ``step`` counts from 1. The state arrays are those of the
class, in its order, laid out like p; start them as the class does (zeros, mostly). ``nadam`` also
carries a number from step to step: it returns ``mu_product``, a keyword of its next call.

>>> import numpy as np, steepest as st
>>> p, g, m, v = np.ones(2), np.ones(2), np.zeros(2), np.zeros(2)
>>> st.functional.adam(p, g, m, v, step=1, lr=0.1)
>>> p.round(3)
array([0.9, 0.9])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from steepest import arrays, check, devices, rules
from steepest.groups import check_rounding
from steepest.optimizer import Optimizer
from steepest.rule_list import RULES, group_arguments

__all__ = [name.lower() for name in rules.__all__]

DOCUMENTED = """One step of `steepest.{cls}`, in place on p and its state arrays.

Parameters
----------
p : array, float32 or float64
    The parameter.
g : array
    Its gradient, with the shape, dtype and strides of p.
states : arrays like p
    With the default options: {states}. They start as those of `steepest.{cls}` do,
    mostly as zeros, and are kept from step to step.
step : int
    The number of this step, 1 at first.
lr, ... : keywords
    As of `steepest.{cls}`; `lr` is a number.
{returned}
Raises
------
TypeError, ValueError
    For arguments that are not allowed; nothing is changed then.
"""
RETURNED = """
Returns
-------
{0} : float
    For the keyword `{0}` of the next step.
"""


def _states(name: str, states: tuple[Any, ...], due: list[str], p: Any) -> list[Any]:
    if len(states) != len(due):
        listed = ", ".join(due) or "none"
        raise TypeError(f"{name}: {len(states)} state arrays given; due are {len(due)}: {listed}")
    views = []
    for state_name, state in zip(due, states, strict=True):
        arrays.as_parameter(state_name, state)
        views.append(arrays.as_gradient(state_name, state, p, "what began as np.zeros_like(p)"))
    return views


def _start(name: str, rule: str, t: int, product: Any) -> float:
    """What the rule carries beside its arrays, before step t."""
    if not RULES[rule][3]:
        if product is not None:
            raise TypeError(f"{name}: 'mu_product' is not one of its keywords")
        return 0.0
    if product is None and t > 1:
        raise TypeError(f"{name}: mu_product is missing: what the step before returned")
    return 1.0 if product is None else check.number("mu_product", product, at_least=0, at_most=1)


def _function(cls: type[Optimizer]) -> Callable[..., float | None]:
    name = cls.__name__.lower()
    keywords = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for key, parameter in inspect.signature(cls.__init__).parameters.items()
        if key not in ("self", "params", "initial_accumulator_value", "ema_decay")
    ]
    defaults: dict[str, Any] = {k.name: k.default for k in keywords if k.default is not k.empty}
    defaults["ema_decay"] = None
    if "initial_accumulator_value" in cls.checks:
        defaults["initial_accumulator_value"] = 0.0

    def function(
        p: Any, g: Any, /, *states: Any, step: int, mu_product: Any = None, **hyper: Any
    ) -> float | None:
        unknown = sorted(set(hyper) - {keyword.name for keyword in keywords})
        if unknown:
            raise TypeError(f"{name}: {unknown[0]!r} is not one of its keywords")
        values = {**defaults, **hyper}
        if "lr" not in values:
            raise TypeError(f"{name}: lr is missing")
        values = cls._check(values)
        if callable(values["lr"]):
            raise TypeError("lr: a callable; a function takes the number of this step")
        _, _, due, scalar = RULES[rule := cls.variant(values)]
        t = check.integer("step", step, at_least=1, at_most=2**53)
        start = _start(name, rule, t, mu_product)
        theta = arrays.as_parameter("p", p)
        check_rounding(cls.checks, values, [theta.dtype])
        views = _states(name, states, due, theta)
        gradient = arrays.as_gradient("g", g, theta)
        backend = devices.backend_of([theta], ["p"])
        pair = backend.find_overlap([theta, gradient, *views])
        if pair is not None:
            first, second = (["p", "g", *due][i] for i in sorted(pair))
            raise ValueError(f"{second}: shares memory with {first}")
        plan = backend.plan()
        plan.add_group(*group_arguments(rule, values))
        plan.add_tensor(0, theta, views, None, t - 1, start)
        plan.step_plain((gradient,))
        return plan.tensor_scalar(0) if scalar else None

    _dress(function, cls, name, keywords)
    return function


def _dress(function: Any, cls: type[Optimizer], name: str, keywords: list[Any]) -> None:
    """Name, signature and docstring, as if written by hand."""
    P = inspect.Parameter
    front = [P("p", P.POSITIONAL_ONLY), P("g", P.POSITIONAL_ONLY), P("states", P.VAR_POSITIONAL)]
    step, carried = P("step", P.KEYWORD_ONLY), []
    if scalar := RULES[name][3]:
        carried = [P(scalar, P.KEYWORD_ONLY, default=None)]
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__signature__ = inspect.Signature([*front, step, *keywords, *carried])
    function.__doc__ = DOCUMENTED.format(
        cls=cls.__name__,
        states=", ".join(RULES[name][2]) or "none",
        returned=RETURNED.format(scalar) if scalar else "",
    )


_FUNCTIONS = {name.lower(): _function(getattr(rules, name)) for name in rules.__all__}
globals().update(_FUNCTIONS)


def __getattr__(name: str) -> Callable[..., float | None]:  # to type checkers, the functions' type
    raise AttributeError(f"module 'steepest.functional' has no attribute {name!r}")
