"""Bounds by two-metric projection.

Bertsekas 1982, Projected Newton methods for optimization problems with simple constraints (SIAM J.
Control Optim. 20, 221-246): the variables that are at a bound and pushed against it take a gradient
step, the others a quasi-Newton step of their own, and the search follows the projected path.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from steepest import check
from steepest.arrays import floats
from steepest.fullbatch.arrays import Array, from_host, namespace

NEAR = 1e-3  # how near to a bound counts as at it, in widths of the box


class Box:
    """lower ≤ x ≤ upper, arrays like x."""

    def __init__(self, lower: Array, upper: Array) -> None:
        xp = namespace(lower)
        self._xp, self.lower, self.upper = xp, lower, upper
        self.zero = xp.zeros_like(lower)
        with np.errstate(over="ignore"):
            width = upper - lower
        finite = xp.isfinite(width)
        self.closed = bool(xp.all(finite))  # every variable has both bounds
        size = 1 + xp.minimum(xp.abs(lower), xp.abs(upper))
        self.near = NEAR * xp.where(finite, xp.minimum(width, size), size)
        fixed = lower == upper
        self._fixed = fixed if bool(xp.any(fixed)) else None  # as in most boxes

    def __reduce__(self) -> tuple[Any, ...]:
        return Box, (self.lower, self.upper)  # a namespace cannot be pickled

    def project(self, x: Array) -> Array:
        """The point of the box nearest to x."""
        return self._xp.minimum(self._xp.maximum(x, self.lower), self.upper)

    def known_gradient(self, g: Array) -> Array:
        """The gradient, 0 for fixed variables where it is not finite: it does not count there."""
        if self._fixed is None:
            return g
        return self._xp.where(self._fixed & ~self._xp.isfinite(g), self.zero, g)

    def projected_gradient(self, x: Array, g: Array) -> Array:
        """The projected gradient x - P(x - g): zero where first-order conditions hold. x - g itself
        would lose a g that is far smaller than x."""
        return self._xp.minimum(self._xp.maximum(g, x - self.upper), x - self.lower)

    def free(self, x: Array, g: Array, step: Array) -> Array:
        """Which variables are not held: the complement of Bertsekas's set I⁺ (eq. 32). One is held
        if g pushes it towards a bound that is near, and no farther away than `step` is long."""
        xp = self._xp
        near = xp.minimum(self.near, xp.abs(step))
        at_lower = (x <= self.lower + near) & (g > 0)
        at_upper = (x >= self.upper - near) & (g < 0)
        held = at_lower | at_upper
        return ~(held if self._fixed is None else held | self._fixed)

    def step_held(self, x: Array, direction: Array, free: Array) -> Array:
        """The direction, cut for the held variables so that a full step stays inside."""
        return self._xp.where(free, direction, self.project(x + direction) - x)

    def slope(self, x: Array, direction: Array, step: float, g: Array) -> float:
        """The derivative of f(P(x + α d)) by α: a variable that is clipped does not move."""
        xp = self._xp
        point = x + step * direction
        moving = (point >= self.lower) & (point <= self.upper)
        return float(xp.sum(xp.where(moving, g * direction, self.zero)))


def box_of(bounds: Any, x0: Array) -> Box | None:
    """The box of `bounds`, as SciPy takes them: a `Bounds`, or n pairs (low, high)."""
    if bounds is None:
        return None
    n = x0.shape[0]
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        low, high = bounds.lb, bounds.ub
    else:
        low, high = of_pairs(bounds, n)
    try:
        sides = [floats(v) for v in (low, high)]
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"bounds: {check.shown(bounds)}; expected numbers or None") from None
    try:
        lower, upper = (np.broadcast_to(side, n).copy() for side in sides)  # PyTorch warns of views
    except ValueError:
        shapes = " and ".join(str(np.shape(v)) for v in (low, high))
        raise ValueError(
            f"bounds: shapes {shapes}; expected {n} lower and {n} upper bounds"
        ) from None
    right = (lower <= upper) & (lower < np.inf) & (upper > -np.inf)
    if np.count_nonzero(right) < n:
        i = int(np.argmin(right))
        raise ValueError(
            f"bounds[{i}]: lower {lower[i]:g} and upper {upper[i]:g}; expected lower <= upper, "
            "with a number in between"
        )
    with np.errstate(over="ignore"):  # beyond float32 there is no bound
        return Box(from_host(lower, x0), from_host(upper, x0))


def of_pairs(bounds: Any, n: int) -> tuple[list[Any], list[Any]]:
    """The lower and the upper bounds of n pairs, in which None stands for no bound."""
    allowed = f"expected a scipy.optimize.Bounds or {n} pairs (low, high), one for each element"
    try:
        pairs = [tuple(pair) for pair in bounds]
    except TypeError:
        raise TypeError(f"bounds: {check.shown(bounds)}; {allowed}") from None
    if len(pairs) != n:
        raise ValueError(f"bounds: {len(pairs)} entries; {allowed} of x0")
    for i, pair in enumerate(pairs):
        if len(pair) != 2:
            raise ValueError(f"bounds[{i}]: {check.shown(pair)}; expected a pair (low, high)")
    low = [-np.inf if a is None else a for a, _ in pairs]
    high = [np.inf if b is None else b for _, b in pairs]
    return low, high
