"""An optimizer's state as a dict in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from steepest import check
from steepest.arrays import plain
from steepest.updates.commit import commit
from steepest.updates.parameters import Parameters
from steepest.updates.rule_list import RULES

MOST_STEPS = 2**53  # counted exactly in a double


def _scalar_name(opt: Parameters, i: int) -> str:
    group, _ = opt._paths[i]
    return RULES[opt._rules[group]].scalar


def arrays_of(opt: Parameters, i: int) -> dict[str, Any]:
    ema = {} if opt._emas[i] is None else {"ema": opt._emas[i]}
    return {**opt._states[i], **ema}


def state_dict(opt: Parameters, copy: bool = True) -> dict[str, Any]:
    """Everything that a run needs to continue, except the parameters themselves."""
    with opt._lock, opt._backend.in_use():
        state: dict[int, dict[str, Any]] = {}
        clocks, scalars = opt._plan.clocks()
        for i in range(len(opt._views)):
            state[i] = {"step": clocks[i]}
            for name, array in arrays_of(opt, i).items():
                state[i][name] = array.copy(order="K") if copy else array
            if _scalar_name(opt, i):
                state[i][_scalar_name(opt, i)] = scalars[i]
        groups, first = [], 0
        given = opt._plan.given_of_last_step()
        for rule, group, used in zip(opt._rules, opt._groups, given, strict=True):
            values = group.hyperparameters()
            names = group["param_names"]
            if callable(values["lr"]):
                values["lr"] = None
            indices = list(range(first, first + len(names)))
            last = dict(zip(RULES[rule].given, used, strict=True))
            own = {"rule": rule, "last_step": last, "params": indices, "param_names": names}
            groups.append({**values, **own})
            first += len(names)
        steps, skipped = opt._plan.counts()
        return {"state": state, "param_groups": groups, "step_count": steps, "skipped": skipped}


def _entry(where: str, mapping: Any, keys: list[str]) -> None:
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{where}: {check.got(mapping)}; expected a dict with {keys}")
    missing, extra = [k for k in keys if k not in mapping], [k for k in mapping if k not in keys]
    if missing or extra:
        parts = [f"{missing} missing"] * bool(missing)
        parts += [f"{check.shown(extra)} not known"] * bool(extra)
        raise ValueError(f"{where}: {', '.join(parts)}; expected {keys}")


def _as_array(where: str, given: Any, kind: type) -> Any:
    given = plain(where, given)
    if isinstance(given, kind):
        return given
    try:
        array = np.asarray(given)
    except Exception as error:  # converting runs the code of whatever was given
        raise TypeError(f"{where}: not an array: {error}") from error
    if array.dtype == object:
        raise TypeError(f"{where}: {check.got(given)}; expected an array")
    return array


def _checked_state(opt: Parameters, state: Any, count: int) -> list[dict[str, Any]]:
    """The entries of all tensors, checked against the optimizer's arrays."""
    where = "state_dict['state']"
    if not isinstance(state, Mapping):
        raise TypeError(f"{where}: {check.got(state)}; expected a dict")
    if set(state) != set(range(len(opt._views))):
        entries, last = check.shown(list(state)), len(opt._views) - 1
        text = " as whole numbers, which JSON turns into text" * any(
            isinstance(k, str) for k in state
        )
        raise ValueError(f"{where}: entries {entries}; expected 0 to {last}{text}")
    # A state dict may hold means that opt.ema handed out, under other tensors' numbers. They are
    # copied: one would be overwritten before it is read.
    handed_out = {id(ema.base) for ema in opt._emas if isinstance(ema, np.ndarray)}
    checked = []
    for i in range(len(opt._views)):
        entry = _checked_entry(opt, i, f"{where}[{i}]", state[i], count)
        for name, given in entry.items():
            if isinstance(given, np.ndarray) and id(given.base) in handed_out:
                entry[name] = given.copy()
        checked.append(entry)
    return checked


def _checked_entry(opt: Parameters, i: int, where: str, given: Any, count: int) -> dict[str, Any]:
    """The entry of tensor i: its step, at most `count`, its scalar if it has one, its arrays."""
    mine, scalar = arrays_of(opt, i), _scalar_name(opt, i)
    _entry(where, given, ["step", *mine, *([scalar] if scalar else [])])
    step = check.integer(f"{where}['step']", given["step"], at_least=0, at_most=count)
    entry: dict[str, Any] = {"step": step}
    if scalar:
        entry[scalar] = check.number(f"{where}[{scalar!r}]", given[scalar], at_least=0, at_most=1)
    for name, array in mine.items():
        values = entry[name] = _as_array(f"{where}[{name!r}]", given[name], type(array))
        if values.dtype != array.dtype:
            kinds = f"dtype {values.dtype} differs from the present {array.dtype}"
            raise TypeError(f"{where}[{name!r}]: {kinds}")
        if values.shape != array.shape:
            shapes = f"shape {values.shape} differs from the present {array.shape}"
            raise ValueError(f"{where}[{name!r}]: {shapes}")
    return entry


