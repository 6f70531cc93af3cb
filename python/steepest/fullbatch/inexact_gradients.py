"""Runs whose gradients come from differences: where these mislead, a run ends, or it goes on from
its lowest point by better ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from steepest.fullbatch.iteration import STUCK
from steepest.fullbatch.points import G
from steepest.fullbatch.search import CHECK, noise

if TYPE_CHECKING:
    from steepest.fullbatch.differences import Differences
    from steepest.fullbatch.minimizer import Minimizer
    from steepest.fullbatch.objective import Objective

FEW = 3  # trials of one search, in the domain: more than most searches take
MANY = 12  # the same: nearly all searches that take so many find nothing


def judge_gradients(
    run: Minimizer, objective: Objective, differences: Differences, accepted: bool
) -> None:
    """After each `tell`; `accepted`: the point told last ended an iteration."""
    if not run._follows_gradients():
        return
    if risen(run, 1e3 * differences.noise):  # the steps are too long, or noise not known yet
        goes_on(run, objective, math.inf)
        return
    told = sum(math.isfinite(trial.f) for trial in run._trials)
    exact = run.line_search == "exact" and run._lowest is not None  # which is long by its nature
    long = told >= MANY and run._step < 1 and not exact
    stalled = accepted and differences.note_iteration(run.f, noise(run.f, run._roundoff))
    if stalled or (differences.rough and long):
        run._stop(STUCK, "differences no longer show a way down")
    if run.status == STUCK:
        if not goes_on(run, objective, 0.0):
            as_told = run.message.replace(CHECK, "differences are not exact enough, give jac")
            run.message = differences.noise_told(run.f) or as_told
    elif told == FEW and not run.done:
        too_short = run._trials[-1:] == [run._lowest]  # yet: the search goes on beyond it
        goes_on(run, objective, math.inf if too_short else -run._slope0)
    run._roundoff = max(objective.eps / 2, differences.relative_noise(run.f))


def risen(run: Minimizer, least: float) -> bool:
    """Whether full steps have led up, by more than rounding and `least`."""
    if run._passed is None:
        return False
    last = run._trials[-1].f if run.done and run._trials else run.f
    return not last - run._passed[0] <= max(least, noise(run._passed[0], run._roundoff))


def goes_on(run: Minimizer, objective: Objective, fall: float) -> bool:
    """Go on from the lowest point, whether the run has ended or not, if better gradients can be
    had; `fall` as of `sharpen`."""
    if not objective.sharpen(run.best_x, run.f, fall):
        return False
    if not run.done:
        run._take_lowest()
    if run._passed is not None:
        run.f, run._rows[run._x][...], run._rows[G][...] = run._passed
        run._passed = None
    run._resume()
    return True
