"""Jacobians by finite differences, with steps that fit the scale of each parameter.

A step is √ε·|x| (2-point) or ε^(1/3)·|x| (3-point): in proportion to the parameter, however small.
√ε·max(1, |x|), a common choice, is far too long for parameters far below 1 (NIST Hahn1 has 1e-7).
But where x is near zero by chance, not by its unit, rounding would dominate the column. So |x|
counts as no less than it has been before, up to what changes a residual by a hundredth of the
largest so far. And where rounding hides what a step does, the column is taken again by max(1, |x|).

A forward difference is wrong by √ε and more, as the residuals' rounding may be large beside the
parameter's share in them. Once the gradient has come down to such errors, "2-point" continues with
central differences (Gill, Murray and Wright, Practical Optimization, 1981, section 8.6); otherwise
they would show in the answer. Where a step from the last forward ones fails, the solver asks for
central ones at the same point.

Residuals may have more noise than their dtype's rounding: those of a simulator with a tolerance, or
of a model in float32. The differences are then noise, too. So at the first step that does not do as
predicted, and after three failed steps from one point, the linear model is tested, by an evaluation
at half the difference steps in all parameters. Where it is wrong, three more evaluations tell noise
from curvature (noise.hpp), and the noise replaces ε. Where a step changes no residual, longer ones
tell whether it should have: rounding to float or half is noise, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steepest.nlls import arrays
from steepest.nlls.arrays import Array, as_array, as_float64, namespace, residual, rounding, to_host

Fun = Callable[[Array], Any]
# A column, the largest change of f, where f lives, and the step that was taken after rounding.
Column = tuple[Array, Any, float]

# A difference below so many rounding units of the residuals is noise.
_NOISE = 64
# Of the largest residual: a parameter that changes none by this much is near zero by chance.
_NOTICED = 1e-2
# Of the largest |x|: what rounding may leave where a step of its size leads to 0.
_LEFT = 16
# Of the largest change by a difference: a linear model that is wrong by more is curved, or noise.
_WRONG = 1e-3
# Of the largest residual: more noise counts as this.
_MOST_NOISE = 1e-2


def precision(f: Any, x: Array) -> float:
    """The rounding unit of f, computed from x."""
    return max(rounding(f), float(np.finfo(x.dtype).eps))


def relative_steps(diff_step: Any, n: int) -> Array | None:
    """SciPy's `diff_step`, steps over |x|, as n numbers."""
    if diff_step is None:
        return None
    steps = as_float64("diff_step", diff_step)
    if not np.isfinite(steps).all():
        raise ValueError(f"diff_step: {diff_step!r}; expected finite numbers")
    if steps.shape not in ((), (1,), (n,)):
        raise ValueError(f"diff_step: shape {steps.shape}; expected a number or ({n},)")
    return np.full(n, steps)


