"""Backtracking to the Armijo condition φ(α) ≤ φ(0) + c₁ α φ'(0) (Armijo 1966, Pac. J. Math. 16).

The step shrinks to the minimizer of the quadratic through φ(0), φ'(0) and φ(α), then of the cubic
through the last two trials as well, within [0.1, 0.5] of the step before (Nocedal & Wright 2006,
Numerical Optimization, section 3.5).
"""

from __future__ import annotations

import math

from steepest.fullbatch.search import ROUNDING, SHRINK, End, Search, noise

MAX_TRIALS = 60


def armijo(f0: float, slope0: float, step: float, *, c1: float, eps: float) -> Search:
    """Search from `step` downwards; only values are used, so a slope may be NaN."""
    before = (math.inf, math.inf)  # the trial before: step, f
    for trial in range(MAX_TRIALS):
        f, _slope = yield step
        if trial and step * -slope0 <= noise(f0, eps):
            return End(0.0, ROUNDING)
        if f <= f0 + c1 * step * slope0:
            return End(step)
        if math.isfinite(f):
            shorter = interpolated(f0, slope0, (step, f), before)
            before = (step, f)
            step = min(max(shorter, 0.1 * step), 0.5 * step)
        else:
            step *= SHRINK
    return End(0.0, "no step met the Armijo condition")


def interpolated(
    f0: float, slope0: float, last: tuple[float, float], before: tuple[float, float]
) -> float:
    """The minimizer of the quadratic through `last`, or of the cubic also through `before`."""
    step, f = last
    r1 = f - f0 - slope0 * step  # positive where the Armijo condition failed
    if not math.isfinite(before[1]):
        return -slope0 * step * step / (2 * r1)
    earlier, r0 = before[0], before[1] - f0 - slope0 * before[0]
    a, b = r1 / step**2, r0 / earlier**2
    cubic = (a - b) / (step - earlier)
    quadratic = (step * b - earlier * a) / (step - earlier)
    root = quadratic * quadratic - 3 * cubic * slope0
    if cubic == 0 or root < 0 or not math.isfinite(root):
        return 0.5 * step
    return (-quadratic + math.sqrt(root)) / (3 * cubic)
