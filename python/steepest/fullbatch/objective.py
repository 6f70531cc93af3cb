"""The user's function and derivatives, called on copies, their answers checked and counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import device

from steepest import check
from steepest.fullbatch.arrays import Array, coarse_eps, copied, namespace, scalar, vector
from steepest.fullbatch.differences import NOISE_FLOOR, Differences, ends, fitting, step_unit
from steepest.fullbatch.minimizer import Minimizer

DIFFERENCES = ("2-point", "3-point", "cs")
OF_GRADIENTS = ("2-point", "3-point")
TINY = 1e-30  # a complex step in proportion to a smaller |xᵢ| would be lost


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
                f"jac: {check.shown(jac)} is not allowed; expected a callable, True, or one of "
                "'2-point', '3-point', 'cs'"
            )
        self._fun, self._jac = fun, jac
        by_values = isinstance(jac, str) and jac != "cs"
        self._like, self._box = solver._like, solver.box
        # The rounding unit, twice the unit roundoff that runs and searches go by.
        self.eps = float(namespace(self._like).finfo(self._like.dtype).eps)
        self.differences = Differences(jac, self.eps, solver.box) if by_values else None
        self.args = args if isinstance(args, tuple) else (args,)
        self.nfev = self.njev = 0
        self._dtype_of_g: Any = None  # of the last gradient, as it came
        self._largest_g = 0.0  # the largest |gᵢ| where Hessians were taken

    @property
    def by_differences(self) -> bool:
        """Whether the gradient comes from values of `fun`."""
        return isinstance(self._jac, str)

    def sharpen(self, x: Array, f: float, fall: float) -> bool:
        """`Differences.sharpen` at x, the best point, where fun is f."""
        assert self.differences is not None
        return self.differences.sharpen(self.value, x, f, fall)

    def value(self, x: Array) -> float:
        """f(x); x is the function's own."""
        self.nfev += 1
        f = self._fun(x, *self.args)
        if isinstance(f, tuple):
            raise TypeError("fun(x): returned a tuple; for (f, g) pass jac=True")
        return scalar("fun(x)", f)

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """f(x) and its gradient; x is the functions' own."""
        if self._jac is not True:
            f = self.value(copied(x))
            return f, self._gradient(x, f)
        self.nfev += 1
        f, g = pair(self._fun(x, *self.args))
        return scalar("fun(x)[0]", f), self._told("fun(x)[1]", g)

    def value_then_gradient(self, x: Array) -> tuple[float, Array | Callable[[Array], Array]]:
        """f(x), and its gradient as a callable where `fun` does not give both."""
        if self._jac is True:
            return self.value_and_gradient(x)
        f = self.value(x)
        return f, lambda at: self._gradient(at, f)

    def _gradient(self, x: Array, f: float) -> Array:
        """The gradient at x, where fun is f."""
        if callable(self._jac):
            return self._told("jac(x)", self._jac(x, *self.args))
        self.njev += 1
        return self._by_differences(x, f)

    def _told(self, name: str, g: Any) -> Array:
        self.njev += 1
        self._dtype_of_g = getattr(g, "dtype", None)
        return vector(name, g, self._like)

    def hessian(self, x: Array, g: Array, scheme: str) -> Array:
        """The Hessian at x by differences of the gradient, which is g there."""

        def gradient(y: Array) -> Array:
            if self._jac is True:
                return copied(self.value_and_gradient(y)[1])  # it may come in a buffer
            return copied(self._told("jac(x)", self._jac(y, *self.args)))

        xp = namespace(x)
        h = xp.zeros((x.shape[0], x.shape[0]), dtype=x.dtype, device=device(x))
        eps = max(self.eps, coarse_eps(self._dtype_of_g))
        unit = step_unit(scheme, eps)
        self._largest_g = max(self._largest_g, float(xp.max(xp.abs(g))))
        hidden = NOISE_FLOOR * eps * self._largest_g
        for i in range(x.shape[0]):
            size = abs(float(x[i]))
            usual = unit * max(1.0, size)
            h_i = fitting(usual, size)
            change, step = difference(ends(gradient, x, g, i, h_i, scheme, self._box))
            if h_i < usual and bool(xp.all(xp.abs(change) <= hidden)):  # xᵢ is small by chance
                change, step = difference(ends(gradient, x, g, i, usual, scheme, self._box))
            if step:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    h[i, ...] = change / step
        with np.errstate(over="ignore", invalid="ignore"):
            return (h + h.T) / 2

    def _by_differences(self, x: Array, f: float) -> Array:
        if not math.isfinite(f):
            return namespace(x).full_like(x, math.nan)
        if self.differences is not None:
            return self.differences.gradient(self.value, x, f)
        g = namespace(x).zeros_like(x)
        unit = step_unit("cs", self.eps)
        for i in range(x.shape[0]):
            size = abs(float(x[i]))
            g[i] = self._complex_step(x, i, unit * (size if size > TINY else 1.0))
        return g

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


def difference(found: tuple[Array, Array, float]) -> tuple[Array, float]:
    """high - low, of what `ends` has found, and the step."""
    high, low, step = found
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return high - low, step


def pair(answer: Any) -> tuple[Any, Any]:
    """What `fun` returned with jac=True."""
    try:
        f, g = answer
    except (TypeError, ValueError):
        got = check.got(answer)
        raise TypeError(f"fun(x): {got}; with jac=True expected a pair (f, g)") from None
    return f, g