class Differences:
    """Jacobians of fun by `scheme`: "2-point", "3-point" or "cs" (complex step).

    `rel_step` (SciPy's `diff_step`): step over |x|, one number or one a parameter.
    """

    def __init__(
        self, fun: Fun, scheme: str, rel_step: Any, lower: Array | None, upper: Array | None
    ) -> None:
        self.fun, self.scheme = fun, scheme
        self.rel_step = rel_step
        self.lower, self.upper = lower, upper
        self.central = False
        # How many steps from a Jacobian may fail before noise is looked for; 0: never.
        self.patience = int(rel_step is None and scheme != "cs")
        self.noise = 0.0  # of the residuals, as a rounding unit; 0: none was found
        self.last: tuple[Array, Array, Array]  # point, residuals and Jacobian
        self.reach = np.zeros(0)  # how large each parameter has been
        self.slope = np.zeros(0)  # the largest element of each column of the last Jacobian
        self.ahead = np.zeros(0)  # the step of each, to the side that was evaluated
        self.change = 0.0  # the largest change of a residual in the last Jacobian
        self.largest = 0.0  # of all residuals so far

    def jacobian(self, solver: Any, f: Any) -> Array | None:
        """J at the solver's point, where fun gave f; None if the last one is as good."""
        x, first = solver.point(), False
        eps, f = precision(f, x), residual(f, x.dtype).copy()
        if solver.again:  # then f is of another point
            last, f, _ = self.last
            here = np.array_equal(last, x)
            if not here:
                f = residual(self.fun(x), x.dtype).copy()
            if self.patience and here:
                first = self._find_noise(eps)
                if not first and solver.cosine > self._error(eps):
                    solver.set_accuracy(self._error(eps), columns=self._columns(eps))
                    return None
        J = self._take(solver, x, f, eps)
        poor = abs(solver.reduction - solver.predicted) > 0.25 * solver.predicted
        if solver.njev and self.patience == 1 and poor and self._find_noise(eps):
            J, first = self._take(solver, x, f, eps), True
        solver.set_accuracy(self._error(eps), self.patience, first, self._columns(eps))
        return J

    def _take(self, solver: Any, x: Array, f: Array, eps: float) -> Array:
        self.central = self.central or (solver.njev > 0 and solver.cosine <= self._error(eps))
        J = self(x, f, max(eps, self.noise))
        self.last = x, f, J
        return J

    def _error(self, eps: float) -> float:
        """The relative error of a Jacobian if central differences would make it smaller, else 0."""
        if self.central or self.scheme != "2-point" or self.rel_step is not None:
            return 0.0
        return float(_NOISE * max(eps, self.noise) ** 0.5)

    def _columns(self, eps: float) -> float:
        """About the errors of the last Jacobian's columns, over their norms."""
        eps = max(eps, self.noise)
        if self.scheme == "cs":
            return 0.0
        central = self.central or self.scheme == "3-point"
        return float(np.cbrt(eps)) ** 2 if central else float(eps**0.5)

    def _find_noise(self, eps: float) -> bool:
        """Whether the last Jacobian is noise; later ones are then by longer steps."""
        x, f, J = self.last
        self.patience = 3

        def at(quarters: int) -> Array:
            share = x.dtype.type(quarters / 4)
            point = self._inside(x + share * self.ahead.astype(x.dtype))
            told = residual(self.fun(point), x.dtype)
            return self._same(told, f).copy()

        xp = namespace(f)
        half = at(2)
        wrong = float(abs(half - f - J @ xp.asarray(self.ahead / 2, dtype=x.dtype)).max())
        if not np.isfinite(wrong) or wrong <= _WRONG * self.change:
            return False
        line = xp.stack([f, at(1), half, at(3), at(4)]).astype(float)
        second, fourth = xp.diff(line, 2, axis=0), xp.diff(line, 4, axis=0)
        bent, rough = float((second**2).mean()) / 6, float((fourth**2).mean()) / 70
        noise = rough**0.5 / self.largest if bent / 16 < rough < np.inf else 0.0
        if noise <= _NOISE * eps:
            return False
        self.noise, self.patience = min(noise, _MOST_NOISE), 0
        return True

    def __call__(self, x: Array, f: Array, eps: float) -> Array:
        """J at x, (m, n); eps: the rounding unit that f was computed with."""
        scheme = "3-point" if self.central else self.scheme
        column = {"2-point": self._forward, "3-point": self._central, "cs": self._complex}
        take, xp = column[scheme], namespace(f)
        # NumPy's cube root is that of C++; eps ** (1 / 3) differs in the last bit.
        unit = {"2-point": eps**0.5, "3-point": float(np.cbrt(eps)), "cs": eps**2}[scheme]
        J: Array = xp.empty((f.size, x.size), dtype=f.dtype, order="F")
        steps = self._steps(x, unit, central=scheme == "3-point")
        self.ahead, taken, changes = np.zeros(x.size), np.ones(x.size), np.zeros(x.size)
        learns = self.rel_step is None and scheme != "cs"
        first = self.largest == 0 and self.patience > 0
        largest = abs(f).max()
        # On the host each column is judged before the next is taken. On a device all are judged at
        # once, so that the host waits once.
        for batch in [[j] for j in range(x.size)] if xp is np else [range(x.size)]:
            told = [largest]
            for j in batch:
                J[:, j], change, taken[j] = take(x, f, j, float(steps[j]))
                told.append(change)
            if not learns:
                continue
            most, *told = map(float, told if xp is np else to_host(xp.stack(told)))
            noise = _NOISE * eps * most
            for j, change in zip(batch, told, strict=True):
                if change <= noise and abs(x[j]) < 1:
                    J[:, j], again, taken[j] = take(x, f, j, unit if x[j] >= 0 else -unit)
                    change = float(again)
                # Rounding is looked for in the first Jacobian alone: a column may have no effect.
                unseen = first and change == 0
                if unseen and self._find_rounding(take, x, f, j, abs(taken[j]), noise):
                    return self(x, f, self.noise)
                changes[j] = np.inf if np.isnan(change) else change
        if learns:
            self.slope = (changes / np.abs(taken)).astype(x.dtype)
            self.change, self.largest = float(changes.max()), max(self.largest, most)
        return J

    def _find_rounding(
        self, take: Any, x: Array, f: Array, j: int, step: float, noise: float
    ) -> bool:
        """After a step that changed no residual: whether a longer one changes them by so much that
        the short one should have shown. Then they, or x inside fun, are rounded to float or half.
        """
        ahead = self.ahead[j]
        for eps in (2.0**-23, 2.0**-10):
            h = eps**0.5 * (float(x[j]) or 1.0)
            if not abs(h) > step:
                continue
            _, longer, taken = take(x, f, j, h)
            change = float(longer)
            if np.isfinite(change) and change * step > noise * abs(taken):
                self.noise = eps
                return True
        self.ahead[j] = ahead
        return False

    def _steps(self, x: Array, default: float, central: bool) -> Array:
        """Signed steps, away from zero; SciPy's meaning of `diff_step`."""
        # In x's dtype, as C++ computes them.
        size, sign = np.abs(x), np.where(x >= 0, 1, -1).astype(x.dtype)
        default = x.dtype.type(default)
        with arrays.out_of_range():
            if not self.reach.size:
                self.reach, self.slope = np.zeros_like(x), np.zeros_like(x)
            self.reach = np.maximum(self.reach, size + (size == 0))
            if self.rel_step is None:
                noticed, known = x.dtype.type(_NOTICED) * x.dtype.type(self.largest), self.slope > 0
                scale = np.divide(noticed, self.slope, out=self.reach.copy(), where=known)
                h = default * np.maximum(size, np.minimum(self.reach, scale))
                if central:  # x - h may be out of the domain
                    h = np.minimum(h, size / 2)
                return np.asarray(sign * np.where(size == 0, default, h))
            steps = (self.rel_step * sign * size).astype(x.dtype)
        lost = ((x + steps) - x == 0) | (size <= _LEFT * np.finfo(x.dtype).eps * self.reach)
        return np.asarray(np.where(lost, sign * default * np.maximum(1, size), steps))

    def _room(self, x: Array, j: int) -> tuple[float, float]:
        """How far x[j] may go down (negative or 0) and up."""
        if self.lower is None or self.upper is None:
            return -np.inf, np.inf
        return float(self.lower[j] - x[j]), float(self.upper[j] - x[j])

    def _inside(self, x: Array) -> Array:
        """x, which rounding may have led across a bound."""
        if self.lower is None or self.upper is None:
            return x
        return np.clip(x, self.lower, self.upper)

    def _moved(self, x: Array, j: int, h: float) -> Array:
        """x + h along j."""
        moved = x.copy()
        moved[j] += x.dtype.type(h)  # NumPy 1 would add in float64
        return self._inside(moved)

    def _at(self, x: Array, j: int, h: float) -> tuple[Array, float]:
        """f at x + h along j, and the step that was taken after rounding."""
        moved = self._moved(x, j, h)
        taken = float(moved[j]) - float(x[j])
        f = residual(self.fun(moved), x.dtype)
        return f, taken

    def _first(self, x: Array, j: int, h: float) -> tuple[Array, float]:
        """As `_at`, copied: fun may write to what it returned when it is called again."""
        f, taken = self._at(x, j, h)
        return f.copy(), taken

    def _forward(self, x: Array, f: Array, j: int, h: float) -> Column:
        down, up = self._room(x, j)
        if not down <= h <= up:
            h = -h if down <= -h <= up else (up if up >= -down else down)
        ahead, taken = self._at(x, j, h)
        self.ahead[j] = taken
        difference = self._same(ahead, f) - f
        return difference / taken, abs(difference).max(), taken

    def _central(self, x: Array, f: Array, j: int, h: float) -> Column:
        down, up = self._room(x, j)
        if down <= -abs(h) and abs(h) <= up:
            ahead, right = self._first(x, j, h)
            behind, left = self._at(x, j, -h)
            difference = self._same(ahead, f) - self._same(behind, f)
            self.ahead[j], taken = right, right - left
            return difference / taken, abs(difference).max(), taken
        # Beside a bound: the parabola through x, x + h, x + 2h on the side that has room.
        room = up if up >= -down else down
        h = float(np.copysign(min(abs(h), abs(room) / 2), room))
        half, end = (self._moved(x, j, step)[j] for step in (h, 2 * h))
        if half in (x[j], end):  # no number lies between
            return self._forward(x, f, j, room)
        near, one = self._first(x, j, h)
        far, two = self._at(x, j, 2 * h)
        self.ahead[j] = two
        near, far = self._same(near, f) - f, self._same(far, f) - f
        slope = (near * (two / one) - far * (one / two)) / (two - one)
        return slope, abs(far).max(), two

    def _complex(self, x: Array, f: Array, j: int, h: float) -> Column:
        h = max(abs(h), float(np.finfo(x.dtype).tiny))  # of a tiny x it would be lost
        moved = x.astype(np.result_type(x.dtype, np.complex64))
        moved[j] += 1j * h
        xp, value = as_array("fun", self.fun(moved))
        value = xp.atleast_1d(value)
        if value.dtype.kind != "c":
            raise TypeError(
                "jac 'cs': fun returned real residuals at a complex x, so its derivative is lost; "
                "use '2-point' or '3-point'"
            )
        return self._same(value, f).imag / h, np.inf, h

    def _same(self, value: Array, f: Array) -> Array:
        if value.shape != f.shape:
            raise ValueError(
                f"fun: residuals of shape {value.shape}, but {f.shape} at x; it must not change"
            )
        return value
