"""An optimizer's state as a dict in PyTorch's layout, and as one .npz file."""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import IO, Any

import numpy as np

from steepest import check
from steepest.arrays import plain
from steepest.updates.commit import commit
from steepest.updates.parameters import Parameters
from steepest.updates.rule_list import RULES

MOST_STEPS = 2**53  # counted exactly in a double
HEADER = 10_000  # bytes of a .npy file beside its array, at most
SMALL = 2**16  # bytes of such a file that is read at once
MOST_JSON = 2**24  # bytes; enough for the errors that say how another optimizer's file differs


def _scalar_name(opt: Parameters, i: int) -> str:
    group, _ = opt._paths[i]
    return RULES[opt._rules[group]].scalar


def _arrays_of(opt: Parameters, i: int) -> dict[str, Any]:
    ema = {} if opt._emas[i] is None else {"ema": opt._emas[i]}
    return {**opt._states[i], **ema}


def state_dict(opt: Parameters, copy: bool = True) -> dict[str, Any]:
    """Everything that a run needs to continue, except the parameters themselves."""
    with opt._lock, opt._backend.in_use():
        state: dict[int, dict[str, Any]] = {}
        clocks, scalars = opt._plan.clocks()
        for i in range(len(opt._views)):
            state[i] = {"step": clocks[i]}
            for name, array in _arrays_of(opt, i).items():
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
    mine, scalar = _arrays_of(opt, i), _scalar_name(opt, i)
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
            for name, array in _arrays_of(opt, i).items():
                changes.append(opt._backend.assignment(array, entry[name]))
        steps = [entry["step"] for entry in state]
        scalars = [float(e.get(_scalar_name(opt, i), 0.0)) for i, e in enumerate(state)]
        commit([*changes, partial(opt._plan.restore, steps, scalars, count, skipped)])


def _file(path: Any) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path: {check.got(path)}; expected the name of a file") from None


def save(opt: Parameters, path: str | os.PathLike[str]) -> None:
    """Write a file beside the target, then move it there."""
    target = os.path.realpath(_file(path))  # a link keeps leading to the file
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        raise ValueError(f"path: {target!r} is a device or pipe, which a file cannot replace")
    # A random name. One made from the target's might be too long; one made from the process and
    # thread might be in use, by a signal's handler or by another machine in the same folder.
    beside = f"{os.path.dirname(target)}/.{os.urandom(8).hex()}.part"
    handled = sys.exc_info()[1]  # saving after an error is not to raise that one
    try:
        with opt._lock, open(beside, "wb") as file:
            _write(opt, file)
            file.flush()
            _sync(file)  # or a power failure may leave neither the old file nor the new
        if os.path.exists(target):
            os.chmod(beside, os.stat(target).st_mode & 0o777)
        os.replace(beside, target)
    except BaseException as error:
        if os.path.exists(beside):
            os.remove(beside)
        # An error while writing, as on a full disk, names no file.
        if isinstance(error, OSError) and error.errno and error.filename in (beside, None):
            raise OSError(error.errno, error.strerror, target) from None
        while error.__context__ not in (None, handled):
            error = error.__context__
        if not isinstance(error, Exception):  # Ctrl-C, of which zipfile makes a ValueError
            raise error from None
        raise


def _write(opt: Parameters, file: IO[bytes]) -> None:
    """The state dict as an .npz file: arrays as themselves, the rest as JSON."""
    whole = state_dict(opt, copy=False)
    contents: dict[str, Any] = {}
    for i, entry in whole["state"].items():
        arrays = {k: opt._backend.to_host(v) for k, v in entry.items() if hasattr(v, "shape")}
        contents.update((f"state/{i}/{name}", array) for name, array in arrays.items())
        whole["state"][i] = {k: v for k, v in entry.items() if k not in arrays}
    np.savez(file, json=np.array(json.dumps(whole)), **contents)


def _sync(file: IO[bytes]) -> None:
    """Wait until the file is on the disk, where the file system can."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise


@functools.lru_cache(maxsize=256)
def _header(dtype: np.dtype[Any], shape: tuple[int, ...], fortran_order: bool) -> bytes:
    written = io.BytesIO()
    of = {"descr": dtype.str, "fortran_order": fortran_order, "shape": shape}
    np.lib.format.write_array_header_1_0(written, of)
    return written.getvalue()


def _in_file(file: Any, key: str, due: Any) -> Any:
    """An array of a file.

    One that is larger than the array due comes as a stand-in without memory: it will be refused by
    its shape and dtype.
    """
    name = f"{key}.npy"
    size, expected = file.zip.getinfo(name).file_size, getattr(due, "nbytes", 0)
    if size <= SMALL and isinstance(due, np.ndarray):
        # Comparing headers takes a fraction of the time in which NumPy parses one.
        header = _header(due.dtype, due.shape, due.flags.fnc)
        with file.zip.open(name) as entry:
            content = entry.read(size)  # with a size, so that it inflates no more than that
        if content.startswith(header) and size == len(header) + expected:
            flat = np.frombuffer(content, due.dtype, offset=len(header))
            return flat.reshape(due.shape, order="F" if due.flags.fnc else "C")
    if size <= HEADER + expected:
        return file[key]
    with file.zip.open(name) as entry:
        if np.lib.format.read_magic(entry) != (1, 0):
            raise ValueError(f"{key}: a later version of .npy")
        shape, _, dtype = np.lib.format.read_array_header_1_0(entry)
    if due is not None and (shape, dtype) == (due.shape, due.dtype):
        raise ValueError(f"{key}: larger than its shape")
    return np.broadcast_to(np.zeros((), dtype), shape)


def _check_json(opt: Parameters, file: Any) -> None:
    """Refuses JSON that is larger than this optimizer's could be."""
    size, most = file.zip.getinfo("json.npy").file_size, MOST_JSON
    for group in opt._groups:  # 4 bytes a character; an escaped one is 12 characters
        most += 4 * (10_000 + sum(1000 + 12 * len(name) for name in group.param_names))
    if size > most:
        raise ValueError(f"{size:,} bytes of JSON; this optimizer's has at most {most:,}")


def _read(opt: Parameters, opened: IO[bytes]) -> dict[str, Any]:
    """The state dict in a file of ``save``."""
    if opened.read(4) != b"PK\x03\x04":  # np.load would advise allow_pickle=True
        raise ValueError("not an .npz archive")
    opened.seek(0)
    with opt._lock:  # another thread may be adding a group
        due = {
            f"state/{i}/{name}": array
            for i in range(len(opt._views))
            for name, array in _arrays_of(opt, i).items()
        }
    with np.load(opened, allow_pickle=False) as file:
        _check_json(opt, file)
        whole: dict[str, Any] = json.loads(str(file["json"]))
        state = {int(i): entry for i, entry in whole["state"].items()}
        for key in file.files:
            if key == "json":
                continue
            _, i, name = key.split("/", 2)
            if name in state[int(i)]:
                raise ValueError(f"{key}: appears twice")
            state[int(i)][name] = _in_file(file, key, due.get(key))
    return {**whole, "state": state}


def load(opt: Parameters, path: str | os.PathLike[str]) -> None:
    """Read a file of ``save``."""
    name = _file(path)
    with open(name, "rb") as opened:
        try:
            whole = _read(opt, opened)
        except Exception as error:  # of the zip, the arrays or the JSON in it
            why = str(error) or type(error).__name__  # EOFError says no more
            why = why[:200]  # zipfile quotes up to 64 KiB of a damaged file
            raise ValueError(f"{name}: not a file that Optimizer.save wrote: {why}") from error
    load_state_dict(opt, whole)
