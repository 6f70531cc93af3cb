"""A run that is saved and goes on: with its history, and in the middle of a line search."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from steepest.fullbatch.arrays import vector
from steepest.fullbatch.search import Trial

if TYPE_CHECKING:
    from steepest.fullbatch.minimizer import Minimizer

__all__ = ["load", "save"]

# What every method keeps beside its workspace.
SHARED = (
    "_x",
    "_trial",
    "_d",
    "f",
    "nit",
    "nfev",
    "done",
    "status",
    "message",
    "_f0",
    "_slope0",
    "_step",
    "_stalled",
)


def save(run: Minimizer) -> dict[str, Any]:
    """The state as a dict of plain values and copied arrays."""
    kept = {name.lstrip("_"): copy.deepcopy(getattr(run, name)) for name in SHARED + run.saved}
    return {
        "method": run.method,
        "line_search": run.line_search,
        "workspace": run._xp.asarray(run._w, copy=True),
        "told": [tuple(trial) for trial in run._told],
        "lowest": None if run._lowest is None else tuple(run._lowest),
        **kept,
    }


def load(run: Minimizer, state: dict[str, Any]) -> None:
    """Takes the state over; the search under way is told again what it was told."""
    names = {name.lstrip("_") for name in SHARED + run.saved}
    names |= {"method", "line_search", "workspace", "told", "lowest"}
    if set(state) != names:
        wrong = ", ".join(sorted(set(state) ^ names))
        raise ValueError(f"state_dict: the keys differ from those of {run.method!r} in {wrong}")
    for name in ("method", "line_search"):
        if state[name] != getattr(run, name):
            raise ValueError(
                f"state_dict[{name!r}]: {state[name]!r}; allowed is {getattr(run, name)!r}, as here"
            )
    w = state["workspace"]
    if w.dtype != run._w.dtype:
        raise ValueError(f"state_dict: dtype {w.dtype}; allowed is {run._w.dtype}, as x0 here")
    w = vector("state_dict['workspace']", w, run._w)
    search = None
    if state["told"] and not state["done"]:
        search = run._new_search(state["f0"], state["slope0"], state["told"][0][0])
        step = next(search)
        for _step, f, slope in state["told"]:
            step = search.send((f, slope))
        if step != state["step"]:
            raise ValueError(
                f"state_dict['step']: {state['step']!r}; the search over 'told' gives {step!r}"
            )
    run._w[...] = w
    for name in SHARED + run.saved:
        setattr(run, name, copy.deepcopy(state[name.lstrip("_")]))
    run._told = [Trial(*told) for told in state["told"]]
    run._lowest = None if state["lowest"] is None else Trial(*state["lowest"])
    run._search, run._handed = search, None
