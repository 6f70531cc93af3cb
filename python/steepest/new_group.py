"""A new parameter group: its arrays are read, checked and given state before any is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steepest import arrays, tree
from steepest.groups import check_rounding
from steepest.rule_list import RULES

if TYPE_CHECKING:
    from steepest.optimizer import Optimizer

__all__ = ["NewGroup", "check_apart", "make_state", "read"]


@dataclass
class NewGroup:
    """What has been read of a group."""

    values: dict[str, Any]  # all its hyperparameters
    params: Any  # its structure, in dicts and lists of our own
    names: list[str]  # of its arrays, as errors show them
    paths: list[tree.Path]
    given: list[Any]
    views: list[Any]  # the same as NumPy or CuPy arrays


def read(
    kind: type[Optimizer], group: Mapping[str, Any], root: str, defaults: Mapping[str, Any]
) -> NewGroup:
    """A group as given; errors name its structure as ``root``."""
    values = {name: value for name, value in group.items() if name != "params"}
    for name in values:
        if name not in defaults:
            where, known = root.removesuffix('["params"]'), sorted(defaults)
            raise TypeError(f"{where}: {name!r} is not one of {known}")
    values = kind._check({**defaults, **values})
    leaves = list(tree.flatten(group["params"]))
    paths, given = [path for path, _ in leaves], [array for _, array in leaves]
    names = [tree.written(root, path) for path in paths]
    views = [arrays.as_parameter(name, a) for name, a in zip(names, given, strict=True)]
    check_rounding(kind.checks, values, views)
    params = tree.rebuild(group["params"], iter(given).__next__)
    return NewGroup(values, params, names, paths, given, views)


def check_apart(backend: Any, views: list[Any], names: list[str]) -> None:
    """Refuses arrays that share memory."""
    pair = backend.find_overlap(views)
    if pair is not None:
        first, second = (names[i] for i in sorted(pair))
        raise ValueError(f"{second}: shares memory with {first}; each array may appear once")


def make_state(kind: type[Optimizer], new: NewGroup) -> list[tuple[dict[str, Any], Any]]:
    """The state arrays and the running mean, or None, of each array."""
    states = RULES[kind.variant(new.values)][2]
    made = []
    for view in new.views:
        ema = None
        if new.values["ema_decay"] is not None:
            ema = arrays.like(view)
            ema[...] = view
        made.append(({s: arrays.like(view, kind.fill(new.values, s)) for s in states}, ema))
    return made
