"""A parameter group: hyperparameters that are checked, and passed on, when they are set."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from steepest import check
from steepest.updates import tree
from steepest.updates.commit import Change, commit

FIXED = ("params", "param_names")  # what a group shows beside its hyperparameters

Check = Callable[[str, Any], Any]
Rate = float | Callable[[int], float]
MISSING: Any = inspect.Parameter.empty  # lr was not given: then each group must have its own


def at_least_zero(name: str, value: Any) -> float:
    return check.number(name, value, at_least=0)


def decay_rate(name: str, value: Any) -> float:
    return check.number(name, value, at_least=0, below=1)


def decay_rates(name: str, value: Any) -> tuple[float, float]:
    return check.pair(name, value, at_least=0, below=1)


def rate(name: str, value: Any) -> Any:
    """A learning rate, or a callable that gives one at each step."""
    if isinstance(value, type):
        raise TypeError(f"{name}: the class {value.__name__}; expected a number or a schedule")
    return value if callable(value) else at_least_zero(name, value)


def decay_or_none(name: str, value: Any) -> float | None:
    return None if value is None else decay_rate(name, value)


# What every rule takes beside its own.
COMMON: dict[str, Check] = {
    "lr": rate,
    "weight_decay": at_least_zero,
    "maximize": check.flag,
    "ema_decay": decay_or_none,
}


@functools.cache
def _limits(dtype: Any) -> tuple[float, float, float]:
    """The least number above 0, the largest below 1, and the largest."""
    limits, one = np.finfo(dtype), dtype.type(1)
    return float(limits.smallest_subnormal), float(one - limits.epsneg), float(limits.max)


def largest(dtypes: Any) -> float:
    """The largest number that each of them can hold."""
    return min((_limits(dtype)[2] for dtype in dtypes), default=math.inf)


def check_rounding(checks: Mapping[str, Check], values: Mapping[str, Any], dtypes: Any) -> None:
    """Refuses hyperparameters that a dtype of their group rounds to an invalid value."""
    for dtype in dtypes:
        for name, given in values.items():
            for value in given if isinstance(given, tuple) else (given,):
                if isinstance(value, float):  # no flag, None or callable
                    _check_rounded(name, checks[name], value, dtype)


def _check_rounded(name: str, test: Check, value: float, dtype: Any) -> None:
    """A decay rate must not round to 1, as 1 - β would be 0; nor an ε to 0; nor may it overflow."""
    least, below_one, most = _limits(dtype)
    if value > most:
        what, due = "is infinite", f"at most {most!r}"
    elif test in (decay_rate, decay_rates) and dtype.type(value) == 1:
        what, due = "rounds to 1", f"at most {below_one!r}"
    elif name == "eps" and 0 < value and dtype.type(value) == 0:
        what, due = "rounds to 0", f"0, or at least {least!r}"
    else:
        return
    where = f"in {dtype.name}, the type of its parameters"
    raise ValueError(f"{name}: {value!r} {what} {where}; expected {due}")


class ParamGroup(MutableMapping[str, Any]):
    """One group's ``params``, ``param_names`` and hyperparameters, as a dict would show them.

    A hyperparameter is checked when it is set, and takes effect at the next step. ``params`` is a
    new structure of the optimizer's own arrays. Copied or pickled, a group becomes a plain dict,
    which belongs to no optimizer.

    Raises
    ------
    KeyError
        For a name that the rule does not have.
    TypeError, ValueError
        For an invalid value, or a setting that decides which state arrays there are.
    """

    __slots__ = (
        "_changes_of",
        "_largest_lr",
        "_lock",
        "_validate",
        "_values",
        "param_names",
        "params",
    )

    def __init__(
        self,
        values: dict[str, Any],
        params: Any,
        param_names: list[str],
        *,
        largest_lr: float,
        validate: Callable[[dict[str, Any]], dict[str, Any]],
        changes_of: Callable[[dict[str, Any]], list[Change]],
        lock: Any,
    ) -> None:
        self._values = values
        self.params, self.param_names = params, param_names  # the optimizer's own
        self._largest_lr = largest_lr  # that the arrays' dtypes hold
        self._validate, self._changes_of, self._lock = validate, changes_of, lock

    if not TYPE_CHECKING:  # to a type checker an attribute that is not here is an error

        def __setattr__(self, name: str, value: Any) -> None:
            # group.lr = 0.1 would change no step, group.params = [] the structure of gradients.
            if name not in self.__slots__ or hasattr(self, name):
                raise AttributeError(f"{name}: not an attribute to set; set group[{name!r}]")
            super().__setattr__(name, value)

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            leaves = (leaf for _, leaf in tree.flatten(self.params))
            return tree.rebuild(self.params, leaves.__next__)
        return list(self.param_names) if name == "param_names" else self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._set({name: value})

    def _set(self, new: dict[str, Any]) -> None:
        """Set several hyperparameters, all or none."""
        checked = self._checked(new)
        with self._lock:
            commit(self._changes_of(checked))

    def _checked(self, new: dict[str, Any]) -> dict[str, Any]:
        """Hyperparameters that may be set, each in its own type."""
        for name in new:
            if name in FIXED:
                raise ValueError(f"{name}: the arrays of a group cannot be replaced")
            if name not in self._values:
                raise KeyError(f"{name!r} is not one of {sorted(self._values)}")
        return self._validate(new)

    def update(self, *new: Any, **values: Any) -> None:
        """As a dict's, but all or none."""
        self._set(dict(*new, **values))

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name!r} cannot be deleted from a parameter group")

    def __iter__(self) -> Iterator[str]:
        yield from FIXED
        yield from self._values

    def __len__(self) -> int:
        return len(FIXED) + len(self._values)

    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters alone, in a new dict."""
        return dict(self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"ParamGroup({check.counted(len(self.param_names), 'array')}, {values})"
