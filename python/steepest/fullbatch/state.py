"""A run saved, pickled or copied, so that it can go on, even in the middle of a line search."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from steepest import check
from steepest.fullbatch.arrays import Array, copied, namespace, scalar, vector
from steepest.fullbatch.points import D
from steepest.fullbatch.search import Search, Trial

if TYPE_CHECKING:
    from steepest.fullbatch.iteration import Iteration

# What every method keeps beside its workspace.
SHARED = tuple(
    "_x _d f _least nit nfev _spared done status message _f0 _slope0 _step _stalled _passed "
    "_eager".split()
)
# What a pickle lacks: `restore` makes it anew.
MADE_ANEW = ("_xp", "_rows", "_search", "_handed", "_inside", "_asking")


def save(run: Iteration) -> dict[str, Any]:
    """The state as a dict of plain values and copied arrays."""
    run._fetch_lowest_gradient()
    kept = {name.lstrip("_"): copy.deepcopy(getattr(run, name)) for name in SHARED + run._saved}
    return {
        "method": run.method,
        "line_search": run.line_search,
        "workspace": run._xp.asarray(run._w, copy=True),
        "told": [tuple(trial) for trial in run._trials],
        "lowest": None if run._lowest is None else tuple(run._lowest),
        **kept,
    }


def load(run: Iteration, state: dict[str, Any]) -> None:
    """Go on from `state`; where it does not fit, the run stays as it was."""
    _check_method(run, state)
    w = _workspace(run, state["workspace"])
    values = {name: _value(run, name, state[name.lstrip("_")]) for name in SHARED + run._saved}
    told = state["told"]
    if not isinstance(told, (list, tuple)):
        raise TypeError(f"state_dict['told']: {check.got(told)}; expected a list")
    told = [_trial(f"state_dict['told'][{i}]", trial) for i, trial in enumerate(told)]
    lowest = state["lowest"]
    lowest = None if lowest is None else _trial("state_dict['lowest']", lowest)
    search, step = None, values["_step"]
    if told and not values["done"]:
        search, step = resumed(run, values["_f0"], values["_slope0"], told)
    elif values["_slope0"] and not values["done"]:
        step = 1.0  # of a search that begins
    if step != values["_step"]:
        raise ValueError(
            f"state_dict['step']: {state['step']!r}; the search over 'told' gives {step!r}"
        )
    x = w[values["_x"], :]
    if run.box is not None and not bool(run._xp.all(run.box.project(x) == x)):
        raise ValueError("state_dict['workspace']: x is outside the bounds of this run")
    kept = checkpoint(run)
    try:
        run._w[...] = w
        for name, value in values.items():
            setattr(run, name, value)
    except BaseException:  # the kernels may refuse what the method has learned
        restore(run, kept)
        raise
    run._trials, run._lowest, run._lowest_gradient = told, lowest, None
    run._search, run._handed = search, None


def _check_method(run: Iteration, state: dict[str, Any]) -> None:
    """Refuse a state of another method or line search, or of none."""
    names = {name.lstrip("_") for name in SHARED + run._saved}
    names |= {"method", "line_search", "workspace", "told", "lowest"}
    if not isinstance(state, Mapping):
        raise TypeError(f"state_dict: {check.got(state)}; expected a dict")
    if set(state) != names and state.get("method") in (run.method, None):
        wrong = ", ".join(sorted(set(state) ^ names))
        raise ValueError(f"state_dict: the keys differ from those of {run.method!r} in {wrong}")
    for name in ("method", "line_search"):
        given, mine = state[name], getattr(run, name)
        if not (given is None or isinstance(given, str)) or given != mine:
            raise ValueError(
                f"state_dict[{name!r}]: {check.shown(given)}; expected {mine!r}, as here"
            )


def _workspace(run: Iteration, w: Any) -> Array:
    """The rows of a state, checked to be like the run's."""
    if not hasattr(w, "dtype"):
        raise TypeError(f"state_dict['workspace']: {check.got(w)}; expected an array")
    if w.dtype != run._w.dtype:
        raise ValueError(f"state_dict: dtype {w.dtype}; expected {run._w.dtype}, as x0 here")
    return vector("state_dict['workspace']", w, run._w)


def _value(run: Iteration, name: str, value: Any) -> Any:
    """An entry of a state, checked to be of the kind that the run has."""
    where, mine = f"state_dict[{name.lstrip('_')!r}]", getattr(run, name)
    if name == "_passed":
        return None if value is None else _passed(run, where, value)
    if name == "_x":
        return check.integer(where, value, at_least=0, at_most=1)
    if name == "_d":
        return check.integer(where, value, at_least=D, at_most=len(run._rows) - 1)
    if isinstance(mine, bool):
        return check.flag(where, value)
    if isinstance(mine, int):
        return check.integer(where, value)
    if isinstance(mine, float):
        return scalar(where, value)
    if isinstance(mine, str) and not isinstance(value, str):
        raise TypeError(f"{where}: {check.got(value)}; expected a str")
    if isinstance(mine, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(mine):
            raise TypeError(f"{where}: {check.shown(value)}; expected a tuple of {len(mine)}")
    if name == "_h" and value is not None:  # of BFGS
        return copied(vector(where, value, run._xp.broadcast_to(run._like, (run.n, run.n))))
    return copy.deepcopy(value)


def _passed(run: Iteration, where: str, value: Any) -> tuple[float, Array, Array]:
    """The lowest point, of full steps."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise TypeError(f"{where}: {check.shown(value)}; expected f, x and g, or None")
    x, g = (copied(vector(where, each, run._like)) for each in value[1:])
    if run.box is not None and not bool(run._xp.all(run.box.project(x) == x)):
        raise ValueError(f"{where}: x is outside the bounds of this run")
    return scalar(where, value[0]), x, g


def _trial(where: str, trial: Any) -> Trial:
    if not isinstance(trial, (list, tuple)) or len(trial) != len(Trial._fields):
        raise ValueError(f"{where}: {check.shown(trial)}; expected step, f and slope")
    return Trial(*(scalar(where, number) for number in trial))


def checkpoint(run: Iteration) -> dict[str, Any]:
    """What `restore` takes to bring this run back: its attributes, with copies of those that a step
    writes to."""
    return {**vars(run), "_w": copied(run._w), "_trials": list(run._trials)}


def restore(run: Iteration, state: dict[str, Any]) -> None:
    """Take over these attributes, and make anew those of MADE_ANEW."""
    vars(run).update(state)
    run._xp = namespace(run._w)
    run._rows = [run._w[i, :] for i in range(run._w.shape[0])]
    run._search = run._handed = None
    run._inside = state.get("_inside", [])  # this very call's, or a copy's
    run._asking = False
    if run._trials and not run.done:
        run._search, _ = resumed(run, run._f0, run._slope0, run._trials)


def resumed(run: Iteration, f0: float, slope0: float, told: list[Trial]) -> tuple[Search, float]:
    """A new search, told what the old one was told, and the step that it asks for next."""
    search = run._new_search(f0, slope0)
    try:
        step = next(search)
        for _step, f, slope in told:
            step = search.send((f, slope))
    except StopIteration:
        raise ValueError("state_dict['told']: its search has ended; it is of no run") from None
    return search, step
