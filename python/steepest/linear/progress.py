"""The course of an iteration: tolerance, residuals, the user's callback, the verdict."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray

from steepest.linear.system import Array, System, least_normal


@dataclass
class SolveInfo:
    """How ``steepest.solve`` went.

    Attributes
    ----------
    success : bool
        A direct method finished, or every column's residual met its tolerance.
    nit : int
        Iterations (sweeps) that led to ``x``; 0 for a direct method.
    residuals : ndarray
        ‖b − A x‖₂ before the first and after every iteration, shape (nit + 1,), or (nit + 1, k)
        for k right-hand sides; for cg and pcg from the recursion, except the last entry, which is
        computed from ``x``. Empty for a direct method.
    message : str
        What happened, in words.
    rcond : float or None
        A direct method's estimate of the reciprocal condition number (1-norm), on the CPU.
    """

    success: bool
    nit: int
    residuals: NDArray[np.float64]
    message: str
    rcond: float | None = None


@dataclass
class Progress:
    """The record of one iterative solution.

    The tolerance of a column is max(rtol ‖b‖₂, atol), as in SciPy, with rtol not below √n ε, the
    rounding of a residual in the working precision.
    """

    system: System
    rtol: float
    atol: float
    maxiter: int
    callback: Callable[[Array], object] | None
    history: list[list[float]] = field(default_factory=list)  # norms, a number for each column
    stopped: str = ""  # why the iteration ended without convergence

    def __post_init__(self) -> None:
        self.eps = self.system.eps
        # A square from here on has all its digits.
        self.least_square = least_normal(self.system.xp, self.system.dtype) / self.eps
        rtol = max(self.rtol, self.system.b.shape[0] ** 0.5 * self.eps)
        self.norms_b = self.norms(self.system.b)
        self.tolerance = [max(rtol * norm, self.atol) for norm in self.norms_b]

    def columns(self, products: Array) -> list[float]:
        """One number for each column, brought to the host."""
        if products.ndim == 0:
            return [float(products)]
        if type(products) is np.ndarray:
            return products.tolist()  # type: ignore[no-any-return]
        return [float(products[k]) for k in range(products.shape[0])]

    def squares(self, r: Array) -> list[float]:
        """rᵀr of each column."""
        if type(r) is np.ndarray and r.ndim == 1:
            return [float(np.vdot(r, r))]  # a quarter of vecdot's time
        return self.columns(self.system.xp.vecdot(r, r, axis=-r.ndim))

    def norms(self, r: Array, squares: list[float] | None = None) -> list[float]:
        """2-norms of the columns, from their squares if given; formed in units of the largest
        element where squares overflow or lose digits."""
        if squares is None:
            squares = self.squares(r)
        if r.shape[0] == 0 or all([self.least_square < s < math.inf for s in squares]):
            return [math.sqrt(s) for s in squares]
        xp = self.system.xp
        largest = [value or 1.0 for value in self.columns(xp.max(xp.abs(r), axis=0))]
        unit = xp.asarray(largest, dtype=r.dtype, device=device(r))
        squares = self.squares(r / unit)
        return [value * math.sqrt(s) for value, s in zip(largest, squares, strict=True)]

    @property
    def nit(self) -> int:
        return len(self.history) - 1

    @property
    def converged(self) -> bool:
        return all(map(operator.le, self.history[-1], self.tolerance))  # a NaN never is

    @property
    def active(self) -> list[bool]:
        """The columns that still iterate."""
        pairs = zip(self.history[-1], self.tolerance, strict=True)
        return [not norm <= tolerance for norm, tolerance in pairs]

    @property
    def excess(self) -> float:
        """The largest residual, in units of its tolerance."""
        active = np.array(self.active)
        last, tolerance = np.array(self.history[-1]), np.array(self.tolerance)
        return float(np.max(last[active] / tolerance[active], initial=0.0))

    def record(self, norms: list[float]) -> bool:
        """Note the residual norms of an iterate; True ends the iteration."""
        self.history.append(norms)
        if self.converged:
            return True
        # NaN and inf fail this too
        if not all(n * self.eps <= first for n, first in zip(norms, self.history[0], strict=True)):
            finite = all(map(math.isfinite, norms))
            self.stopped = "it diverges" if finite else "the residual is no longer finite"
        elif self.nit >= self.maxiter:
            self.stopped = f"maxiter={self.maxiter} is reached"
        return bool(self.stopped)

    def record_ordinary(self, square: float) -> bool:
        """Note an iterate of one column by its rᵀr, in the ordinary case. Else, where rᵀr has lost
        digits, or the iterate is the first or ends the iteration, False: `record` it by `norms`."""
        norm = math.sqrt(square)
        if not (
            self.least_square < square
            and self.tolerance[0] < norm
            and 0 < len(self.history) < self.maxiter
            and norm * self.eps <= self.history[0][0]
        ):
            return False
        self.history.append([norm])
        return True

    def record_residual(self, r: Array) -> bool:
        """Note an iterate by its residual; True ends the iteration."""
        squares = self.squares(r)
        if len(squares) == 1 and self.record_ordinary(squares[0]):
            return False
        return self.record(self.norms(r, squares))

    def call(self, x: Array) -> bool:
        """Show the iterate to the user's callback; True where it ends the iteration."""
        if self.callback is None:
            return False
        try:
            self.system.ask(self.callback, x)
        except StopIteration:
            self.stopped = "the callback stopped it"
        return bool(self.stopped)

    def info(self, method: str) -> SolveInfo:
        """The verdict, worst column first in words."""
        residuals = np.array(self.history)
        last = residuals[-1]
        worst = int(np.argmax(last - self.tolerance)) if last.size else 0
        size = "nothing to solve"
        if last.size:
            size = f"residual {last[worst]:.3g}, tolerance {self.tolerance[worst]:.3g}"
        message = f"{method} converged after {self.nit} iterations: {size}"
        if not self.converged:
            message = (
                f"{method} did not converge in {self.nit} iterations: {self.stopped}; "
                f"{size}{self._advice(worst)}"
            )
        if self.system.b.ndim == 1:
            residuals = residuals[:, 0]
        return SolveInfo(self.converged, self.nit, residuals, message)

    def _advice(self, column: int) -> str:
        """How many more iterations the present rate would take."""
        recent = [norms[column] for norms in self.history[-11:]]
        if not 0 < recent[-1] < recent[0] < math.inf:
            return ""
        rate = (recent[-1] / recent[0]) ** (1 / (len(recent) - 1))
        missing = np.log(self.tolerance[column] / recent[-1]) / np.log(rate)
        return f"; at a factor of {rate:.4g} per iteration, about {missing:.0f} more are needed"
