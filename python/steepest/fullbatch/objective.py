"""The user's function and derivatives, called on copies, their answers checked and counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import device

from steepest import check
from steepest.fullbatch.arrays import Array, copied, namespace, rounding, scalar, vector
from steepest.fullbatch.minimizer import Minimizer

DIFFERENCES = ("2-point", "3-point", "cs")
OF_GRADIENTS = ("2-point", "3-point")


class Objective:
    """f and its gradient at a point.

    `jac` is a callable, True where `fun` returns both, or the kind of differences ("2-point" for
    None). Exceptions of the user's functions propagate.
    """

    def __init__(self, fun: Any, jac: Any, args: Any, solver: Minimizer) -> None:
        if jac is None or isinstance(jac, (bool, np.bool_)):
            jac = bool(jac) or "2-point"
        if not (callable(jac) or jac is True or (isinstance(jac, str) and jac in DIFFERENCES)):
            raise ValueError(
                f"jac: {check.shown(jac)} is not allowed; allowed is a callable, True, or one of "
                "'2-point', '3-point', 'cs'"
            )
        self._fun, self._jac = fun, jac
        self._like, self._box = solver._like, solver.box
        self.args = args if isinstance(args, tuple) else (args,)
        self.nfev = self.njev = 0
        # of the value and the gradient that came last, where coarser than float64's
        self._rounding = self._rounding_of_g = 0.0

    @property
    def by_differences(self) -> bool:
        """Whether the gradient comes from values of `fun`."""
        return isinstance(self._jac, str)

    @property
    def forward(self) -> bool:
        """Whether it comes from forward differences."""
        return self.by_differences and bool(self._jac == "2-point")

    def sharpen(self) -> None:
        """Take central differences in the place of forward ones."""
        self._jac = "3-point"

    def value(self, x: Array) -> float:
        """f(x); x is the function's own."""
        self.nfev += 1
        f = self._fun(x, *self.args)
        if isinstance(f, tuple):
            raise TypeError("fun(x): a tuple; of value and gradient, (f, g), say so by jac=True")
        self._rounding = rounding(f)
        return scalar("fun(x)", f)

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """f(x) and its gradient; x is the functions' own."""
        if self._jac is True:
            self.nfev += 1
            f, g = pair(self._fun(x, *self.args))
            return scalar("fun(x)[0]", f), self._told("fun(x)[1]", g)
        f = self.value(copied(x))
        if callable(self._jac):
            return f, self._told("jac(x)", self._jac(x, *self.args))
        self.njev += 1
        return f, self._by_differences(x, f)

    def _told(self, name: str, g: Any) -> Array:
        self.njev += 1
        self._rounding_of_g = rounding(g)
        return vector(name, g, self._like)

    def hessian(self, x: Array, g: Array, scheme: str) -> Array:
        """The Hessian at x by differences of the gradient, which is g there."""

        def gradient(y: Array) -> Array:
            if self._jac is True:
                return copied(self.value_and_gradient(y)[1])  # it may come in a buffer
            return copied(self._told("jac(x)", self._jac(y, *self.args)))

        h = namespace(x).zeros((x.shape[0], x.shape[0]), dtype=x.dtype, device=device(x))
        unit = step_unit(x, scheme, self._rounding_of_g)
        for i in range(x.shape[0]):
            high, low, step = self._ends(gradient, x, g, i, scheme, unit)
            if step:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    h[i, ...] = (high - low) / step
        with np.errstate(over="ignore", invalid="ignore"):
            return (h + h.T) / 2

    def _by_differences(self, x: Array, f: float) -> Array:
        xp = namespace(x)
        if not math.isfinite(f):
            return xp.full_like(x, math.nan)
        g = xp.zeros_like(x)
        unit = step_unit(x, self._jac, self._rounding)
        for i in range(x.shape[0]):
            if self._jac == "cs":
                g[i] = self._complex_step(x, i, unit * max(1.0, abs(float(x[i]))))
                continue
            high, low, step = self._ends(self.value, x, f, i, self._jac, unit)
            if step:
                g[i] = (high - low) / step
        return g

    def _ends(
        self, fun: Callable[[Array], Any], x: Array, f: Any, i: int, scheme: str, unit: float
    ) -> tuple[Any, Any, float]:
        """fun at both ends of a step along xᵢ inside the bounds, and the step; 0 if xᵢ is fixed.

        Where there is no room for a central one, it starts at x, where fun is f.
        """
        at = float(x[i])
        h = unit * max(1.0, abs(at))
        below, above = -math.inf, math.inf
        if self._box is not None:
            below, above = float(self._box.lower[i]) - at, float(self._box.upper[i]) - at
        central = scheme == "3-point" and below <= -h and h <= above
        if not central and above < h:  # no room above: step down, or as far as there is room
            h = -h if below <= -h else max(below, above, key=abs)
        if h == 0:
            return f, f, 0.0
        y, up = moved(x, i, at, h)
        high, low, down = fun(y), f, 0.0
        if central:
            y, down = moved(x, i, at, -h)
            low = fun(y)
        return high, low, up - down

    def _complex_step(self, x: Array, i: int, h: float) -> float:
        xp = namespace(x)
        y = xp.astype(x, xp.complex128 if x.dtype == xp.float64 else xp.complex64)
        y[i] = y[i] + h * 1j
        self.nfev += 1
        f = self._fun(y, *self.args)
        if "complex" not in str(getattr(f, "dtype", type(f))):
            raise TypeError(
                f"fun(x): {check.shown(f)} is real at a complex x, so its derivative by 'cs' is "
                "lost; use '2-point' or '3-point'"
            )
        return float(complex(f).imag) / h


def step_unit(x: Array, scheme: str, roundoff: float) -> float:
    """The length of difference steps over max(1, |xᵢ|), as SciPy's minimizers have it.

    A power of the unit roundoff: 1/2 for 2-point and the complex step, 1/3 for 3-point. The
    roundoff is that of x or of the values, whichever is the coarser: what a float32 f answers to
    float64's steps is noise, or 0.
    """
    coarser = max(float(namespace(x).finfo(x.dtype).eps), roundoff)
    return float(coarser ** (1 / 3 if scheme == "3-point" else 1 / 2))


def moved(x: Array, i: int, at: float, by: float) -> tuple[Array, float]:
    """A copy of x with xᵢ moved, and the step as it was rounded."""
    y = copied(x)
    y[i] = at + by
    return y, float(y[i]) - at


def pair(answer: Any) -> tuple[Any, Any]:
    """What `fun` returned with jac=True."""
    try:
        f, g = answer
    except (TypeError, ValueError):
        kind = check.kind(answer)
        raise TypeError(f"fun(x): {kind}; with jac=True allowed is a pair (f, g)") from None
    return f, g
