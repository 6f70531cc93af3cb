"""Learning rates that change with the step: callables ``schedule(step) -> float``.

A schedule goes where a number goes: ``st.Adam(params, lr=st.schedules.cosine(1e-3, 1000))``. The
optimizer calls it with the number of earlier calls to ``step``, 0 the first time. PyTorch's are
often advanced once an epoch instead: with n steps an epoch, multiply lengths by n, or let ``lr`` be
``lambda k: schedule(k // n)``. Any such callable will do: ``lambda k: 1e-3 * max(0, 1 - k / 1000)``
falls linearly, also after a `linear_warmup`. Those of this module are frozen dataclasses, written
in lower case because they are used like functions: they compare, hash, pickle and print. The rate
of the next step is ``opt.lr(opt.step_count + opt.skipped)``. Powers and cosines come from the C
library, whose last bit may differ between machines.

>>> import steepest as st
>>> warm = st.schedules.linear_warmup(st.schedules.exponential(0.1, 0.5), steps=2)
>>> [warm(k) for k in range(5)]
[0.0, 0.05, 0.1, 0.05, 0.025]
>>> warm
linear_warmup(after=exponential(lr=0.1, gamma=0.5), steps=2, start=0.0)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from steepest import check

__all__ = [
    "constant",
    "cosine",
    "exponential",
    "inverse_time",
    "linear_warmup",
    "one_cycle",
    "robbins_monro",
    "step",
]


class Schedule:
    """What all schedules share: the check of the step, and fields set once."""

    def __call__(self, step: int) -> float:
        """The learning rate after ``step`` earlier steps; `step` is a whole number from 0."""
        return self._at(_count("step", step, 0))

    def _at(self, k: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} defines no _at")

    def _set(self, **checked: Any) -> None:
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # the dataclasses are frozen


def _rate(name: str, value: Any) -> float:
    return check.number(name, value, at_least=0)


def _count(name: str, value: Any, at_least: int) -> int:
    """A number of steps; beyond 2⁵³ they cannot be told apart as floats."""
    return check.integer(name, value, at_least=at_least, at_most=2**53)


@dataclass(frozen=True)
class constant(Schedule):
    """The same learning rate at every step: αₖ = lr.

    Parameters
    ----------
    lr : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> st.schedules.constant(0.1)(1_000_000)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        self._set(lr=_rate("lr", self.lr))

    def _at(self, k: int) -> float:
        return self.lr


@dataclass(frozen=True)
class robbins_monro(Schedule):
    """A rate under which stochastic gradient descent converges: αₖ = lr / (1 + k/scale)^power.

    For 1/2 < power ≤ 1 it meets the two conditions of Robbins & Monro 1951 (Annals of
    Mathematical Statistics 22, 400-407): Σ αₖ = ∞, so that every point can be reached, and
    Σ αₖ² < ∞, so that the noise dies out. Other powers are an error.

    Parameters
    ----------
    lr : float
        Rate of the first step, at least 0.
    power : float
        Above 0.5, at most 1.
    scale : float
        Number of steps after which the rate has fallen to lr/2^power; above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> schedule = st.schedules.robbins_monro(0.5, power=1.0, scale=10)
    >>> schedule(0), schedule(10), schedule(90)
    (0.5, 0.25, 0.05)
    """

    lr: float
    power: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        self._set(
            lr=_rate("lr", self.lr),
            power=check.number("power", self.power, above=0.5, at_most=1),
            scale=check.number("scale", self.scale, above=0),
        )

    def _at(self, k: int) -> float:
        return float(self.lr / (1 + k / self.scale) ** self.power)


@dataclass(frozen=True)
class inverse_time(Schedule):
    """Decay inversely with time: αₖ = lr / (1 + decay·k).

    The `lr_decay` of Adagrad, written as a schedule; Bottou 2012, Stochastic gradient descent
    tricks, section 5.2, with decay = lr·λ.

    Parameters
    ----------
    lr : float
        Rate of the first step, at least 0.
    decay : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> schedule = st.schedules.inverse_time(1.0, decay=0.5)
    >>> schedule(0), schedule(2), schedule(6)
    (1.0, 0.5, 0.25)
    """

    lr: float
    decay: float

    def __post_init__(self) -> None:
        self._set(lr=_rate("lr", self.lr), decay=check.number("decay", self.decay, at_least=0))

    def _at(self, k: int) -> float:
        return self.lr / (1 + self.decay * k)


