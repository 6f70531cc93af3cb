"""Parameters by group: read, checked and given state arrays before any is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from steepest import arrays, check, devices
from steepest.updates import forks, placement, tree
from steepest.updates.commit import Change, commit
from steepest.updates.groups import COMMON, FIXED, Check, ParamGroup, Rate, check_rounding, largest
from steepest.updates.rule_list import RULES, group_arguments

_KNOWN: set[str] = set()  # the hyperparameters of any rule


@dataclass
class NewGroup:
    """What has been read of a group."""

    values: dict[str, Any]  # all its hyperparameters
    params: Any  # its structure, in dicts and lists of our own
    names: list[str]  # of its arrays, as errors show them
    paths: list[tree.Path]
    joined: list[str]  # the paths as names
    given: list[Any]
    addresses: list[int | None]  # of the memory of PyTorch's tensors
    views: list[Any]  # the same as NumPy or CuPy arrays


class Parameters:
    """The groups of an optimizer: hyperparameters, arrays, their state, the engine's plan of all.

    Gradients and Optimizer add what is done with them: gradients, steps, checkpoints.
    A rule names its hyperparameters in ``_checks``; each becomes an attribute, of all groups.
    """

    _checks: ClassVar[dict[str, Check]] = {}  # the rule's own hyperparameters
    _structural: ClassVar[tuple[str, ...]] = ()  # those that decide which state arrays there are
    _rule: ClassVar[str]  # its name in the rule list, where hyperparameters do not pick one

    # Hyperparameters are annotated for type checkers; __init_subclass__ makes them.
    lr: Rate
    weight_decay: float
    maximize: bool
    ema_decay: float | None

    def __init_subclass__(cls) -> None:
        cls._checks = {**COMMON, **cls._checks}
        _KNOWN.update(cls._checks)
        for name in cls._checks:
            if not hasattr(cls, name):
                setattr(cls, name, _shared(name))

    if not TYPE_CHECKING:  # to a type checker an attribute that is not here is an error

        def __setattr__(self, name: str, value: Any) -> None:
            refused = name in _KNOWN or (
                # Another library's word for lr, say. A user's subclass may have its own attributes.
                not name.startswith("_")
                and type(self).__module__.startswith("steepest.")
                and not hasattr(type(self), name)
            )
            if refused and name not in self._checks:
                kind = type(self).__name__
                has = f"has no such hyperparameter; it has {sorted(self._checks)}"
                raise AttributeError(f"{name}: {kind} {has}")
            super().__setattr__(name, value)

    @classmethod
    def _variant(cls, values: Mapping[str, Any]) -> str:
        """The name, in the rule list, of the rule that these hyperparameters pick."""
        return cls._rule

    @classmethod
    def _fill(cls, values: Mapping[str, Any]) -> float:
        """What new state arrays are filled with."""
        return 0.0

    def _use(self, backend: devices.Host | devices.Cuda) -> None:
        self._backend = backend
        self._plan = backend.plan()
        if backend is devices.HOST:
            forks.watch(self._plan)
        self._lock = self._plan  # held where a step needs Python between foreign calls

    def _setup(self, defaults: dict[str, Any]) -> None:
        self._groups: list[ParamGroup] = []
        self._views: list[Any] = []  # the parameters as NumPy or CuPy arrays
        self._states: list[dict[str, Any]] = []
        self._emas: list[Any] = []
        # The tensors of PyTorch among parameters and bound gradients: which error is due if its
        # memory has moved, its index, the tensor, the address of its memory.
        self._tensors: list[tuple[str, int, Any, int]] = []
        self._paths: list[tuple[int, tree.Path]] = []
        self._rules: list[str] = []  # by group
        self._callables: dict[int, Any] = {}  # by group, the lr that each step asks
        self._bound = self._grouped = self._plain_list = False
        self._outlines: list[tree.Outline | None] = []  # by group
        self._outline: tree.Outline | None = None  # of gradients: a list by group where grouped
        self._norm_before: float | None = None  # grad_norm until a step of its own has clipped
        self._most = math.inf  # for a grad_scale, which all arrays share
        self._pinned: list[Any] = []  # weak references to bound gradients
        # Validated as a group's own would be, even where every group overrides them.
        self._defaults = self._checked({**defaults})

    @classmethod
    def _checked(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: cls._checks[name](name, value) for name, value in values.items()}

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a dict with ``"params"`` and the hyperparameters that differ from the defaults.

        From then on gradients are given as a list with one entry per group. A CUDA graph captured
        before continues with the old groups, rates and counts, apart from the optimizer's: capture
        it again.

        Raises
        ------
        TypeError, ValueError
            For invalid arrays or hyperparameters; no group is added then.
        """
        if not isinstance(group, Mapping) or "params" not in group:
            given = check.shown(group)
            raise TypeError(f"param_group: {given}; expected a dict with the key 'params'")
        with self._lock:
            self._add([group], [f'params[{len(self._groups)}]["params"]'])

    def _add(self, groups: Any, roots: list[str]) -> None:
        """Checks everything, makes the state, and only then adds it."""
        news = [self._read(group, root) for group, root in zip(groups, roots, strict=True)]
        names = [name for new in news for name in new.names]
        views = [view for new in news for view in new.views]
        here = self._views[:1]  # all others live where it does
        first = [self._parameter_name(i) for i in range(len(here))]
        backend = devices.backend_of(here + views, first + names)
        self._check_apart(backend, views, names)
        if len({new.values["ema_decay"] is None for new in news} | self._lack_ema()) > 1:
            raise ValueError(
                "ema_decay: given for some groups and None for others; give it for all or none"
            )
        if not self._views:
            self._use(backend)
        # Before the state: it refuses a stream that is captured, where nothing may be filled.
        backend.reserve(self._plan, len(news), [view.size for view in views])
        with backend.in_use():
            made = [self._new_state(new) for new in news]
        additions = self._additions(news, made)
        self._plan.begin()
        try:
            commit(additions)
        except MemoryError:
            self._plan.undo()
            for i in range(len(self._groups), len(self._groups) + len(news)):
                self._callables.pop(i, None)
            raise
        backend.ready(self._plan)

    def _watched_parameters(self) -> list[tuple[str, int, Any, int]]:
        return [row for row in self._tensors if row[0] == "moved"]

    def _read(self, group: Mapping[str, Any], root: str) -> NewGroup:
        """A group as given; errors name its structure as ``root``."""
        values = {name: value for name, value in group.items() if name not in FIXED}
        where = root.removesuffix('["params"]')
        for name in values:
            if name not in self._checks:
                raise TypeError(f"{where}: {name!r} is not one of {sorted(self._checks)}")
            values[name] = self._checks[name](f"{where}[{json.dumps(name)}]", values[name])
        if missing := self._checks.keys() - self._defaults.keys() - values.keys():
            raise TypeError(f"{where}: {', '.join(missing)} is missing, and has no default")
        values = {**self._defaults, **values}
        leaves = list(tree.flatten(group["params"]))
        paths, given = [path for path, _ in leaves], [array for _, array in leaves]
        names = [tree.written(root, path) for path in paths]
        joined = [tree.joined(path) for path in paths]
        self._check_names(where, group, joined)
        views = [arrays.as_parameter(name, a) for name, a in zip(names, given, strict=True)]
        try:
            check_rounding(self._checks, values, {view.dtype for view in views})
        except ValueError as error:
            raise error if where == "params" else ValueError(f"{where}: {error}") from None
        params = tree.rebuild(group["params"], iter(given).__next__)
        addresses = [arrays.tensor_address(array) for array in given]
        return NewGroup(values, params, names, paths, joined, given, addresses, views)

    @staticmethod
    def _check_names(where: str, group: Mapping[str, Any], due: list[str]) -> None:
        """Refuses names, as of another optimizer's group, that do not follow from its structure."""
        if "param_names" in group:
            given = group["param_names"]
            if not check.same_list(given, due):
                differ = f"{check.shown(given)} differ from its structure's {check.shown(due)}"
                raise ValueError(f"{where}: param_names {differ}; leave them out")

    def _new_state(self, new: NewGroup) -> list[tuple[dict[str, Any], Any]]:
        """The state arrays and the running mean, or None, of each array."""
        states = RULES[self._variant(new.values)].states
        made = placement.like(new.views, [self._fill(new.values)] * len(states))
        emas: list[Any] = [None] * len(made)
        if new.values["ema_decay"] is not None:
            # In an allocation of their own: whoever keeps the means must not keep the states alive.
            # Averaging is a separate stage, which is not slowed by where the states lie.
            emas = [ema for (ema,) in placement.like(new.views, [0.0])]
            for view, ema in zip(new.views, emas, strict=True):
                ema[...] = view
        named = [dict(zip(states, mine, strict=True)) for mine in made]
        return list(zip(named, emas, strict=True))

    def _lack_ema(self) -> set[bool]:
        """Whether the groups lack running means: one answer, or none without groups."""
        return {group["ema_decay"] is None for group in self._groups[:1]}

    def _check_apart(self, backend: Any, views: list[Any], names: list[str]) -> None:
        """Refuses new arrays that share memory, with each other or with what there is."""
        emas = [ema for ema in self._emas if ema is not None]  # of all tensors or of none
        pair = backend.find_overlap(self._views + emas + views)
        if pair is not None:
            kept = [self._parameter_name(i) for i in range(len(self._views))]
            means = [f"the running mean of {name}" for name in kept[: len(emas)]]
            first, second = ([*kept, *means, *names][i] for i in sorted(pair))
            raise ValueError(f"{second}: shares memory with {first}; each array may appear once")

    def _root(self, group: int, of: str = "params") -> str:
        key = '["params"]' if of == "params" else ""
        return f"{of}[{group}]{key}" if self._grouped else of

    def _parameter_name(self, i: int) -> str:
        """An array as errors show it."""
        group, path = self._paths[i]
        return tree.written(self._root(group), path)

    def _additions(self, news: list[NewGroup], made: list[list[Any]]) -> list[Change]:
        """The changes that add groups, with the state made for them, and release bound gradients.

        Those to the plan and to `_callables` may fail for want of memory; `_add` undoes these.
        """
        plan, most, tensors = self._plan, self._most, self._watched_parameters()
        changes: list[Change] = []
        groups, rules, views = [*self._groups], [*self._rules], [*self._views]
        states, emas, paths = [*self._states], [*self._emas], [*self._paths]
        for i, (new, pairs) in enumerate(zip(news, made, strict=True), len(groups)):
            rule = self._variant(new.values)
            groups.append(self._group(i, rule, new))
            rules.append(rule)
            paths += [(i, path) for path in new.paths]
            changes.append(partial(plan.add_group, *group_arguments(rule, new.values)))
            scalar = 1.0 if RULES[rule].scalar else 0.0
            for array, address, view, (state, ema) in zip(
                new.given, new.addresses, new.views, pairs, strict=True
            ):
                arguments = i, view, list(state.values()), ema, 0, scalar
                changes.append(partial(plan.add_tensor, *arguments))
                if isinstance(array, np.ndarray):  # those of CuPy neither freeze nor move
                    changes.append(partial(plan.watch, array))
                if address is not None:
                    tensors.append(("moved", len(views), array, address))
                views.append(view)
                states.append(state)
                emas.append(ema)
            if callable(new.values["lr"]):
                changes.append(partial(self._callables.__setitem__, i, new.values["lr"]))
            most = min(most, groups[-1]._largest_lr)
        outlines = [*self._outlines, *(tree.outline(new.params) for new in news)]
        grouped = self._grouped or bool(self._groups)
        outline = tree.Outline(len(outlines), tuple(outlines)) if grouped else outlines[0]
        settings = {
            "_groups": groups,
            "_rules": rules,
            "_views": views,
            "_states": states,
            "_emas": emas,
            "_paths": paths,
            "_most": most,
            "_grouped": grouped,
            "_outlines": outlines,
            "_outline": outline,
            "_plain_list": not grouped and outline is not None and outline.is_plain_list(),
            "_bound": False,
            "_pinned": [],
            "_tensors": tensors,
        }
        changes.append(partial(plan.bind, (None,) * len(views)))
        return [*changes, partial(vars(self).update, settings)]

    def _group(self, i: int, rule: str, new: NewGroup) -> ParamGroup:
        # The functions below hold no self: in a cycle with its groups, an optimizer would keep its
        # memory until Python's collector runs.
        cls, plan, callables, present = type(self), self._plan, self._callables, new.values
        dtypes, fixed = {view.dtype for view in new.views}, (*cls._structural, "ema_decay")

        def validate(new: dict[str, Any]) -> dict[str, Any]:
            new = cls._checked(new)
            check_rounding(cls._checks, new, dtypes)
            if new.keys().isdisjoint(fixed):
                return new
            whole = {**present, **new}
            ema = (whole["ema_decay"] is None) != (present["ema_decay"] is None)
            fill = cls._fill(whole) != cls._fill(present)
            if cls._variant(whole) != rule or ema or fill:
                raise ValueError(_decided(fixed, present, whole))
            return new

        def changes_of(new: dict[str, Any]) -> list[Change]:
            values = {**present, **new}
            # Not pop: `commit` would take the callable that it returns for a failure.
            asked = [partial(callables.__delitem__, i)] if i in callables else []
            if callable(values["lr"]):
                asked = [partial(callables.__setitem__, i, values["lr"])]
                # The old number stays in the plan, for a step that another thread has begun.
                values["lr"] = present["lr"]
            if new.keys() == {"lr"} and not callable(new["lr"]):  # as some loops do at each step
                passed_on = partial(plan.set_lr, i, new["lr"])
            else:
                passed_on = partial(plan.set_group, i, *group_arguments(rule, values))
            # The plan first: a captured stream refuses, and nothing has changed.
            return [passed_on, *asked, partial(present.update, new)]

        return ParamGroup(
            present,
            new.params,
            new.joined,
            largest_lr=largest(dtypes),
            validate=validate,
            changes_of=changes_of,
            lock=plan,
        )

    @property
    def param_groups(self) -> tuple[ParamGroup, ...]:
        """The groups' hyperparameters; setting one takes effect at the next step."""
        return tuple(self._groups)


def _decided(fixed: Sequence[str], old: dict[str, Any], new: dict[str, Any]) -> str:
    """The error for hyperparameters that cannot be changed later."""
    names = [name for name in fixed if new[name] != old[name]]
    seen = ", ".join(f"{new[name]!r} where it was {old[name]!r}" for name in names)
    why = "decided at construction, as state arrays depend on it"
    return f"{', '.join(names)}: {why}; {seen}"


def _shared(name: str) -> Any:
    """A hyperparameter of all groups at once."""

    def get(self: Parameters) -> Any:
        values = [group[name] for group in self.param_groups]
        if any(value is not values[0] and value != values[0] for value in values):
            raise AttributeError(
                f"{name}: groups differ ({check.shown(values)}); read param_groups[i][{name!r}]"
            )
        return values[0]

    def put(self: Parameters, value: Any) -> None:
        groups = self.param_groups  # of now: another thread may add one
        checked = [group._checked({name: value}) for group in groups]  # all before any
        with self._lock:
            changes = [
                change
                for group, new in zip(groups, checked, strict=True)
                for change in group._changes_of(new)
            ]
            commit([*changes, partial(self._defaults.update, checked[0])])

    return property(get, put, doc=f"``{name}`` of every group; see ``param_groups``.")
