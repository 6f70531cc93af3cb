"""Why a line search found nothing lower, from what it was told."""

from __future__ import annotations

from steepest.fullbatch.search import Trial, finite, noise

__all__ = ["explain"]


def explain(told: list[Trial], f0: float, slope0: float, eps: float) -> str:
    """The message for a search from f0 along slope0 < 0 that ended where it began."""
    inside = [trial for trial in told if finite(trial.f, trial.slope)]
    if not inside:
        return "no trial point along the direction has a finite value and gradient"
    nearest = min(inside, key=lambda trial: trial.step)
    change, predicted = nearest.f - f0, nearest.step * slope0
    if abs(change) <= noise(f0, eps):
        return (
            f"no lower point: at step {nearest.step:.3g} f = {f0:.6g} changes by no more than "
            "rounding; the precision of f is reached, or gtol is too small for it"
        )
    return (
        f"no lower point: over a step of {nearest.step:.3g} f changes by {change:.3g} where the "
        f"gradient predicts {predicted:.3g}: check the gradient, for example with "
        "scipy.optimize.check_grad"
    )
