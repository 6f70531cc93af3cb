"""Newton's method with a dense Hessian, or Hessian-free by conjugate gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from array_api_compat import device

from steepest import check
from steepest.arrays import from_numbers
from steepest.fullbatch.arrays import Array, coarse_eps, vector
from steepest.fullbatch.factor import AT_START, SHORTEST, newton_step
from steepest.fullbatch.iteration import (
    LIMIT,
    MAX_STALLED,
    NOT_FINITE,
    STUCK,
    Gradient,
    Stop,
)
from steepest.fullbatch.minimizer import Minimizer
from steepest.fullbatch.points import SHARED_ROWS, D, Direction, G
from steepest.fullbatch.primitives import combine, inner
from steepest.fullbatch.search import Trial
from steepest.fullbatch.state import checkpoint, restore

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

R, P, HP = SHARED_ROWS, SHARED_ROWS + 1, SHARED_ROWS + 2
Hessian = Any  # an array (n, n), or a callable x -> array
Product = Callable[[Array, Array], Array]


class Newton(Minimizer):
    """Newton's method by reverse communication: ask for `x`, `tell(f, g, H)`, until it is `done`.

    d = -H⁻¹g by Cholesky; where H is not positive definite -|H|⁻¹g, by eigenvalues without their
    signs in units where |diag H| is 1 (which for large n takes longer than Cholesky). At the start,
    and after a search that had to shorten its step, a step that would be far longer than -D⁻¹g,
    D = |diag H|, and than that one is cut, by τ in -(|H| + τD)⁻¹g. The units of the variables do
    not matter. With `hessp` in place of H, Hd = -g by conjugate gradients, stopped at
    |r| ≤ min(½, √|g|, √(|g|/|g₀|)) |g|, g₀ at the start, or at a direction p of negative curvature,
    with -|r|²/pᵀHp of it (Nocedal & Wright 2006, algorithm 7.1, without √(|g|/|g₀|) and p); there
    the units do matter: choose some in which the variables are alike. With bounds, the system is
    that of the free variables (Bertsekas 1982).

    Parameters
    ----------
    x0, bounds, line_search, gtol, ftol, maxiter, max_nfev
        As `LBFGS`.

    Raises
    ------
    TypeError, ValueError
        For arguments of another kind, shape or range, in `tell` too.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> s = st.Newton(np.array([3.0, 1.0]))
    >>> while not s.done:
    ...     x = s.x
    ...     s.tell((x**4).sum(), 4 * x**3, np.diag(12 * x**2))
    >>> s.success
    True
    """

    method: ClassVar[str] = "newton"
    _saved: ClassVar[tuple[str, ...]] = ("nhev", "_given_lowest", "_indefinite", "_first_square")

    def __init__(
        self,
        x0: Array,
        *,
        bounds: Any = None,
        line_search: str | None = "wolfe",
        gtol: float = 1e-5,
        ftol: float = 0.0,
        maxiter: int | None = None,
        max_nfev: int | None = None,
    ) -> None:
        super().__init__(
            x0,
            own_rows=3,
            bounds=bounds,
            line_search=line_search,
            gtol=gtol,
            ftol=ftol,
            maxiter=maxiter,
            max_nfev=max_nfev,
        )
        self.nhev = 0
        self._indefinite = 0  # iterations in a row without a positive definite Hessian
        self._first_square = 0.0  # g . g at the start, where products came with it
        # what the last trial point and the lowest one came with
        self._given: tuple[Hessian, Product | None] = (None, None)
        self._given_lowest: tuple[Hessian, Product | None] = (None, None)
        self._eps_of_hess = 0.0  # of the last one, where it is less precise than float64

    def tell(  # type: ignore[override]
        self, f: Any, g: Array | Gradient, hess: Hessian = None, *, hessp: Product | None = None
    ) -> None:
        """Take the value, the gradient and the Hessian at `x`, and choose the next `x`.

        Parameters
        ----------
        f, g
            As `LBFGS.tell`.
        hess : array, shape (n, n), or callable
            The Hessian at `x`, symmetric; or hess(x) -> array, called only where the point is
            accepted.
        hessp : callable
            Instead: hessp(x, p) -> array (n,), the Hessian times p.

        Raises
        ------
        TypeError, ValueError
            If one of them is of another kind or shape; nothing has changed then, nor where hess or
            hessp raise.
        RuntimeError
            If the run has ended, or another thread is in this call, or a function that it calls.
        """
        if (hess is None) == (hessp is None):
            raise TypeError("tell: give one of hess and hessp")
        if hess is not None and not callable(hess):
            hess = self._checked(hess)
        me, kept = get_ident(), None
        try:
            self._inside.append(me)  # as in `super().tell`, which comes too late for `restore`
            self._check_turn(me)
            kept = checkpoint(self)  # functions may fail: the point is to be told again then
            before = self._lowest
            self._given = (hess, hessp)
            super().tell(f, g)
            if self._lowest is not before:
                self._given_lowest = self._given
        except BaseException:
            if kept is not None:
                restore(self, kept)
            raise
        finally:
            if me in self._inside:
                self._inside.remove(me)

    def result(self) -> OptimizeResult:
        result = super().result()
        result.nhev = self.nhev
        return result

    def _finish(self, status: int, message: str) -> None:
        if status in (LIMIT, STUCK) and self._indefinite >= MAX_STALLED:
            told = f"the Hessian has not been positive definite for {self._indefinite} iterations"
            message += f"; {told}: check it, and its sign"
        super()._finish(status, message)

    def _checked(self, hess: Array) -> Array:
        """A copy of the Hessian, or what is wrong with it."""
        if hasattr(hess, "toarray"):
            raise TypeError(
                f"hess: {check.kind(hess)}, sparse; expected a dense array, toarray(), or hessp"
            )
        xp, n = self._xp, self.n
        self._eps_of_hess = coarse_eps(getattr(hess, "dtype", None))
        like = self._w[:1, :1]
        if type(self._w) is np.ndarray:
            hess = from_numbers("hess", hess)
            hess = hess.reshape(1, 1) if hess.size == 1 else hess
        return xp.asarray(vector("hess", hess, xp.broadcast_to(like, (n, n))), copy=True)

    def _check_symmetry(self, h: Array) -> None:
        """An error if h, at the accepted point, differs from its transpose by more than rounding.

        Where terms cancel, as those of a saturated softmax, rounding is all that is left of it;
        |g|²/|f|, curvature to change f by its own size, is what it is small beside.
        """
        xp = self._xp
        if bool(xp.all(h == h.T)):  # as most are: a quarter of the time of their difference
            return
        size, slope = float(xp.max(xp.abs(h))), float(xp.max(xp.abs(self._rows[G])))
        if self.f:
            size = max(size, slope * (slope / abs(self.f)))
        skew = float(xp.max(xp.abs(h - h.T)))
        eps = max(float(xp.finfo(h.dtype).eps), self._eps_of_hess)
        if skew > math.sqrt(eps / 2) * size:
            raise ValueError(
                f"hess: not symmetric, entries differ from the transpose by up to {skew:.3g}; "
                "expected a symmetric array: (H + H.T) / 2"
            )

    def _first_direction(self) -> Direction:
        return self._newton_direction(self._given, None, AT_START)

    def _direction(self, at: Trial, g: Array) -> Direction:
        self._rows[G][...] = g
        given = self._given if at is self._trials[-1] else self._given_lowest
        if at.step >= 1:
            return self._newton_direction(given)
        twice = 2 * (self._rows[self._x] - self._rows[self._trial])
        return self._newton_direction(given, twice, SHORTEST)

    def _newton_direction(
        self,
        given: tuple[Hessian, Product | None],
        most: Array | None = None,
        least: float = math.inf,
    ) -> Direction:
        """At the accepted point, by what came with it."""
        hess, hessp = given
        h = self._checked(self._ask(hess, self.best_x)) if callable(hess) else hess
        if h is not None:
            self._check_symmetry(h)
        g, d, free = self._rows[G], self._rows[D], None
        if self.box is not None:
            step = -g if h is None else -g * self._scales(h)
            free = self.box.free(self._rows[self._x], g, step)
        if hessp is not None:
            self._conjugate_gradients(hessp, free)
        else:
            self._solve(h, free, most, least if self.line_search else math.inf)
        if free is not None:  # the held variables take a gradient step
            d[...] = self._xp.where(free, d, step)
        return None, False, free

    def _scales(self, h: Array) -> Array:
        """1/|diag H|, the scales of a gradient step; 1 where that is infinite."""
        xp = self._xp
        diagonal = xp.abs(xp.linalg.diagonal(h))
        least = float(xp.finfo(h.dtype).smallest_normal)
        return 1 / xp.where(diagonal >= least, diagonal, xp.ones_like(diagonal))

    def _solve(self, h: Array, free: Array | None, most: Array | None, least: float) -> None:
        self.nhev += 1
        xp, g, d = self._xp, self._rows[G], self._rows[D]
        if free is not None:
            both = free[:, None] & free[None, :]
            h = xp.where(both, h, xp.eye(self.n, dtype=h.dtype, device=device(h)))
            zero = xp.zeros_like(g)
            g = xp.where(free, g, zero)
            most = None if most is None else xp.where(free, most, zero)
        if not bool(xp.all(xp.isfinite(h))):
            raise Stop(NOT_FINITE, "the Hessian is not finite")
        step, definite = newton_step(h, g, most, least)
        self._indefinite = 0 if definite else self._indefinite + 1
        d[...] = -step

    def _conjugate_gradients(self, hessp: Product, free: Array | None) -> None:
        """Row d ← about -H⁻¹g."""
        w, rows, zero = self._w, self._rows, self._xp.zeros_like(self._rows[G])
        x = self.best_x

        def masked(v: Array) -> Array:
            return v if free is None else self._xp.where(free, v, zero)

        rows[D][...] = zero
        rows[R][...] = masked(rows[G])
        combine(w, [R], [], np.array([[-1.0]]), [rows[P]])
        square = self._square(rows[R])
        if square == 0:
            return  # held variables alone go on
        self._first_square = self._first_square or square
        # of |g|^2: 1/4, |g| or |g| / |g0|
        enough = min(0.25, math.sqrt(square), math.sqrt(square / self._first_square)) * square
        for k in range(2 * self.n):
            self.nhev += 1
            product = self._ask(hessp, self._xp.asarray(x, copy=True), self._copy(P))
            rows[HP][...] = masked(vector("hessp(x, p)", product, rows[P]))
            curvature = float(inner(w, [HP], [rows[P]])[0, 0])
            if not math.isfinite(curvature):
                raise Stop(NOT_FINITE, "the Hessian's product with a vector is not finite")
            if curvature <= 0:
                if k == 0:
                    rows[D][...] = rows[P]
                    self._indefinite += 1
                elif curvature < 0:  # the steps until now see nothing of it
                    far = np.array([[1.0, -square / curvature]])
                    combine(w, [D, P], [], far, [rows[D]])
                break
            self._indefinite = 0
            step = square / curvature
            moves = np.array([[1.0, 0, step, 0], [0, 1.0, 0, step]])
            combine(w, [D, R, P, HP], [], moves, [rows[D], rows[R]])
            before, square = square, self._square(rows[R])
            if square <= enough:
                break
            combine(w, [R, P], [], np.array([[-1.0, square / before]]), [rows[P]])
