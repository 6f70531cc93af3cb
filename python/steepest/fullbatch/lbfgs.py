"""L-BFGS with two passes over the stored pairs an iteration."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from steepest import _cpu, check
from steepest.fullbatch.arrays import Array
from steepest.fullbatch.iteration import C1, C2
from steepest.fullbatch.minimizer import Minimizer
from steepest.fullbatch.points import NO_MORE_KNOWN, SHARED_ROWS, Direction, G
from steepest.fullbatch.primitives import combine, inner
from steepest.fullbatch.search import Trial

SMALL = 1 << 18  # bytes of a workspace
MOST_PAIRS = 10_000


class LBFGS(Minimizer):
    """L-BFGS by reverse communication: ask for `x`, tell it f and g, until it is `done`.

    The direction -H g of the two-loop recursion (Nocedal 1980, Math. Comp. 35, 773-782) is a
    combination of g and the m stored pairs (s, y). Its coefficients come from inner products alone
    (Chen, Wang & Zhou 2014), so an iteration passes twice over the pairs: once for all inner
    products with g and the new y, once for the combination. With bounds, two-metric projection
    (Bertsekas 1982): the free variables take the step of L-BFGS's matrix cut to them, as in Byrd,
    Lu, Nocedal & Zhu 1995 (SIAM J. Sci. Comput. 16, section 5.1), the others a gradient step.

    Without bounds, the direction d and the step α are stored in place of s = α d, since d is in
    memory already, and the update is Biggs's (1971, J. Inst. Maths Applics 8, 315-327). In the term
    s sᵀ/κ of H, BFGS has κ = sᵀy, the mean of sᵀ∇²f s along the step. Biggs takes its value at the
    new point, by the cubic through f and g at both ends; at least ½ sᵀy, and sᵀy where the cubic is
    not convex in between.

    Parameters
    ----------
    x0 : array, shape (n,)
        The start, NumPy or CuPy; computed in float32 if it is float32, else in float64.
    history : int
        The number m of pairs, at most 10,000: the products of any two take 16 m² bytes,
        in a box 24 m².
    bounds : scipy.optimize.Bounds or n pairs (low, high), optional
        x stays inside; the search then runs along the projected path. A start outside is moved to
        the nearest point inside, as in SciPy.
    line_search : {"wolfe", "armijo", "exact"} or None
        See `line_search`; None takes full steps, which may raise f.
    gtol : float
        Done when the largest |gᵢ| (of the projected gradient) is at most gtol.
    ftol : float
        Done when f changes by at most ftol max(|f|, 1) in an iteration; 0 for never.
    maxiter, max_nfev : int, optional
        Limits on iterations (15,000 unless given) and evaluations.

    Attributes
    ----------
    x : the point to evaluate next; when done, the answer
    done, success, status, message : how the run stands; status as in `minimize`, -1 before the end
    nit, nfev : iterations and evaluations so far
    f, g, best_x, optimality : the last accepted point; when done, the answer: the point that
        converged, else the lowest one found; before the first tell, x0 and NaN

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
    _saved: ClassVar[tuple[str, ...]] = ("_free", "_memory")

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
        m = self.history = check.integer("history", history, at_least=1, at_most=MOST_PAIRS)
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
        pairs = _cpu.Pairs if self.box is None else _cpu.BoxPairs
        self._pairs: Any = pairs(m, SHARED_ROWS)
        self._products: np.ndarray | None = None  # `_products_with` the g told last, if formed
        self._free: Array | None = None  # with bounds: the variables that the products are over
        # Whole iterations are compiled calls where Python would take most of their time.
        self._compiled = type(self._w) is np.ndarray and self._w.nbytes <= SMALL

    @property
    def _memory(self) -> tuple[Any, ...]:
        state: tuple[Any, ...] = self._pairs.state()
        return state

    @_memory.setter
    def _memory(self, state: tuple[Any, ...]) -> None:
        try:
            # the sums of one pair have the same shape with and without bounds
            if state[0] and (self._free is None) != (self.box is None):
                raise ValueError
            self._pairs.restore(*state)
        except TypeError:
            what = "expected a count, two lists of rows and an array of sums"
            raise TypeError(f"state_dict['memory']: {check.shown(state)}; {what}") from None
        except ValueError:
            what = f"a run with as many pairs {'without' if self.box is None else 'with'} bounds"
            raise ValueError(f"state_dict['memory']: expected that of {what}, as here") from None

    def _forget(self) -> bool:
        had: bool = self._pairs.count > 0
        self._pairs.forget()
        return had

    # An iteration

    def _fast_direction(self, f: float, g: Array) -> Direction | None:
        searched = self.line_search == "wolfe" and not self.ftol
        if not (self._compiled and searched) or self.nit + 1 >= self.maxiter:
            return None
        line = (self._f0, self._slope0, self._step, C1, C2, self._roundoff)
        rows = (self._trial, G, self._x, self._d)
        taken: tuple[Any, ...] | None
        if self.box is not None:
            bounds = self._bounds()
            taken = self._pairs.ordinary_iteration(self._w, f, g, line, self.gtol, rows, bounds)
            return None if taken is None else self._placed_in_box(*taken)
        least = self.n * self.gtol * self.gtol
        taken = self._pairs.ordinary_iteration(self._w, f, g, line, least, rows)
        if taken is None:
            return None
        slope, self._d, self._handed = taken
        return slope, True, None

    def _slope_and_square(self, f: float, g: Array) -> tuple[float, float]:
        """As in `Points`. A first trial that is low enough is likely to be accepted: the same pass
        then forms all products that the next direction needs."""
        self._products = None
        if self.box is not None or self._trials or f > self._f0 + C1 * self._step * self._slope0:
            return super()._slope_and_square(f, g)
        products = self._products = self._products_with(g)
        on_d = products[len(products) // 2 - 1]
        return float(on_d[1]), float(products[-1, 1])

    def _products_with(self, g: Array) -> np.ndarray:
        """The first pass: products of all d, y and g with the new y and with g. The newest d is in
        row d."""
        return inner(self._w, self._pairs.rows_with(self._d), [g], self._rows[G])

    def _direction(self, at: Trial, g: Array) -> Direction:
        if self.box is not None:
            return self._direction_in_box(g)
        if at.slope - self._slope0 > self._roundoff * -self._slope0:
            products = self._products_with(g) if self._products is None else self._products
            ratio = self._curvature_ratio(at)
            self._d = self._pairs.append(products, at.step, ratio, self._d)
            return self._combine_direction(products, g)
        self._rows[G][...] = g
        return self._first_direction_again(at)

    def _combine_direction(self, products: np.ndarray, g: Array) -> Direction:
        """The second pass: the new y, a copy of g, d = -H g, the trial point x + d and the user's
        copy of it."""
        c, slope = self._pairs.direction(products, 1.0)
        rows, d = self._rows, self._d
        outs = [rows[self._pairs.newest_y], rows[G], rows[d], rows[self._trial], self._hand_out()]
        picks = [*self._pairs.rows(), G, self._x, d]
        combine(self._w, picks, [g], c, outs)
        return slope, True, None

    def _first_direction(self) -> Direction:
        """In a closed box the first step is -g, projected, unless that is longer than |x| and 1: so
        a corner close by is reached at once. Where bounds are missing, as with x >= 0, a corner is
        often far from the minimum, and may be a poor stationary point (Penalty I)."""
        box, g = self.box, self._rows[G]
        if self.nit == 0 and box is not None and box.closed and self._square(g) > 1:
            x, d = self._rows[self._x], self._rows[self._d]
            d[...] = -box.projected_gradient(x, g)
            if self._square(d) <= max(1.0, self._square(x)):
                return NO_MORE_KNOWN
        return super()._first_direction()

    def _direction_in_box(self, g: Array) -> Direction:
        """As `_direction`, with s and y formed from the points; for the free variables."""
        assert self.box is not None
        if self._compiled:
            at = (self._x, G, self._trial, self._d)
            taken = self._pairs.advance(self._w, g, self._roundoff, at, self._bounds())
            return self._placed_in_box(*taken)
        rows, xp = self._rows, self._xp
        # row `_trial` holds the point before, row d takes s
        change = np.array([[1.0, -1, 0, 0], [0, 0, -1, 1], [0, 0, 0, 1]])
        pairs, s = self._pairs, rows[self._d]
        newest, y = pairs.next_y, rows[pairs.next_y]
        combine(self._w, [self._x, self._trial, G], [g], change, [s, y, rows[G]])
        free = self.box.free(rows[self._x], rows[G], pairs.scale(1.0) * rows[G])
        zero = self.box.zero
        masked = [xp.where(free, y, zero), xp.where(free, zero, s), xp.where(free, rows[G], zero)]
        products = inner(self._w, [*pairs.rows_with(self._d), newest], masked)
        self._d = pairs.append(products, self._d)
        picks, count = pairs.rows(), pairs.count
        if self._free is not None and bool(xp.any(free != self._free)):
            for j in range(count - 1):
                masked = [
                    xp.where(free, rows[picks[count + j]], zero),
                    xp.where(free, zero, rows[picks[j]]),
                ]
                older = picks[: j + 1] + picks[count : count + j + 1]
                pairs.learn(j, inner(self._w, older, masked))
        self._free = free
        otherwise = 1 / max(float(products[-1, -1]) ** 0.5, self._roundoff)
        c, scale = pairs.direction(products, otherwise)
        d = rows[self._d]
        combine(self._w, picks, [rows[G]], c, [d])
        d[...] = xp.where(free, d, -scale * rows[G])
        return None, False, free

    def _bounds(self) -> tuple[Array, Array, Array, Array | None]:
        assert self.box is not None
        return self.box.lower, self.box.upper, self.box.near, self._free

    def _placed_in_box(self, slope: float, d: int, handed: Array, free: Array) -> Direction:
        """The direction that a compiled call has left, with its trial point."""
        self._d, self._handed, self._free = d, handed, free
        return slope, True, None
