"""A run as `pickle` and `copy` take it: without what is made anew, the rest as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steepest.fullbatch.arrays import namespace

if TYPE_CHECKING:
    from steepest.fullbatch.minimizer import Minimizer

__all__ = ["restored", "stripped"]

MADE_ANEW = ("_xp", "_rows", "_search", "_handed")


def stripped(run: Minimizer) -> dict[str, Any]:
    """The attributes that can be copied."""
    return {name: value for name, value in vars(run).items() if name not in MADE_ANEW}


def restored(run: Minimizer, state: dict[str, Any]) -> None:
    """Take them over; the search under way is told again what it was told."""
    vars(run).update(state)
    run._xp = namespace(run._w)
    run._rows = [run._w[i, :] for i in range(run._w.shape[0])]
    run._search = run._handed = None
    if run._told and not run.done:
        run._search = run._new_search(run._f0, run._slope0, run._told[0].step)
        next(run._search)
        for _step, f, slope in run._told:
            run._search.send((f, slope))