def _checked_last(where: str, rule: str, last: Any) -> list[float]:
    """A group's hyperparameters as its last step used them, in the engine's order."""
    names = RULES[rule].given
    _entry(where, last, names)
    return [check.number(f"{where}[{name!r}]", last[name], at_least=0) for name in names]


def _difference(given: Any, due: list[Any]) -> str:
    """What differs, from the first difference on: an error cannot show thousands of entries."""
    k = 0
    if isinstance(given, (list, tuple)):
        same = [check.same_list([a], [b]) for a, b in zip(given, due, strict=False)]
        k = same.index(False) if False in same else len(same)
        given, due = given[k:], due[k:]
    at = f"from {k} on: " if k else ""
    return f"{at}{check.shown(given)} differ from the present {check.shown(due)}"


def _checked_groups(opt: Parameters, groups: Any) -> list[tuple[dict[str, Any], list[float]]]:
    where = "state_dict['param_groups']"
    is_list = isinstance(groups, (list, tuple))
    if not is_list or len(groups) != len(opt._groups):
        seen = f"got {check.counted(len(groups), 'group')}" if is_list else check.got(groups)
        wanted = check.counted(len(opt._groups), "group")
        raise ValueError(f"{where}: {seen}; expected a list of {wanted}")
    checked, first = [], 0
    for i, group in enumerate(groups):
        checked.append(_checked_group(opt, i, f"{where}[{i}]", group, first))
        first += len(opt._groups[i].param_names)
    return checked


def _checked_group(
    opt: Parameters, i: int, where: str, group: Any, first: int
) -> tuple[dict[str, Any], list[float]]:
    """The hyperparameters of group i, whose first tensor has number `first`; its last step's."""
    mine, rule = opt._groups[i], opt._rules[i]
    values, names = mine.hyperparameters(), mine["param_names"]
    # The rule is compared first, because another rule has other keys. Whether the entry is there at
    # all is checked with the others.
    of = group.get("rule", rule) if isinstance(group, Mapping) else rule
    if not isinstance(of, str) or of != rule:
        raise ValueError(f"{where}: rule {check.shown(of)} differs from the present {rule!r}")
    _entry(where, group, [*values, "rule", "last_step", "params", "param_names"])
    for key, due in (("params", [*range(first, first + len(names))]), ("param_names", names)):
        have = group[key]
        if not check.same_list(have, due):
            raise ValueError(f"{where}: {key} {_difference(have, due)}")
    new = {name: group[name] for name in values}
    if new["lr"] is None:
        new["lr"] = values["lr"]
    for name, value in new.items():
        new[name] = opt._checks[name](f"{where}[{name!r}]", value)
    last = _checked_last(f"{where}['last_step']", rule, group["last_step"])
    try:
        return mine._checked(new), last
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def load_state_dict(opt: Parameters, given: Mapping[str, Any]) -> None:
    """Checks all, then copies into the optimizer's own arrays."""
    if isinstance(given, Mapping) and set(given) == {"state", "param_groups"}:
        what = "['step_count', 'skipped'] missing, as in those of PyTorch's own optimizers"
        raise ValueError(f"state_dict: {what}; expected one from an optimizer of this package")
    _entry("state_dict", given, ["state", "param_groups", "step_count", "skipped"])
    with opt._lock:
        count, skipped = (
            check.integer(f"state_dict[{key!r}]", given[key], at_least=0, at_most=MOST_STEPS)
            for key in ("step_count", "skipped")
        )
        groups = _checked_groups(opt, given["param_groups"])
        state = _checked_state(opt, given["state"], count)
        # What the last step used is set, remembered, and then replaced by what is set now.
        changes = [
            partial(opt._plan.set_group, k, RULES[rule].number, last, 0.0, False, 0.0)
            for k, (rule, (_, last)) in enumerate(zip(opt._rules, groups, strict=True))
        ]
        changes.append(partial(opt._plan.remember))
        for group, (values, _) in zip(opt._groups, groups, strict=True):
            changes += group._changes_of(values)
        for i, entry in enumerate(state):
            for name, array in arrays_of(opt, i).items():
                changes.append(opt._backend.assignment(array, entry[name]))
        steps = [entry["step"] for entry in state]
        scalars = [float(e.get(_scalar_name(opt, i), 0.0)) for i, e in enumerate(state)]
        commit([*changes, partial(opt._plan.restore, steps, scalars, count, skipped)])
