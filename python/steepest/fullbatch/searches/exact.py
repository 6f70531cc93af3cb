"""The minimizer along the line: a bracket by golden expansion, then Brent's minimizer.

Brent 1973, Algorithms for Minimization without Derivatives, chapter 5: parabolas through the three
best points, golden sections where they do not help.
"""

from __future__ import annotations

import math
from collections.abc import Generator

from steepest.fullbatch.search import SHRINK, UNBOUNDED, End, Search

GOLDEN = 0.5 * (3 - math.sqrt(5))
GROWTH = 1 / GOLDEN - 1
MAX_TRIALS = 100
Point = tuple[float, float]  # step, f
Ask = Generator[float, tuple[float, float], float]


def ask(step: float) -> Ask:
    """The value at a step; NaN counts as infinite."""
    f, _slope = yield step
    return f if f == f else math.inf


def exact(f0: float, slope0: float, step: float, *, roundoff: float) -> Search:
    """Search from `step` in both directions; only values are used, so slopes may be NaN."""
    left: Point = (0.0, f0)
    middle: Point = (step, (yield from ask(step)))
    right: Point | None = None
    while not middle[1] < f0:
        if middle[0] <= roundoff * roundoff * step:
            return End(0.0, "no step lowers the objective")
        right = middle
        shorter = middle[0] * SHRINK
        middle = (shorter, (yield from ask(shorter)))
    trials = 0
    while right is None or right[1] < middle[1]:
        if right is not None:
            left, middle = middle, right
        if trials == MAX_TRIALS:
            return End(middle[0], UNBOUNDED)
        longer = middle[0] + GROWTH * (middle[0] - left[0])
        right = (longer, (yield from ask(longer)))
        trials += 1
    return End((yield from brent(left[0], middle, right[0], roundoff)))


def brent(a: float, start: Point, b: float, roundoff: float) -> Ask:
    """The minimizer in [a, b] from a point inside that is lower than both ends."""
    best = second = third = start
    step = before = 0.0
    for _ in range(MAX_TRIALS):
        x, centre = best[0], 0.5 * (a + b)
        tolerance = math.sqrt(roundoff) * x
        if abs(x - centre) <= 2 * tolerance - 0.5 * (b - a):
            break
        parabolic = parabola_step(best, second, third)
        if abs(parabolic) < 0.5 * abs(before) and a < x + parabolic < b:
            before, step = step, parabolic
            if min(x + step - a, b - x - step) < 2 * tolerance:
                step = math.copysign(tolerance, centre - x)
        else:
            before = (b if x < centre else a) - x
            step = GOLDEN * before
        if abs(step) < tolerance:
            step = math.copysign(tolerance, step)
        new: Point = (x + step, (yield from ask(x + step)))
        if new[1] <= best[1]:
            a, b = (x, b) if new[0] >= x else (a, x)
            best, second, third = new, best, second
            continue
        a, b = (new[0], b) if new[0] < x else (a, new[0])
        if new[1] <= second[1] or second[0] == best[0]:
            second, third = new, second
        elif new[1] <= third[1] or third[0] in (best[0], second[0]):
            third = new
    return best[0]


def parabola_step(best: Point, second: Point, third: Point) -> float:
    """From `best` to the vertex of the parabola through three points; infinite if there is none."""
    r = (best[0] - second[0]) * (best[1] - third[1])
    q = (best[0] - third[0]) * (best[1] - second[1])
    p = (best[0] - third[0]) * q - (best[0] - second[0]) * r
    denominator = 2 * (q - r)
    return -p / denominator if denominator else math.inf
