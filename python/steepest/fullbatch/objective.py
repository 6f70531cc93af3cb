"""The user's function and derivatives, called on copies, their answers checked and counted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from steepest import check
from steepest.fullbatch.arrays import Array, copied, namespace, rounding, scalar, vector
from steepest.fullbatch.minimizer import Minimizer

DIFFERENCES = ("2-point", "3-point", "cs")


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
        self._rounding = 0.0  # of the value that fun gave last, where coarser than float64's

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
        self.njev += 1
        if self._jac is True:
            self.nfev += 1
            f, g = pair(self._fun(x, *self.args))
            return scalar("fun(x)[0]", f), vector("fun(x)[1]", g, self._like)
        f = self.value(copied(x))
        if callable(self._jac):
            return f, vector("jac(x)", self._jac(x, *self.args), self._like)
        return f, self._by_differences(x, f)

    def _by_differences(self, x: Array, f: float) -> Array:
        """Forward, central or complex-step differences, with steps inside the bounds.

        The step is a power of the unit roundoff times max(1, |xᵢ|), as SciPy's minimizers have it:
        1/2 for 2-point and the complex step, 1/3 for 3-point. The roundoff is that of x or of f,
        whichever is the coarser: what a float32 f answers to float64's steps is noise, or 0.
        """
        xp = namespace(x)
        if not math.isfinite(f):
            return xp.full_like(x, math.nan)
        g = xp.zeros_like(x)
        coarser = max(float(xp.finfo(x.dtype).eps), self._rounding)
        unit = coarser ** (1 / 3 if self._jac == "3-point" else 1 / 2)
        for i in range(x.shape[0]):
            at = float(x[i])
            h = unit * max(1.0, abs(at))
            g[i] = self._derivative(x, f, i, at, h)
        return g

    def _derivative(self, x: Array, f: float, i: int, at: float, h: float) -> float:
        def moved(by: float) -> tuple[float, float]:
            """f with xᵢ moved, and the step as it was rounded."""
            y = copied(x)
            y[i] = at + by
            step = float(y[i]) - at  # before y is the function's
            return self.value(y), step

        if self._jac == "cs":
            return self._complex_step(x, i, h)
        below, above = -math.inf, math.inf
        if self._box is not None:
            below, above = float(self._box.lower[i]) - at, float(self._box.upper[i]) - at
        if self._jac == "3-point" and below <= -h and h <= above:
            (high, up), (low, down) = moved(h), moved(-h)
            return (high - low) / (up - down)
        if above < h:  # no room above: step down, or as far as there is room
            h = -h if below <= -h else max(below, above, key=abs)
        if h == 0:
            return 0.0  # a fixed variable
        value, step = moved(h)
        return (value - f) / step

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


def pair(answer: Any) -> tuple[Any, Any]:
    """What `fun` returned with jac=True."""
    try:
        f, g = answer
    except (TypeError, ValueError):
        kind = check.kind(answer)
        raise TypeError(f"fun(x): {kind}; with jac=True allowed is a pair (f, g)") from None
    return f, g
