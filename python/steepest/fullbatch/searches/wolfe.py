"""The Wolfe conditions, by Moré and Thuente's search (1994, ACM TOMS 20, 286-307).

    φ(α) ≤ φ(0) + c₁ α φ'(0)   and   |φ'(α)| ≤ c₂ |φ'(0)|, or weakly φ'(α) ≥ c₂ φ'(0)

Moré-Thuente rather than Hager-Zhang: it interpolates both values and slopes, so it needs fewer
trials where slopes are cheap; it is proved to end; and it is the search of the solvers that this
package is compared with. From Hager and Zhang (2005, SIAM J. Optim. 16, eq. 4.1): where φ differs
from φ(0) by no more than rounding, values cannot decide the first condition, and
φ'(α) ≤ (2c₁-1) φ'(0) replaces it. Where terms of f cancel, its rounding is larger than its size
tells; so if rounding hides the fall that is due, a hundred times as much counts as rounding.
"""

from __future__ import annotations

import math
import sys

from steepest.fullbatch.search import (
    CLEAR,
    ROUNDING,
    SHRINK,
    UNBOUNDED,
    End,
    Search,
    Trial,
    finite,
    noise,
)

MAX_TRIALS = 40
MAX_LEVEL = 3
MAX_GROWTH = 1e20  # of the first step, which is short where x comes in small units
GROWTH = (1.1, 4.0)  # the limits of an extrapolation, from the lower end, in intervals
REDUCTION = 0.66  # of the interval in two trials; else it is halved


def wolfe(
    f0: float,
    slope0: float,
    step: float,
    *,
    c1: float,
    c2: float,
    roundoff: float,
    weak: bool = False,
) -> Search:
    """Search from `step` in both directions.

    Past a kink of φ, only the weak conditions may hold; with these, BFGS descends along kinks
    (Lewis & Overton 2013, Math. Program. 141, 135-163). A projected path has kinks of its own.
    """
    low = far = Trial(0.0, f0, slope0)  # the interval; low is its better end
    bracketed = False
    ceiling = math.inf  # steps from here on leave the domain
    longest = MAX_GROWTH * step
    widths = (math.inf, math.inf)
    level = 0  # trials in a row whose change of f is rounding
    hidden = noise(f0, roundoff)
    for _ in range(MAX_TRIALS):
        if step == low.step:  # no number lies between it and the ceiling
            break
        f, slope = yield step
        if not finite(f, slope):
            ceiling, step = step, low.step + SHRINK * (step - low.step)
            continue
        lost = -slope0 * step <= hidden  # the fall that is due, in rounding
        same = abs(f - f0) <= (CLEAR * hidden if lost else hidden)
        level = level + 1 if same or lost else 0
        target = f0 + c1 * step * slope0
        if slope >= c2 * slope0 and (weak or slope <= -c2 * slope0):
            # A stationary point as high as the start, from where f was due to fall, is no minimum.
            peak = slope == 0 and -slope0 * step > CLEAR * hidden
            if f <= target or (same and not peak and slope <= (2 * c1 - 1) * slope0):
                return End(step)
        if level == MAX_LEVEL:
            return End(low.step if low.f < f0 else 0.0, ROUNDING)
        if step >= longest and f <= target:
            return End(step, UNBOUNDED)
        new = Trial(step, f, slope)
        # A trial that is lower, but not by enough, is judged by ψ = φ - c₁ α φ'(0), as in the first
        # stage of the paper. Its second stage, which judges by φ, begins after a trial with
        # ψ <= ψ(0) and a slope >= 0. From then on no trial is lower but not by enough: all lie
        # before that one, and where φ is no higher than there, ψ <= ψ(0). So the stages need not be
        # told apart.
        tilt = c1 * slope0 if target < f <= low.f else 0.0
        low_t, far_t, new_t = tilted(low, tilt), tilted(far, tilt), tilted(new, tilt)
        step, bracketed = next_step(low_t, far_t, new_t, bracketed)
        reach = new.step - low.step
        low, far = next_interval(low, far, new, low_t, new_t)
        if bracketed:
            width = abs(far.step - low.step)
            inside = min(low.step, far.step) < step < max(low.step, far.step)
            if width >= REDUCTION * widths[0] or not inside:
                step = low.step + 0.5 * (far.step - low.step)
            widths = (widths[1], width)
            if width <= 4 * roundoff * max(low.step, far.step):
                break
        else:
            step = min(extrapolated(step, new.step, reach, ceiling), longest)
    return End(low.step if low.f < f0 else 0.0, "no step met the Wolfe conditions")


def extrapolated(step: float, last: float, reach: float, ceiling: float) -> float:
    """A step beyond the last trial: within GROWTH intervals of it, and below the ceiling."""
    step = min(max(step, last + GROWTH[0] * reach), last + GROWTH[1] * reach)
    return step if step < ceiling else last + 0.5 * (ceiling - last)


def tilted(at: Trial, tilt: float) -> Trial:
    """The point on φ - tilt α."""
    return Trial(at.step, at.f - tilt * at.step, at.slope - tilt) if tilt else at


def next_interval(
    low: Trial, far: Trial, new: Trial, low_t: Trial, new_t: Trial
) -> tuple[Trial, Trial]:
    """The updating algorithm of section 2; *_t are the same points as they are judged."""
    if new_t.f > low_t.f:
        return low, new
    return new, (far if new_t.slope * (low.step - new.step) > 0 else low)


def next_step(low: Trial, far: Trial, new: Trial, bracketed: bool) -> tuple[float, bool]:
    """The trial value selection of section 4, and whether a minimizer is bracketed now."""
    cubic = cubic_minimizer(low, new)
    if new.f > low.f:  # case 1
        drop = (low.f - new.f) / (new.step - low.step) + low.slope
        quadratic = low.step + 0.5 * low.slope / drop * (new.step - low.step)
        if abs(cubic - low.step) >= abs(quadratic - low.step):
            cubic += 0.5 * (quadratic - cubic)
        return cubic, True
    secant = math.inf
    if new.slope != low.slope:
        secant = new.step + new.slope / (new.slope - low.slope) * (low.step - new.step)
    if min(new.slope, low.slope) < 0 < max(new.slope, low.slope):  # case 2
        return max(cubic, secant, key=lambda a: abs(a - new.step)), True
    beyond = far.step if bracketed else math.inf
    if abs(new.slope) <= abs(low.slope):  # case 3
        if not (cubic - new.step) * (new.step - low.step) > 0:
            cubic = beyond
        if not bracketed:
            return max(cubic, secant), False
        nearer = min(cubic, secant, key=lambda a: abs(a - new.step))
        limit = new.step + REDUCTION * (far.step - new.step)
        return (min if new.step > low.step else max)(nearer, limit), True
    return (cubic_minimizer(new, far) if bracketed else beyond), bracketed  # case 4


def cubic_minimizer(a: Trial, b: Trial) -> float:
    """The minimizer of the cubic through values and slopes at a and b; NaN where it has none.

    Nocedal & Wright (2006), eq. 3.59.
    """
    theta = a.slope + b.slope - 3 * (a.f - b.f) / (a.step - b.step)
    scale = max(abs(theta), abs(a.slope), abs(b.slope), sys.float_info.min)
    square = (theta / scale) ** 2 - (a.slope / scale) * (b.slope / scale)
    if not square >= 0:
        return math.nan
    root = math.copysign(scale * math.sqrt(square), b.step - a.step)
    steepness = b.slope - a.slope + 2 * root
    if steepness == 0:
        return math.nan
    return b.step - (b.step - a.step) * (b.slope + root - theta) / steepness
