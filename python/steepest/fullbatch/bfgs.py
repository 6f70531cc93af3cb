"""BFGS with one read and one rank-two update of a triangle an iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from steepest.fullbatch.arrays import Array
from steepest.fullbatch.minimizer import SHARED_ROWS, D, G, Minimizer
from steepest.fullbatch.primitives import combine, inner, rank_two, symmetric_product
from steepest.fullbatch.search import Trial

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

__all__ = ["BFGS"]

# Of the inverse Hessian that the first pair suggests (H is sooner corrected where it is too large),
# and of the step along which f would fall by as much as in the iteration before. On the standard
# starts of Moré, Garbow & Hillstrom 11 with 4 or 5 takes 1,750 calls, 9 to 12 with 4 to 6 up to
# 1,841, and 1 without such a step 1,873. Over 1,000 variables (bench/advise.py) a Hessian of
# condition 10 to 1e3 takes 1.9 times the evaluations of 1, one of 1e5 two thirds.
H_SCALE, STEP_SCALE = 11.0, 5.0
SHORTEST = 0.1  # of the full step
Y, HY, HG = SHARED_ROWS, SHARED_ROWS + 1, SHARED_ROWS + 2


class BFGS(Minimizer):
    """BFGS, inside out: tell it f and g at `x` until it is `done`.

    The inverse Hessian H is kept as a lower triangle and updated in O(n²):

        H ← H + s uᵀ + u sᵀ,   u = ½ (1 + yᵀHy/sᵀy) s/sᵀy - Hy/sᵀy

    which is eq. 6.17 of Nocedal & Wright (2006) multiplied out. Hy and Hg come from one read of H,
    the update is one pass more, and H⁺g follows from these in O(n). Before the first update H is
    a multiple of I, their eq. 6.20 (sᵀy/yᵀy) times 11; a pair without curvature, sᵀy ≤ ε |sᵀg|, is
    not learned. A search starts at the full step, or nearer where f fell by much less before.

    Parameters
    ----------
    x0, line_search, gtol, ftol, maxiter, max_nfev
        As `LBFGS`. There are no bounds: the part of H for the free variables is not the inverse of
        their part of the Hessian; use `LBFGS`.

    Raises
    ------
    TypeError, ValueError
        For arguments of another kind, shape or range.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> s = st.BFGS(np.zeros(3))
    >>> while not s.done:
    ...     x = s.x
    ...     s.tell(((x - 1) ** 4).sum(), 4 * (x - 1) ** 3)
    >>> s.success
    True
    """

    method: ClassVar[str] = "bfgs"
    saved: ClassVar[tuple[str, ...]] = ("_h",)

    def __init__(
        self,
        x0: Array,
        *,
        line_search: str | None = "wolfe",
        gtol: float = 1e-5,
        ftol: float = 0.0,
        maxiter: int | None = None,
        max_nfev: int | None = None,
    ) -> None:
        super().__init__(
            x0,
            own_rows=3,
            line_search=line_search,
            gtol=gtol,
            ftol=ftol,
            maxiter=maxiter,
            max_nfev=max_nfev,
        )
        # of Hg, d, Hy and x: d, and twice x + step d
        self._turned = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 1]])
        self._h: Array | None = None  # lower triangle of H; None: a multiple of I

    @property
    def inverse_hessian(self) -> Array:
        """A copy of H, symmetric, (n, n); the identity before the first update."""
        xp = self._xp
        if self._h is None:
            return xp.eye(self.n, dtype=self._w.dtype)
        lower = xp.tril(self._h, k=-1)
        full = xp.tril(self._h)
        full += lower.T
        return full

    def result(self) -> OptimizeResult:
        result = super().result()
        result.hess_inv = self.inverse_hessian
        return result

    def _forget(self) -> bool:
        had, self._h = self._h is not None, None
        return had

    def _advance(self, at: Trial, g: Array) -> None:
        rows = self._rows
        # The pair (d, y/α) in the place of (s, y): the update does not depend on its scale.
        change = np.array([[-1 / at.step, 1 / at.step], [0.0, 1.0]])
        combine(self._w, [G], [g], change, [rows[Y], rows[G]])
        learn = at.slope - self._slope0 > self._eps * -self._slope0
        if self._h is None:
            products = inner(self._w, [D], [rows[Y]])
            curvature, square = float(products[0, 0]), float(products[1, 0])
            if not (learn and curvature > 0):
                return self._descend()
            self._h = scaled_identity(self._w, H_SCALE * curvature / square)
        symmetric_product(self._h, [rows[Y], rows[G]], [rows[HY], rows[HG]])
        products = inner(self._w, [D, HY, HG], [rows[Y], rows[G]])
        (curvature, dg), (yhy, hyg), (_, ghg) = products[:3].tolist()
        on_d = on_hy = 0.0
        if learn and curvature > 0:
            rho = 1 / curvature
            half = 0.5 * rho * (1 + rho * yhy)
            u = rows[Y]  # y is used up
            combine(self._w, [D, HY], [], np.array([[half, -rho]]), [u])
            rank_two(self._h, rows[D], u)
            # H+ g = Hg + d (u.g) + u (d.g), with u.g = half d.g - rho Hy.g
            on_d, on_hy = -(2 * half * dg - rho * hyg), rho * dg
        self._turn(on_d, on_hy, self._first_trial(at, -ghg + on_d * dg + on_hy * hyg))

    def _first_trial(self, at: Trial, slope: float) -> float:
        """The step at which the next search starts, if that is its slope."""
        fell = self._f0 - at.f
        if not (fell > 0 and slope < 0):
            return 1.0
        return min(1.0, max(SHORTEST, STEP_SCALE * fell / -slope))

    def _turn(self, on_d: float, on_hy: float, step: float) -> None:
        """d ← -Hg + on_d d + on_hy Hy, the trial point x + step d and the user's, in one pass."""
        c = self._turned
        c[0, 1], c[0, 2] = on_d, on_hy
        c[1:, 1] = step
        outs = [self._rows[D], self._rows[self._trial], self._hand_out()]
        combine(self._w, [HG, D, HY, self._x], [], c, outs)
        self._launch(step, placed=True)


def scaled_identity(like: Array, scale: float) -> Array:
    """scale I, (n, n), for the n columns of `like`; untouched pages cost nothing with NumPy."""
    n = like.shape[1]
    if isinstance(like, np.ndarray):
        h = np.zeros((n, n), dtype=like.dtype)
        np.fill_diagonal(h, scale)
        return h
    from array_api_compat import array_namespace, device

    return array_namespace(like).eye(n, dtype=like.dtype, device=device(like)) * scale
