"""Backtracking to the Armijo condition φ(α) ≤ φ(0) + c₁ α φ'(0) (Armijo 1966, Pac. J. Math. 16).

The step shrinks to the minimizer of the quadratic through φ(0), φ'(0) and φ(α), then of the cubic
through the last two trials as well, within [0.1, 0.5] of the step before (Nocedal & Wright 2006,
Numerical Optimization, section 3.5).
"""

from __future__ import annotations

import math

from steepest.fullbatch.search import ROUNDING, SHRINK, End, Search, noise

MAX_TRIALS = 60


def armijo(f0: float, slope0: float, step: float, *, c1: float, roundoff: float) -> Search:
    """Search from `step` downwards; only values are used, so a slope may be NaN."""
    before = (math.inf, math.inf)  # the trial before: step, f
    for trial in range(MAX_TRIALS):
        f, _slope = yield step
        if trial and step * -slope0 <= noise(f0, roundoff):
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
    slope = slope0 * step  # by the step in units of the last, whose square may overflow
    rise = f - f0 - slope  # positive where the Armijo condition failed
    if not math.isfinite(before[1]):
        return -slope * step / (2 * rise)
    earlier = before[0] / step
    a = (before[1] - f0 - slope * earlier) / earlier**2
    cubic = (rise - a) / (1 - earlier)
    quadratic = (a - earlier * rise) / (1 - earlier)
    root = quadratic * quadratic - 3 * cubic * slope
    if not (cubic and 0 <= root < math.inf):
        return 0.5 * step
    return (-quadratic + math.sqrt(root)) / (3 * cubic) * step