@dataclass(frozen=True)
class step(Schedule):
    """A staircase: αₖ = lr · gamma^⌊k/step_size⌋. PyTorch's StepLR.

    Parameters
    ----------
    lr : float
        Rate of the first step, at least 0.
    step_size : int
        Steps between two drops, at least 1.
    gamma : float
        Factor of each drop, above 0; above 1 the rate rises.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> schedule = st.schedules.step(0.4, step_size=100, gamma=0.5)
    >>> schedule(99), schedule(100), schedule(200)
    (0.4, 0.2, 0.1)
    """

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._set(
            lr=_rate("lr", self.lr),
            step_size=_count("step_size", self.step_size, 1),
            gamma=check.number("gamma", self.gamma, above=0),
        )

    def _at(self, k: int) -> float:
        return _geometric(self.lr, self.gamma, k // self.step_size)


@dataclass(frozen=True)
class exponential(Schedule):
    """Exponential decay: αₖ = lr · gamma^k. PyTorch's ExponentialLR.

    Parameters
    ----------
    lr : float
        Rate of the first step, at least 0.
    gamma : float
        Factor per step, above 0; above 1 the rate rises, say to find the largest useful one.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a number or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> st.schedules.exponential(8.0, gamma=0.5)(3)
    1.0
    """

    lr: float
    gamma: float

    def __post_init__(self) -> None:
        self._set(lr=_rate("lr", self.lr), gamma=check.number("gamma", self.gamma, above=0))

    def _at(self, k: int) -> float:
        return _geometric(self.lr, self.gamma, k)


@dataclass(frozen=True)
class cosine(Schedule):
    """Half a cosine from lr down to lr_min, and lr_min from then on.

    αₖ = lr_min + (lr − lr_min)(1 + cos(πk/steps))/2 for k < steps. Loshchilov & Hutter 2017,
    SGDR (arXiv:1608.03983), equation 5, one period; PyTorch's CosineAnnealingLR, except that
    PyTorch climbs again after `steps`.

    Parameters
    ----------
    lr : float
        Rate of the first step, at least 0.
    steps : int
        Length of the descent, at least 1.
    lr_min : float
        Where it ends; at least 0, at most `lr`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> schedule = st.schedules.cosine(0.2, steps=100)
    >>> schedule(0), round(schedule(50), 6), schedule(100), schedule(500)
    (0.2, 0.1, 0.0, 0.0)
    """

    lr: float
    steps: int
    lr_min: float = 0.0

    def __post_init__(self) -> None:
        lr = _rate("lr", self.lr)
        self._set(
            lr=lr,
            steps=_count("steps", self.steps, 1),
            lr_min=check.number("lr_min", self.lr_min, at_least=0, at_most=lr),
        )

    def _at(self, k: int) -> float:
        return _cosine_between(self.lr, self.lr_min, k / self.steps)


@dataclass(frozen=True)
class linear_warmup(Schedule):
    """A linear climb to another schedule, which then runs from its own step 0.

    αₖ = after(0) · (start + (1 − start)·k/steps) for k < steps; after(k − steps) from then on.
    The gradual warmup of Goyal et al. 2017 (arXiv:1706.02677), section 2.2.

    Parameters
    ----------
    after : float or callable(step) -> float
        A number stands for `constant`.
    steps : int
        Length of the climb, at least 0.
    start : float
        Fraction of after(0) at the first step; at least 0, at most 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> schedule = st.schedules.linear_warmup(0.8, steps=4)
    >>> schedule(0), schedule(1), schedule(2), schedule(4), schedule(99)
    (0.0, 0.2, 0.4, 0.8, 0.8)
    """

    after: float | Callable[[int], float]
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.after, type):
            name = self.after.__name__
            raise TypeError(f"after: {name} is a class; expected a schedule, such as {name}(...)")
        self._set(
            after=self.after if callable(self.after) else constant(_rate("after", self.after)),
            steps=_count("steps", self.steps, 0),
            start=check.number("start", self.start, at_least=0, at_most=1),
        )

    def _at(self, k: int) -> float:
        if k >= self.steps:
            return self._after(k - self.steps)
        return self._after(0) * (self.start + (1 - self.start) * k / self.steps)

    def _after(self, k: int) -> float:
        after = cast(Callable[[int], float], self.after)  # a number has become `constant`
        return _rate(f"after({k})", after(k))


@dataclass(frozen=True)
class one_cycle(Schedule):
    """Up to a large rate by half a cosine, then down to nearly nothing by another.

    From lr/div_factor to lr in the first `pct_start` of the steps, then to
    lr/(div_factor·final_div_factor), reached at step `steps` − 1 and kept. Smith & Topin 2018
    (arXiv:1708.07120), with the cosines and the names of PyTorch's OneCycleLR, which raises an
    error after its last step, and starts below lr if `pct_start`·`steps` < 1. Unless told not to,
    that moves the momentum, or β₁, too: from 0.95 to 0.85 while lr climbs, and back.

    Parameters
    ----------
    lr : float
        The largest rate, at least 0.
    steps : int
        Length of the cycle, at least 1.
    pct_start : float
        Fraction of the steps that climb, above 0, below 1.
    div_factor, final_div_factor : float
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> import steepest as st
    >>> schedule = st.schedules.one_cycle(
    ...     1.0, steps=101, pct_start=0.5, div_factor=10, final_div_factor=100
    ... )
    >>> [round(schedule(k), 3) for k in (0, 25, 50, 75, 100, 999)]
    [0.1, 0.557, 1.0, 0.493, 0.001, 0.001]
    """

    lr: float
    steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        self._set(
            lr=_rate("lr", self.lr),
            steps=_count("steps", self.steps, 1),
            pct_start=check.number("pct_start", self.pct_start, above=0, below=1),
            div_factor=check.number("div_factor", self.div_factor, at_least=1),
            final_div_factor=check.number("final_div_factor", self.final_div_factor, at_least=1),
        )

    def _at(self, k: int) -> float:
        first = self.lr / self.div_factor
        last, peak = self.steps - 1, max(self.pct_start * self.steps - 1, 0.0)
        if k < peak:
            return _cosine_between(first, self.lr, k / peak)
        end = first / self.final_div_factor
        return _cosine_between(self.lr, end, (k - peak) / (last - peak) if k < last else 1.0)


def __dir__() -> list[str]:
    return sorted(__all__)


def _geometric(lr: float, gamma: float, k: int) -> float:
    """lr · gamma^k; inf, which a step refuses, where that is too large."""
    try:
        return float(lr * gamma**k)
    except OverflowError:  # of gamma^k
        return math.inf if lr else 0.0


def _cosine_between(start: float, end: float, share: float) -> float:
    """Half a cosine from start (share 0) to end (share 1 and above)."""
    if share <= 0:
        return start
    if share >= 1:
        return end
    return end + (start - end) * ((1 + math.cos(math.pi * share)) / 2)
