"""A run that is saved, pickled or copied and goes on: with its history, and in the middle of a line
search."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from steepest.fullbatch.arrays import namespace, vector
from steepest.fullbatch.search import Search, Trial

if TYPE_CHECKING:
    from steepest.fullbatch.minimizer import Minimizer

__all__ = ["checkpoint", "load", "restored", "save", "stripped"]

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
# What a pickle is without: it is made anew.
MADE_ANEW = ("_xp", "_rows", "_search", "_handed")


def save(run: Minimizer) -> dict[str, Any]:
    """The state as a dict of plain values and copied arrays."""
    kept = {name.lstrip("_"): copy.deepcopy(getattr(run, name)) for name in SHARED + run._saved}
    return {
        "method": run.method,
        "line_search": run.line_search,
        "workspace": run._xp.asarray(run._w, copy=True),
        "told": [tuple(trial) for trial in run._told],
        "lowest": None if run._lowest is None else tuple(run._lowest),
        **kept,
    }


def load(run: Minimizer, state: dict[str, Any]) -> None:
    """Takes the state over."""
    names = {name.lstrip("_") for name in SHARED + run._saved}
    names |= {"method", "line_search", "workspace", "told", "lowest"}
    if not isinstance(state, Mapping):
        raise TypeError(f"state_dict: a {type(state).__name__} where a dict is due")
    if set(state) != names and state.get("method") in (run.method, None):
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
        search, step = resumed(run, state["f0"], state["slope0"], state["told"])
        if step != state["step"]:
            raise ValueError(
                f"state_dict['step']: {state['step']!r}; the search over 'told' gives {step!r}"
            )
    run._w[...] = w
    for name in SHARED + run._saved:
        setattr(run, name, copy.deepcopy(state[name.lstrip("_")]))
    run._told = [Trial(*told) for told in state["told"]]
    run._lowest = None if state["lowest"] is None else Trial(*state["lowest"])
    run._search, run._handed = search, None


def stripped(run: Minimizer) -> dict[str, Any]:
    """The attributes that can be copied."""
    return {name: value for name, value in vars(run).items() if name not in MADE_ANEW}


def checkpoint(run: Minimizer) -> dict[str, Any]:
    """What `restored` goes back to in the same run: copies of what a step writes to."""
    w = run._xp.asarray(run._w, copy=True)
    return {**stripped(run), "_w": w, "_told": list(run._told)}


def restored(run: Minimizer, state: dict[str, Any]) -> None:
    """Takes them over."""
    vars(run).update(state)
    run._xp = namespace(run._w)
    run._rows = [run._w[i, :] for i in range(run._w.shape[0])]
    run._search = run._handed = None
    if run._told and not run.done:
        run._search, _ = resumed(run, run._f0, run._slope0, run._told)


def resumed(run: Minimizer, f0: float, slope0: float, told: list[Trial]) -> tuple[Search, float]:
    """The search under way, told again what it was told, and the step that it asks for."""
    search = run._new_search(f0, slope0, told[0][0])
    step = next(search)
    for _step, f, slope in told:
        step = search.send((f, slope))
    return search, step
