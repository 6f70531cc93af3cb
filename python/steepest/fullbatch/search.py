"""What a line search is here: a generator over steps along one line; why one found nothing lower.

φ(α) is the objective at x + α d. A search yields the step to try, is sent (φ, φ') there, and
returns where it ends. So the caller owns the evaluations, and a search that was saved is brought
back by telling it the same values again.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import NamedTuple


class Trial(NamedTuple):
    """A point of the line: the step, φ and φ' there."""

    step: float
    f: float
    slope: float


class End(NamedTuple):
    """Where a search ended: at a step that was tried, or 0 if none is lower. `failure`: why, unless
    the step meets the conditions."""

    step: float
    failure: str | None = None


Search = Generator[float, tuple[float, float], End]

ROUNDING = "the objective changes by no more than rounding"
UNBOUNDED = "the objective falls without bound along the direction"
SHRINK = 0.2  # of the step, where a trial was not finite
CHECK = (
    "check the gradient, for example with scipy.optimize.check_grad, unless f is not smooth there"
)
CLEAR = 100  # times the noise: a predicted change that rounding cannot hide
STEEP = 10  # times the prediction: a change beyond it may be curvature


def finite(f: float, slope: float) -> bool:
    """Whether a trial lies in the domain of the objective."""
    return math.isfinite(f) and math.isfinite(slope)


def full_step() -> Search:
    """No search: whatever is finite is taken."""
    f, slope = yield 1.0
    return End(1.0) if finite(f, slope) else End(0.0, "the full step is not finite")


def noise(f: float, roundoff: float) -> float:
    """How far rounding may have moved a value f computed with unit roundoff `roundoff`."""
    return 10 * roundoff * abs(f)


def explain(
    told: list[Trial], f0: float, slope0: float, roundoff: float, too_small: str = "gtol"
) -> str:
    """The message for a search from f0 along slope0 < 0 that ended where it began. `too_small`: the
    option that else leads to steps that rounding hides.

    It goes by the shortest step whose predicted change rounding cannot hide. If only rounding keeps
    f from falling, that step is long and ruled by curvature, so f rises by far more than the slope
    predicts a fall. If f rises by about as much, or less, the gradient is wrong.
    """
    inside = [trial for trial in told if finite(trial.f, trial.slope)]
    if not inside:
        return "no trial point along the direction has a finite value and gradient"
    nearest = min(inside, key=lambda trial: trial.step)
    hidden = noise(f0, roundoff)
    clear = [trial for trial in inside if -slope0 * trial.step > CLEAR * hidden]
    # Where terms of f cancel, it is rounded by more than its size tells: trials at which f has not
    # changed do not count, unless that is so at all.
    clear = [trial for trial in clear if trial.f != f0] or clear
    shortest = min(clear, key=lambda trial: trial.step, default=nearest)
    change, predicted = shortest.f - f0, slope0 * shortest.step
    wrong = bool(clear) and change < -STEEP * predicted
    if wrong or abs(nearest.f - f0) > hidden:
        return (
            f"no lower point: over a step of {shortest.step:.3g} f changes by {change:.3g} where "
            f"the gradient predicts {predicted:.3g}: {CHECK}"
        )
    return (
        f"no lower point: at step {nearest.step:.3g} f = {f0:.6g} changes by no more than "
        f"rounding; the precision of f is reached, or {too_small} is too small for it"
    )


def explain_stall(
    f: float,
    lowest: float,
    at: Trial,
    f0: float,
    slope0: float,
    roundoff: float,
    iterations: int,
    too_long: str | None,
) -> str:
    """The message after so many iterations that have not lowered f.

    The last led from f0 along slope0 to `at`; `lowest` is the lowest f before. `too_long`: what to
    say if full steps are too long; None after a search, whose steps are not.
    """
    clear = CLEAR * noise(f0, roundoff)
    far = at.slope > 0 and -slope0 * at.step > clear
    if too_long is None or not (far or at.f - lowest > clear):
        return (
            f"the last iterations have hardly lowered f = {f:g}: rounding hides the rest, or the "
            "gradient is not exact enough for gtol"
        )
    change, predicted = at.f - f0, at.step * (slope0 + at.slope) / 2  # by the trapezoidal rule
    if clear < change and -1.25 * change < predicted < -0.8 * change:
        too_long = (
            f"over the last step it changes by {change:.3g} where the gradients at both ends "
            f"predict {predicted:.3g}: {CHECK}"
        )
    return f"f = {f:g} has not fallen for {iterations} iterations: {too_long}"
