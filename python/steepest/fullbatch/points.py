"""The points of a run along its present line, and what is measured at them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import device

from steepest.fullbatch.arrays import Array, copied, empty_like, namespace, start_point
from steepest.fullbatch.box import Box, box_of
from steepest.fullbatch.primitives import combine, inner

G, LOWEST, D = 2, 3, 4  # rows of the workspace; rows 0 and 1 are x and the trial point
SHARED_ROWS = 5


# What a method says about the direction that it has put in row d:
#   the slope along it, or None
#   whether the trial point is in place already, and d cut to the bounds
#   with bounds, the free variables, or None
# A plain tuple: a named one takes 3 % of a small iteration.
Direction = tuple[float | None, bool, Array | None]
NO_MORE_KNOWN: Direction = (None, False, None)


class Points:
    """x, the trial point x + α d, and the user's copy of it, with bounds inside a box.

    Vectors live in one workspace, an array (rows, n), which the kernels of `primitives` address by
    row; `own_rows` are for a method.
    """

    def __init__(self, x0: Array, own_rows: int, bounds: Any) -> None:
        x = start_point("x0", x0)
        self._xp = namespace(x)
        self.box: Box | None = box_of(bounds, x)
        if self.box is not None:
            x = self.box.project(x)
        self.n = int(x.shape[0])
        self._roundoff = float(self._xp.finfo(x.dtype).eps) / 2  # of f; more where f is noisy
        shape = (SHARED_ROWS + own_rows, self.n)
        self._w = self._xp.zeros(shape, dtype=x.dtype, device=device(x))
        self._rows = [self._w[i, :] for i in range(shape[0])]
        self._x, self._d = 0, D
        self._rows[0][...] = x
        self._rows[1][...] = x
        self._rows[G][...] = math.nan  # until it is told
        # The user's copy of the trial point, until it is asked for.
        self._handed: Array | None = None

    @property
    def _trial(self) -> int:
        """The row of the trial point. It is no attribute: an interrupt between setting two could
        leave both points in one row."""
        return 1 - self._x

    @property
    def best_x(self) -> Array:
        """A copy of the last accepted point; when done, of the answer."""
        return self._copy(self._x)

    @property
    def g(self) -> Array:
        """A copy of the gradient at the last accepted point."""
        return self._copy(G)

    @property
    def optimality(self) -> float:
        """The largest |gᵢ| at the last accepted point, of the projected gradient with bounds."""
        return self._largest(self._rows[G])

    @property
    def _like(self) -> Array:
        """An array of the library, shape and dtype of x, not to be written to."""
        return self._rows[0]

    def _place(self, out: Array, step: float) -> None:
        """out ← the point at a step."""
        combine(self._w, [self._x, self._d], [], np.array([[1.0, step]]), [out])
        if self.box is not None:
            out[...] = self.box.project(out)

    def _try(self, step: float) -> None:
        """The trial point at a step, and the user's copy of it, in one pass."""
        if self.box is not None:
            self._handed = None
            return self._place(self._rows[self._trial], step)
        c = np.array([[1.0, step], [1.0, step]])
        combine(self._w, [self._x, self._d], [], c, [self._rows[self._trial], self._hand_out()])

    def _hand_out(self) -> Array:
        """Room for the user's copy of the trial point."""
        self._handed = empty_like(self._rows[0])
        return self._handed

    def _slope(self, f: float, g: Array, step: float) -> tuple[float, float]:
        """The slope along the search at a step, NaN where g is not finite; and g . g."""
        slope, square = self._slope_and_square(f, g)
        if not math.isfinite(square) and not bool(self._xp.all(self._xp.isfinite(g))):
            return math.nan, square
        if self.box is not None:
            x, d = self._rows[self._x], self._rows[self._d]
            slope = self.box.slope(x, d, step, g)
        return slope, square

    def _slope_and_square(self, f: float, g: Array) -> tuple[float, float]:
        """d . g and g . g."""
        products = inner(self._w, [self._d], [g])
        return float(products[0, 0]), float(products[1, 0])

    def _square(self, v: Array) -> float:
        """v . v."""
        return float(inner(self._w, [], [v])[0, 0])

    def _free_square(self, g: Array) -> float:
        """g . g, with bounds of the variables that are not held."""
        if self.box is not None:
            g = self._xp.where(self.box.free(self._rows[self._x], g, g), g, self.box.zero)
        return self._square(g)

    def _length(self) -> float:
        """|d|."""
        return math.sqrt(self._square(self._rows[self._d]))

    def _cut(self, free: Array | None) -> None:
        """Cut d for held variables, so that a full step stays in the box."""
        assert self.box is not None
        x, d = self._rows[self._x], self._rows[self._d]
        if free is None:
            free = self.box.free(x, self._rows[G], d)
        d[...] = self.box.step_held(x, d, free)

    def _largest(self, g: Array) -> float:
        """The largest |gᵢ|, of the projected gradient with bounds."""
        if self.box is not None:
            g = self.box.projected_gradient(self._rows[self._x], g)
        return float(self._xp.max(self._xp.abs(g)))

    def _copy(self, row: int) -> Array:
        return copied(self._rows[row])
