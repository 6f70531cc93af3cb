"""BFGS with one read and one rank-two update of a triangle an iteration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from array_api_compat import device

from steepest.fullbatch.arrays import Array
from steepest.fullbatch.minimizer import Minimizer
from steepest.fullbatch.points import SHARED_ROWS, D, Direction, G
from steepest.fullbatch.primitives import combine, inner, rank_two, symmetric_product
from steepest.fullbatch.search import Trial

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

Y, HY, HG = SHARED_ROWS, SHARED_ROWS + 1, SHARED_ROWS + 2


class BFGS(Minimizer):
    """BFGS by reverse communication: ask for `x`, tell it f and g, until it is `done`.

    The inverse Hessian H is kept as a lower triangle and updated in O(n²):

        H ← γH + s uᵀ + u sᵀ,   u = ½ (sᵀy/κ + yᵀγHy/sᵀy) s/sᵀy - γHy/sᵀy

    With γ = 1 and κ = sᵀy this is eq. 6.17 of Nocedal & Wright (2006) multiplied out. Hy and Hg
    come from one read of H, the update is one pass more, and H⁺g follows from these in O(n).

    κ is sᵀ∇²f s at the new point by the cubic through f and g at both ends of the step (Biggs 1971,
    J. Inst. Maths Applics 8, 315-327), at least ½ sᵀy, and sᵀy where the cubic is not convex in
    between. H starts as sᵀy/yᵀy I (Nocedal & Wright, eq. 6.20). BFGS is quick to correct an H that
    is too large, and slow where it is too small. So for the next n-1 pairs γ is the middle of Oren
    and Luenberger's interval (1974, Management Sci. 20, 845-862) where that enlarges H:
    γ = max(1, √(sᵀH⁻¹s / yᵀHy)). A pair without curvature, sᵀy ≤ ε |sᵀg|, is skipped.

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
    _saved: ClassVar[tuple[str, ...]] = ("_h", "_scale", "_pairs", "_stale")

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
        # Of Hg, d, Hy and x in the next d, and in the next trial point and its copy.
        self._coefficients = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 1]])
        self._h: Array | None = None  # lower triangle of H / _scale; None: a multiple of I
        self._scale, self._pairs = 1.0, 0  # pairs learned
        self._stale = False  # H is kept to be shown, but the method starts again without it

    @property
    def inverse_hessian(self) -> Array:
        """A copy of H, symmetric, (n, n), as of the last update; the identity before the first.

        It is near the inverse Hessian, but no source of standard errors: it is scaled to keep runs
        short, has Biggs's κ in place of sᵀy, and has not seen the last step.
        """
        xp = self._xp
        if self._h is None:
            return xp.eye(self.n, dtype=self._w.dtype, device=device(self._w))
        lower = xp.tril(self._h, k=-1)
        full = xp.tril(self._h)
        full += lower.T
        return self._scale * full

    def result(self) -> OptimizeResult:
        result = super().result()
        result.hess_inv = self.inverse_hessian
        return result

    def _forget(self) -> bool:
        had, self._stale = self._h is not None and not self._stale, True
        return had

    def _direction(self, at: Trial, g: Array) -> Direction:
        rows = self._rows
        # The pair (d, y/α) in place of (s, y): the update does not depend on its scale.
        change = np.array([[-1 / at.step, 1 / at.step], [0.0, 1.0]])
        combine(self._w, [G], [g], change, [rows[Y], rows[G]])
        learn = at.slope - self._slope0 > self._roundoff * -self._slope0
        if self._h is None or self._stale:
            products = inner(self._w, [D], [rows[Y]])
            curvature, square = float(products[0, 0]), float(products[1, 0])
            if not (learn and curvature > 0 and 0 < square < math.inf):
                return self._first_direction_again(at)
            self._h = self._xp.eye(self.n, dtype=self._w.dtype, device=device(self._w))
            self._scale, self._pairs, self._stale = curvature / square, 0, False
        symmetric_product(self._h, [rows[Y], rows[G]], [rows[HY], rows[HG]])
        products = inner(self._w, [D, HY], [rows[Y], rows[G]])
        (curvature, dg), (yhy, hyg) = products[:2].tolist()  # Hy and Hg without the scale
        on_d = on_hy = 0.0
        if learn and curvature > 0:
            if 0 < self._pairs < self.n:
                self._enlarge(yhy)
            self._pairs += 1
            scale, rho = self._scale, 1 / curvature
            half = 0.5 * rho * (1 / self._curvature_ratio(at) + rho * scale * yhy)
            u = rows[Y]  # y is used up; u without the scale, too
            combine(self._w, [D, HY], [], np.array([[half / scale, -rho]]), [u])
            rank_two(self._h, rows[D], u)
            # H+ g = Hg + d (u.g) + u (d.g), with u.g = half d.g - rho Hy.g
            on_d, on_hy = -(2 * half * dg - rho * scale * hyg), rho * scale * dg
        return self._combine_direction(on_d, on_hy)

    def _enlarge(self, yhy: float) -> None:
        """H ← γH, if γ > 1; sᵀH⁻¹s is -sᵀg, as s is along -Hg."""
        yhy *= self._scale
        if 0 < yhy < -self._slope0 < math.inf:
            self._scale *= math.sqrt(-self._slope0 / yhy)

    def _combine_direction(self, on_d: float, on_hy: float) -> Direction:
        """d ← -Hg + on_d d + on_hy Hy, the trial point x + d and the user's, in one pass."""
        c = self._coefficients
        c[0, :3] = -self._scale, on_d, on_hy
        outs = [self._rows[D], self._rows[self._trial], self._hand_out()]
        combine(self._w, [HG, D, HY, self._x], [], c, outs)
        return None, True, None
