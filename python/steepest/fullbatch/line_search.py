"""`line_search`: a search that stands alone, along a line of a function of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from steepest import check
from steepest.fullbatch.arrays import Array, copied, namespace, scalar, start_point, vector
from steepest.fullbatch.search import UNBOUNDED, End, Trial, explain
from steepest.fullbatch.searches.armijo import armijo
from steepest.fullbatch.searches.exact import exact
from steepest.fullbatch.searches.wolfe import wolfe

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult


def line_search(
    fun: Callable[[Array], Any],
    jac: Callable[[Array], Array] | None,
    x: Array,
    direction: Array,
    *,
    rule: str = "wolfe",
    f0: float | None = None,
    g0: Array | None = None,
    step: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> OptimizeResult:
    """Find a step α > 0 along a direction d of descent from x.

    - "wolfe": the strong Wolfe conditions, φ(α) ≤ φ(0) + c₁ α φ'(0) and |φ'(α)| ≤ c₂ |φ'(0)|, with
      φ(α) = fun(x + α d), by the search of Moré & Thuente (1994, ACM TOMS 20, 286-307). It
      interpolates slopes as well as values, which saves trials where gradients are cheap. Where φ
      changes by no more than rounding, φ'(α) ≤ (2c₁-1) φ'(0) replaces the first condition; if
      rounding hides the fall that is due, changes a hundred times as large count as rounding, too.
      `minimize` takes the weak conditions: φ'(α) ≥ c₂ φ'(0) replaces the second, which may not
      hold past a kink.
    - "armijo": the first of the two conditions, by backtracking from `step` (Armijo 1966): each
      step goes to the minimizer of a parabola or cubic through the last trials, within 0.1 to 0.5
      of the step before.
    - "exact": a minimizer of φ, by Brent's method (1973) on a bracket.

    Parameters
    ----------
    fun : callable
        fun(x) -> f. x is a copy that fun may overwrite. Return inf or NaN outside the domain, and
        -inf where f is unbounded below.
    jac : callable or None
        jac(x) -> the gradient; "armijo" needs it only for `g0`, "exact" not at all.
    x, direction : array, shape (n,)
        NumPy or CuPy; computed in float32 if x is float32, else in float64.
    rule : {"wolfe", "armijo", "exact"}
        What to look for.
    f0, g0 : float and array, optional
        fun(x) and jac(x) where they are known; else they are evaluated.
    step : float
        The first step tried.
    c1, c2 : float
        0 < c1 < c2 < 1; c2 is for "wolfe" alone.

    Returns
    -------
    OptimizeResult
        step, fun, jac (None unless it was evaluated there), nfev, njev, success, message. Without
        success, step is that of the lowest trial found, or 0 if none is below fun(x).

    Raises
    ------
    TypeError, ValueError
        For arguments, or answers of fun and jac, of a wrong kind, shape or value; if fun(x) is not
        finite; if the direction is not one of descent ("exact" without a gradient does not check).

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> fun, jac = lambda x: (x**2).sum(), lambda x: 2 * x
    >>> x = np.array([3.0, 4.0])
    >>> res = st.line_search(fun, jac, x, -jac(x), rule="exact")
    >>> res.success, round(res.step, 6)
    (True, 0.5)
    """
    line = Line(fun, jac, x, direction)
    check.choice("rule", rule, ("wolfe", "armijo", "exact"))
    step = check.number("step", step, above=0)
    c1 = check.number("c1", c1, above=0, below=1)
    if rule == "wolfe":
        c2 = check.number("c2", c2, above=0, below=1)
        if not c1 < c2:
            raise ValueError(f"c1, c2: {c1:g}, {c2:g}; expected c1 < c2")
    f0, slope0 = line.start(rule, f0, g0)
    if rule == "wolfe":
        search = wolfe(f0, slope0, step, c1=c1, c2=c2, roundoff=line.roundoff)
    elif rule == "armijo":
        search = armijo(f0, slope0, step, c1=c1, roundoff=line.roundoff)
    else:
        search = exact(f0, slope0, step, roundoff=line.roundoff)
    told: list[Trial] = []
    step = next(search)
    end: End | None = None
    while end is None:
        told.append(line.trial(step, slopes=rule == "wolfe"))
        if told[-1].f == -math.inf:
            end = End(step, UNBOUNDED)
            break
        try:  # no StopIteration of the user's functions
            step = search.send(told[-1][1:])
        except StopIteration as stop:
            end = stop.value
    return line.result(end, told, f0, slope0)


class Line:
    """φ(α) = fun(x + α d), counted, with the gradient of its lowest trial."""

    def __init__(self, fun: Any, jac: Any, x: Array, direction: Array) -> None:
        check.function("fun", fun)
        if jac is not None and not callable(jac):
            raise TypeError(f"jac: {check.seen(jac)}; expected a callable or None")
        self._fun, self._jac = fun, jac
        self._x = start_point("x", x)
        self._d = vector("direction", direction, self._x)
        self._xp = namespace(self._x)
        if not bool(self._xp.all(self._xp.isfinite(self._d))):
            raise ValueError("direction: an element is not finite; expected finite directions")
        self.roundoff = float(self._xp.finfo(self._x.dtype).eps) / 2
        self._gradients: dict[float, Array] = {}  # by step: of the last and the lowest trial
        self._lowest = Trial(0.0, math.inf, math.nan)
        self.nfev = self.njev = 0

    def start(self, rule: str, f0: Any, g0: Array | None) -> tuple[float, float]:
        """φ(0) and φ'(0)."""
        f0 = self._value(0.0) if f0 is None else scalar("f0", f0)
        if not math.isfinite(f0):
            raise ValueError(f"f0: the objective is {f0} at x; expected a finite value")
        if rule == "exact" and g0 is None and self._jac is None:
            return f0, math.nan
        if g0 is None:
            if self._jac is None:
                raise ValueError(f"jac, g0: rule {rule!r} needs the gradient at x; give one")
            g0 = self._gradient(0.0)
        slope0 = self._slope(vector("g0", g0, self._x))
        if rule == "wolfe" and self._jac is None:
            raise ValueError("jac: rule 'wolfe' needs slopes; expected a callable")
        if not -math.inf < slope0 < 0:
            raise ValueError(
                f"direction: the slope along it is {slope0:g}; expected a direction of descent"
            )
        return f0, slope0

    def trial(self, step: float, slopes: bool) -> Trial:
        """φ at a step, with φ' if it is asked for and φ is finite."""
        f, slope = self._value(step), math.nan
        if slopes and math.isfinite(f):
            g = self._gradient(step)
            slope = self._slope(g)
            self._keep(Trial(step, f, slope), g)
        return Trial(step, f, slope)

    def _keep(self, at: Trial, g: Array) -> None:
        self._lowest = min(self._lowest, at, key=lambda trial: trial.f)
        kept = self._gradients.get(self._lowest.step)
        self._gradients = {at.step: g}
        if kept is not None:
            self._gradients[self._lowest.step] = kept

    def result(self, end: End, told: list[Trial], f0: float, slope0: float) -> OptimizeResult:
        from scipy.optimize import OptimizeResult

        f, message = f0, end.failure or "the conditions hold"
        for at in told:
            f = at.f if at.step == end.step else f
        if end.step == 0 and math.isfinite(slope0):
            known = [at._replace(slope=slope0) for at in told]
            message = explain(known, f0, slope0, self.roundoff, "step")
        return OptimizeResult(
            step=end.step,
            fun=f,
            jac=self._gradients.get(end.step),
            nfev=self.nfev,
            njev=self.njev,
            success=end.failure is None,
            message=message,
        )

    def _point(self, step: float) -> Array:
        return self._x + step * self._d

    def _value(self, step: float) -> float:
        self.nfev += 1
        return scalar("fun(x)", self._fun(self._point(step)))

    def _gradient(self, step: float) -> Array:
        self.njev += 1
        return copied(vector("jac(x)", self._jac(self._point(step)), self._x))

    def _slope(self, g: Array) -> float:
        return float(self._xp.sum(g * self._d))
