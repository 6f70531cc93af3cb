"""L-BFGS with two passes over the stored pairs an iteration."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from steepest import _cpu, check
from steepest.fullbatch.arrays import Array
from steepest.fullbatch.minimizer import SHARED_ROWS, G, Minimizer
from steepest.fullbatch.primitives import combine, inner
from steepest.fullbatch.search import Trial

__all__ = ["LBFGS"]

CANCELLED = 1e-6  # a slope this small beside its terms is computed again, from the vectors


class LBFGS(Minimizer):
    """L-BFGS, inside out: tell it f and g at `x` until it is `done`.

    The direction -H g of the two-loop recursion is a combination of g and the m stored pairs
    (s, y). Its coefficients come from inner products alone (Chen, Wang & Zhou 2014), so an
    iteration passes twice over the pairs: once for all inner products with g and the new y, once
    for the combination. Nocedal 1980, Math. Comp. 35, 773-782; with bounds, two-metric projection
    (Bertsekas 1982).

    A pair is stored as (d, y/α), s = α d: the update does not depend on the scale of a pair, and d
    is in place already.

    Parameters
    ----------
    x0 : array, shape (n,)
        The start, float32 or float64 (integers become float64); NumPy or CuPy.
    history : int
        The number m of pairs.
    bounds : scipy.optimize.Bounds or n pairs (low, high), optional
        x stays inside; the search then runs along the projected path.
    line_search : {"wolfe", "armijo", "exact"} or None
        See `line_search`; None takes full steps.
    gtol : float
        Done when the largest |gᵢ| (of the projected gradient) is at most gtol.
    ftol : float
        Done when f falls by at most ftol max(|f|, 1) in an iteration; 0 for never.
    maxiter, max_nfev : int, optional
        Limits on iterations (15,000 unless given) and evaluations.

    Attributes
    ----------
    x : the point to evaluate next; the best one when done
    done, success, status, message : how the run stands
    f, g, best_x, nit, nfev, optimality : the last accepted point

    Raises
    ------
    TypeError, ValueError
        For arguments of another kind, shape or range.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> s = st.LBFGS(np.zeros(3))
    >>> while not s.done:
    ...     x = s.x
    ...     s.tell(((x - 1) ** 2).sum(), 2 * (x - 1))
    >>> s.x.round(6)
    array([1., 1., 1.])
    """

    method: ClassVar[str] = "l-bfgs"
    saved: ClassVar[tuple[str, ...]] = (
        "_count",
        "_newest",
        "_s_rows",
        "_sy",
        "_yy",
        "_free",
    )

    def __init__(
        self,
        x0: Array,
        *,
        history: int = 10,
        bounds: Any = None,
        line_search: str | None = "wolfe",
        gtol: float = 1e-5,
        ftol: float = 0.0,
        maxiter: int | None = None,
        max_nfev: int | None = None,
    ) -> None:
        m = self.history = check.integer("history", history, at_least=1)
        super().__init__(
            x0,
            own_rows=2 * m,
            bounds=bounds,
            line_search=line_search,
            gtol=gtol,
            ftol=ftol,
            maxiter=maxiter,
            max_nfev=max_nfev,
        )
        # A ring of m places; row d changes places with the row of s that it becomes.
        self._s_rows = list(range(SHARED_ROWS, SHARED_ROWS + m))
        self._y_rows = list(range(SHARED_ROWS + m, SHARED_ROWS + 2 * m))
        self._sy, self._yy = np.zeros((m, m)), np.zeros((m, m))  # sᵢ·yⱼ and yᵢ·yⱼ by place
        self._change = np.array([[-1.0, 1.0], [0.0, 1.0]])  # y/α and g from the two gradients
        self._count, self._newest = 0, -1
        self._free: Array | None = None  # with bounds: the variables that the products are over

    def _forget(self) -> bool:
        had, self._count, self._newest = self._count > 0, 0, -1
        return had

    def _advance(self, at: Trial, g: Array) -> None:
        if self.box is not None:
            return self._advance_in_box(g)
        place, rows = (self._newest + 1) % self.history, self._rows
        if at.slope - self._slope0 <= self._eps * -self._slope0:  # no curvature to learn
            rows[G][...] = g
            place = self._newest
            products = inner(self._w, self._picks(), [rows[G]])
        else:
            y = rows[self._y_rows[place]]
            change = self._change
            change[0, 0], change[0, 1] = -1 / at.step, 1 / at.step
            combine(self._w, [G], [g], change, [y, rows[G]])
            self._d, self._s_rows[place] = self._s_rows[place], self._d
            self._newest, self._count = place, max(self._count, place + 1)
            products = inner(self._w, self._picks(), [rows[G], y])
            self._store(place, products[:, 1])
        self._turn(products)

    def _picks(self) -> list[int]:
        k = self._count
        return self._s_rows[:k] + self._y_rows[:k]

    def _store(self, place: int, on_y: np.ndarray) -> None:
        """Keep the products of all s and y with the y in `place`."""
        k = self._count
        self._sy[:k, place] = on_y[:k]
        self._yy[:k, place] = self._yy[place, :k] = on_y[k : 2 * k]

    def _turn(self, products: np.ndarray) -> None:
        """d = -H g and the trial point x + d in one pass over the pairs."""
        if not self._count:
            return self._descend()
        c, _, slope, magnitude = _cpu.two_loop(
            self._sy, self._yy, products, self._count, self._newest, 1.0
        )
        rows = self._rows
        combine(self._w, [*self._picks(), G, self._x], [], c, [rows[self._d], rows[self._trial]])
        doubtful = abs(slope) < CANCELLED * magnitude
        self._launch(1.0, None if doubtful else slope, placed=True)

    def _advance_in_box(self, g: Array) -> None:
        """As `_advance`, with s and y formed from the points, and all products over the free
        variables alone."""
        assert self.box is not None
        rows, xp = self._rows, self._xp
        self._newest = place = (self._newest + 1) % self.history
        self._count = max(self._count, place + 1)
        # row `_trial` holds the point before
        picks = [self._x, self._trial, G]
        change = np.array([[1.0, -1, 0, 0], [0, 0, -1, 1], [0, 0, 0, 1]])
        y = rows[self._y_rows[place]]
        combine(self._w, picks, [g], change, [rows[self._s_rows[place]], y, rows[G]])
        free = self.box.free(rows[self._x], rows[G])
        zero = xp.zeros_like(y)
        masked = [xp.where(free, rows[G], zero), xp.where(free, y, zero)]
        products = inner(self._w, self._picks(), masked)
        self._store(place, products[:, 1])
        if self._free is not None and bool(xp.any(free != self._free)):
            for other in range(self._count):
                y = xp.where(free, rows[self._y_rows[other]], zero)
                self._store(other, inner(self._w, self._picks(), [y])[:, 0])
        self._free = free
        otherwise = 1 / max(float(products[-2, 0]) ** 0.5, self._eps)
        c, scale, _, _ = _cpu.two_loop(
            self._sy, self._yy, products, self._count, self._newest, otherwise
        )
        d = rows[self._d]
        combine(self._w, [*self._picks(), G], [], c[:1, :-1].copy(), [d])
        d[...] = xp.where(free, d, -scale * rows[G])
        self._launch(1.0)
