"""A parameter group: hyperparameters that are checked, and passed on, when they are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from itertools import product
from typing import Any

import numpy as np

from steepest import check

__all__ = ["ParamGroup"]

Check = Callable[[str, Any], Any]
Rate = float | Callable[[int], float]


def at_least_zero(name: str, value: Any) -> float:
    return check.number(name, value, at_least=0)


def decay_rate(name: str, value: Any) -> float:
    return check.number(name, value, at_least=0, below=1)


def decay_rates(name: str, value: Any) -> tuple[float, float]:
    return check.pair(name, value, at_least=0, below=1)


def rate(name: str, value: Any) -> Any:
    """A learning rate, or a callable that is asked for one at each step."""
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


def check_rounding(checks: Mapping[str, Check], values: Mapping[str, Any], views: Any) -> None:
    """Refuses a decay rate that the views' dtype cannot tell from 1: 1 - β would be 0."""
    dtypes = {view.dtype for view in views}
    for name in [name for name, test in checks.items() if test in (decay_rate, decay_rates)]:
        for beta, dtype in product(np.atleast_1d(values[name]).tolist(), dtypes):
            if dtype.type(beta) == 1:
                raise ValueError(
                    f"{name}: {beta!r} rounds to 1 in {dtype.name}, the type of its parameters; "
                    f"allowed is at most {float(np.nextafter(dtype.type(1), dtype.type(0)))!r}"
                )


def counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


class ParamGroup(MutableMapping[str, Any]):
    """One group's ``params``, ``param_names`` and hyperparameters, as a dict would show them.

    Setting a hyperparameter checks it and takes effect at the next step. Copied or pickled, it is
    a dict, which belongs to no optimizer.

    Raises
    ------
    KeyError
        For a name that the rule does not have.
    TypeError, ValueError
        For a value that is not allowed, or a setting that decides which state arrays there are.
    """

    def __init__(
        self,
        values: dict[str, Any],
        params: Any,
        param_names: list[str],
        checked: Callable[[dict[str, Any]], dict[str, Any]],
        changed: Callable[[dict[str, Any]], None],
    ) -> None:
        self._values = values
        self._fixed = {"params": params, "param_names": param_names}
        self._checked, self._changed = checked, changed

    def __getitem__(self, name: str) -> Any:
        return self._fixed[name] if name in self._fixed else self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.change({name: value})

    def change(self, new: dict[str, Any]) -> None:
        """Set several hyperparameters, all or none."""
        for name in new:
            if name in self._fixed:
                raise ValueError(f"{name}: the arrays of a group stay as they are")
            if name not in self._values:
                raise KeyError(f"{name!r} is not one of {sorted(self._values)}")
        values = self._checked({**self._values, **new})
        self._changed(values)
        self._values = values

    def update(self, *new: Any, **values: Any) -> None:
        """As a dict's, but all or none."""
        self.change(dict(*new, **values))

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name!r} cannot be deleted from a parameter group")

    def __iter__(self) -> Iterator[str]:
        yield from self._fixed
        yield from self._values

    def __len__(self) -> int:
        return len(self._fixed) + len(self._values)

    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters alone, as a dict of their own."""
        return dict(self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"ParamGroup({counted(len(self._fixed['param_names']), 'array')}, {values})"
