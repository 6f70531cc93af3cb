"""The optimizer behind every rule: a step of all its parameters is one foreign call."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

from steepest import _cpu, check
from steepest.updates import checkpoint, saved_file, tree
from steepest.updates.gradients import Gradients
from steepest.updates.groups import MISSING

NONFINITE = ("propagate", "skip", "raise")
MOST_REPLACED = 1000  # a schedule that sets a new one each time it is asked would never end
# Defaults of grad_scale and nonfinite: known by identity, which costs less than a comparison.
_ONE, _PROPAGATE = 1.0, "propagate"


class Optimizer(Gradients):
    """What all rules share; to be used through one of them.

    Parameters
    ----------
    params : array, structure of arrays, or list of dicts
        Float32 or float64 arrays, updated in place. A list of dicts that each have the key
        ``"params"`` makes parameter groups with their own hyperparameters; so do another
        optimizer's ``param_groups``, if this one has all their hyperparameters.
    hyperparameters : dict
        The defaults of all groups.

    Attributes
    ----------
    param_groups : tuple of ParamGroup
        Hyperparameters by group; setting one takes effect at the next step.
    step_count : int
        Steps taken, not counting skipped ones.
    skipped : int
        Steps skipped because a gradient was not finite.
    grad_norm : float or None
        Global 2-norm of the gradients at the last step that clipped, after unscaling and before
        clipping; None before the first.
    ema : structure of arrays
        Running means of the parameters, with ``ema_decay``; NumPy's arrays for PyTorch's tensors.
    """

    def __init__(self, params: Any, **hyperparameters: Any) -> None:
        self._setup({k: value for k, value in hyperparameters.items() if value is not MISSING})
        grouped = isinstance(params, (list, tuple)) and all(
            isinstance(group, Mapping) and "params" in group for group in params
        )
        self._grouped = grouped
        groups = params if grouped else [{"params": params}]
        roots = [f'params[{i}]["params"]' if grouped else "params" for i in range(len(groups))]
        if next(tree.flatten([group["params"] for group in groups]), None) is None:
            raise ValueError("params: contains no array; expected at least one")
        self._add(groups, roots)

    # Steps ------------------------------------------------------------------------------------

    def step(
        self,
        grads: Any = None,
        *,
        grad_scale: float = _ONE,
        max_norm: float | None = None,
        nonfinite: str = _PROPAGATE,
        zero_grad: bool = False,
    ) -> None:
        """Update every parameter in place, in one pass over memory.

        Parameters
        ----------
        grads : structure of arrays, optional
            As ``params``, with ``None`` for an array to be left alone. If omitted, the gradients
            bound by ``bind_grads`` are read.
        grad_scale : float
            The gradients are divided by it. Positive; neither it nor its reciprocal may exceed a
            quarter of the largest number of their dtype.
        max_norm : float, optional
            Scale all gradients by min(1, max_norm / norm), where norm is their global 2-norm after
            ``grad_scale``, kept in ``grad_norm``. Pascanu, Mikolov & Bengio 2013,
            arXiv:1211.5063, Algorithm 1.
        nonfinite : {"propagate", "skip", "raise"}
            What to do when a gradient contains NaN or infinity: carry on, leave everything as it is
            and count the step in ``skipped``, or raise FloatingPointError.
        zero_grad : bool
            Set the gradients to zero once they are read. A skipped step leaves them as they are: if
            you accumulate into them, zero them yourself, or the NaN stays for good.

        Raises
        ------
        TypeError, ValueError
            For invalid gradients or options; nothing is changed then.
        FloatingPointError
            Under ``nonfinite="raise"``, naming the first array that is not finite.
        """
        if self._tensors:
            self._check_memory(grads)
        if self._callables:
            return self._step_by_schedule(grads, grad_scale, max_norm, nonfinite, zero_grad)
        if (
            grads is None
            and self._bound
            and grad_scale is _ONE
            and max_norm is None
            and nonfinite is _PROPAGATE
            and zero_grad is False
        ):
            trouble = self._plan.step_bound_plain()
            return None if trouble is None else self._refuse(*trouble)
        return self._step(grads, grad_scale, max_norm, nonfinite, zero_grad)

    def _step(
        self, grads: Any, grad_scale: Any, max_norm: Any, nonfinite: Any, zero_grad: Any
    ) -> None:
        if grad_scale is not _ONE:
            most = self._most / 4  # its reciprocal is no denormal
            grad_scale = check.number("grad_scale", grad_scale, at_least=1 / most, at_most=most)
        if max_norm is not None:
            max_norm = check.number("max_norm", max_norm, at_least=0, finite=False)
        mode = NONFINITE.index(check.choice("nonfinite", nonfinite, NONFINITE))
        options = (grad_scale, max_norm, mode, check.flag("zero_grad", zero_grad))
        if grads is None:
            if not self._bound:
                raise TypeError("grads: None, and none are bound; pass them or call bind_grads")
            trouble = self._plan.step_bound(*options)
        else:
            flat = self._flat(grads)
            trouble = self._plan.step(flat, *options)
            if trouble is not None and trouble[0] == "mismatch":
                trouble = self._plan.step(_cpu.tensor_views(flat), *options)
            if trouble is not None and trouble[0] == "mismatch":
                trouble = self._plan.step(self._converted(flat), *options)
        if trouble is not None:
            self._refuse(*trouble)

    def _step_by_schedule(self, *arguments: Any) -> None:
        """A step with the rates that the callable lrs give after the calls so far.

        They are called without the lock, since one may wait for a thread that needs it. If
        meanwhile a schedule was replaced, or another thread took a step, they are called again.
        """
        replaced, plan = 0, self._plan
        while replaced < MOST_REPLACED:
            with plan:
                calls, rates = plan.calls(), self._callables.copy()
            asked = {}
            for i, rate in rates.items():
                most = self._groups[i]._largest_lr
                asked[i] = check.number(f"lr({calls})", rate(calls), at_least=0, at_most=most)
            with plan:
                same = rates == self._callables
                if same and plan.calls() == calls:
                    for i, lr in asked.items():
                        plan.set_lr(i, lr)
                    return self._step(*arguments)
                replaced += not same
        raise ValueError(
            f"lr: a schedule was replaced {replaced} times while being called; no step was taken"
        )

    # Where a run stands -----------------------------------------------------------------------

    @property
    def step_count(self) -> int:
        """Steps taken; skipped ones are not counted."""
        steps, _ = self._plan.counts()
        return int(steps)

    @property
    def skipped(self) -> int:
        """Steps skipped because a gradient was not finite."""
        _, skipped = self._plan.counts()
        return int(skipped)

    @property
    def grad_norm(self) -> float | None:
        """Global 2-norm at the last step that clipped, after unscaling; None before the first."""
        norm = self._plan.grad_norm()
        return self._norm_before if norm == -1 else norm

    @property
    def ema(self) -> Any:
        """The running means, e ← e + (1−d)(θ−e), in the structure of ``params``."""
        with self._lock:
            if True in self._lack_ema():
                raise AttributeError("ema: kept only with ema_decay; pass it at construction")
            return self._structured(iter(self._emas))

    def _structured(self, leaves: Iterator[Any]) -> Any:
        """The structure of ``params`` with these arrays; a list by group where there are groups."""
        trees = [tree.rebuild(group.params, lambda: next(leaves)) for group in self._groups]
        return trees if self._grouped else trees[0]

    # Checkpoints ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Copies of all state, in PyTorch's layout (``state``, ``param_groups``), with
        ``step_count`` and ``skipped``.

        The parameters are not in it: they are yours to keep. A callable ``lr`` is left out (None):
        the optimizer that loads it keeps its own.
        """
        return checkpoint.state_dict(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` gave; the run continues bit for bit.

        A saved number replaces a callable ``lr``; if it was a callable, the present one stays.

        Raises
        ------
        TypeError, ValueError
            If rule, names, shapes, dtypes or keys differ; nothing is changed then.
        """
        checkpoint.load_state_dict(self, state_dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``state_dict()``, without the parameters, to one ``.npz`` file, without pickle.

        The file's name is ``path``; no ending is added.

        Raises
        ------
        TypeError, ValueError, OSError
            If ``path`` is no file name, or the file cannot be written; an older file stays.
        """
        saved_file.save(self, path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what ``save`` wrote, as ``load_state_dict`` does; ValueError for any other file."""
        saved_file.load(self, path)

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        # The lock keeps steps out until the arrays are copied. For a pickle, they are read after
        # __getstate__ has released it.
        with self._lock:
            new = memo[id(self)] = object.__new__(type(self))
            # The states are not copied here: nobody else has them, and loading copies them.
            states = {id(array): array for mine in self._states for array in mine.values()}
            memo.update(states)
            try:
                new.__setstate__(copy.deepcopy(self.__getstate__(), memo))
            finally:
                for key in states:
                    del memo[key]
        return new

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {
                "groups": [dict(group) for group in self._groups],
                "grouped": self._grouped,
                "defaults": self._defaults,
                "state": checkpoint.state_dict(self, copy=False),
                "grad_norm": self.grad_norm,
                "others": {k: v for k, v in vars(self).items() if k not in _ENGINE},
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._setup(state["defaults"])
        self._grouped = state["grouped"]
        self._add(state["groups"], [f'params[{i}]["params"]' for i in range(len(state["groups"]))])
        # A parameter that was given another shape since has it in the copy from the start.
        for view, entry in zip(self._views, state["state"]["state"].values(), strict=True):
            for name, value in entry.items():
                if getattr(value, "size", None) == view.size:
                    entry[name] = value.reshape(view.shape)
        checkpoint.load_state_dict(self, state["state"])
        self._norm_before = state["grad_norm"]
        vars(self).update(state["others"])

    def __repr__(self) -> str:
        elements = check.counted(sum(view.size for view in self._views), "element")
        head = f"{check.counted(len(self._views), 'array')}, {elements}, step {self.step_count}"
        lines = [
            ", ".join(f"{key}={value!r}" for key, value in group.hyperparameters().items())
            for group in self._groups
        ]
        if len(lines) == 1:
            return f"{type(self).__name__}({head}, {lines[0]})"
        body = "".join(f"\n  group {i}: {line}" for i, line in enumerate(lines))
        return f"{type(self).__name__}({head}{body}\n)"


# The attributes that a copy makes anew; others, of a subclass or a user, are copied.
_bare = object.__new__(Optimizer)
_bare._setup({})
_ENGINE = frozenset(vars(_bare)) | {"_backend", "_plan", "_lock"}  # these by _use
