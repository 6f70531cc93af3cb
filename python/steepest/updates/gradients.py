"""Gradients: put in the order of the parameters, checked, and bound for later steps."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from steepest import _cpu, arrays, check
from steepest.updates import tree
from steepest.updates.commit import commit
from steepest.updates.parameters import Parameters


class Gradients(Parameters):
    """Parameters, and what is done with gradients for them before a step reads them."""

    def _flat(self, grads: Any) -> tuple[Any, ...]:
        """The gradients in the order of the parameters."""
        if self._plain_list and isinstance(grads, (list, tuple)):
            if len(grads) == len(self._views):
                return tuple(grads)  # the engine finds what is no array
        flat = _cpu.leaves_of(self._outline, grads)
        return tuple(self._walked(grads)) if flat is None else flat

    def _walked(self, grads: Any) -> Sequence[Any]:
        """The same where the structure is not the parameters', to the letter."""
        if not self._grouped:
            return tree.flatten_like(self._outline, grads, "grads")
        if not isinstance(grads, (list, tuple)):
            given = check.got(grads)
            raise TypeError(f"grads: {given}; expected a list with one entry per group")
        outlines = self._outlines
        if len(grads) != len(outlines):
            raise ValueError(
                f"grads: a list of {len(grads)} for {len(outlines)} groups; expected one entry "
                "per group, each as its params"
            )
        flat: list[Any] = []
        for i, (like, mine) in enumerate(zip(outlines, grads, strict=True)):
            if not isinstance(mine, list) and isinstance(mine, Mapping) and "params" in mine:
                mine = mine["params"]
            flat.extend(tree.flatten_like(like, mine, f"grads[{i}]"))
        return flat

    def _gradient_name(self, i: int) -> str:
        group, path = self._paths[i]
        return tree.written(self._root(group, "grads"), path)

    def _converted(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients as the engine takes them, or an error that names one that is none."""
        return tuple(
            None if g is None else arrays.as_gradient(self._gradient_name(i), g, self._views[i])
            for i, g in enumerate(grads)
        )

    def _check_memory(self, grads: Any) -> None:
        """Refuses tensors of PyTorch that were given other memory."""
        for kind, i, tensor, memory in self._tensors:
            if tensor.data_ptr() != memory and (grads is None or kind == "moved"):
                self._refuse(kind, i)

    def _check_parameters(self) -> None:
        """Refuses to read parameters that no longer lie where they did."""
        self._check_memory(())
        trouble = self._backend.moved(self._plan)
        if trouble is not None:
            self._refuse(*trouble)

    def _refuse(self, kind: str, i: int) -> None:
        name = self._gradient_name(i)
        if kind == "nonfinite":
            raise FloatingPointError(
                f"{name}: not finite (contains NaN or infinity); no step was taken"
            )
        param = self._parameter_name(i)
        raise ValueError(
            {
                "frozen": f"{param}: read-only since the optimizer was made; no step was taken",
                "moved": f"{param}: its memory has moved or shrunk since the optimizer was made",
                "moved gradient": f"{name}: its memory has moved since it was bound; bind it again",
                "overlap": f"{name}: shares memory with a parameter or state; pass a copy",
                "shared": f"{name}: shares memory with another gradient; zero_grad cannot zero it",
                "readonly": f"{name}: read-only, so zero_grad cannot zero it",
            }[kind]
        )

    def bind_grads(self, grads: Any) -> None:
        """Bind gradient buffers: from now on ``step()`` without gradients reads these.

        You fill them in place; a step is then a single call into C++ that checks no gradient.
        While they are bound, NumPy refuses to resize them. PyTorch's ``zero_grad()`` would put
        other tensors in place of ``.grad``; the step's own ``zero_grad=True`` does not.
        ``add_param_group`` releases the buffers, and a copy of the optimizer has none.

        Parameters
        ----------
        grads : structure of arrays
            As ``params``; ``None`` in place of an array leaves its parameter alone.

        Raises
        ------
        TypeError, ValueError
            For invalid gradients; those bound before stay bound.
        """
        self._check_memory(())
        flat = self._flat(grads)
        trouble = self._bind(flat, flat)
        if trouble is not None and trouble[0] == "mismatch":
            trouble = self._bind(self._converted(flat), flat)
        if trouble is not None:
            self._refuse(*trouble)

    def _bind(self, converted: tuple[Any, ...], grads: Sequence[Any]) -> Any:
        """Binds gradients, or returns what is wrong with one.

        Each step checks that those of PyTorch still have their memory. Those of NumPy keep it: no
        array can be resized in place while there is a weak reference to it.
        """
        pinned = [weakref.ref(grad) for grad in grads if isinstance(grad, np.ndarray)]
        bound = [
            ("moved gradient", i, grad, address)
            for i, grad in enumerate(grads)
            if (address := arrays.tensor_address(grad)) is not None
        ]
        with self._lock:  # another thread may add a group
            tensors = self._watched_parameters() + bound
            watched = {"_bound": True, "_pinned": pinned, "_tensors": tensors}
            bind, watch = partial(self._plan.bind, converted), partial(vars(self).update, watched)
            return commit([bind, watch])
