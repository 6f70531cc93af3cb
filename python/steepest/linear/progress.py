"""How an iteration goes: its tolerance, its residuals, the user's callback, its verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from steepest.linear.system import Array, System


@dataclass
class SolveInfo:
    """How ``steepest.solve`` went.

    Attributes
    ----------
    success : bool
        A direct method finished, or every column's residual met its tolerance.
    nit : int
        Iterations (sweeps) behind ``x``; 0 for a direct method.
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
    history: list[NDArray[np.float64]] = field(default_factory=list)
    stopped: str = ""  # why the iteration ended without convergence

    def __post_init__(self) -> None:
        self.eps = self.system.eps
        # A square from here on has all its digits.
        xp = self.system.xp
        self.least_square = float(xp.finfo(self.system.dtype).smallest_normal) / self.eps
        floor = self.system.b.shape[0] ** 0.5 * self.eps
        self.tolerance = np.maximum(max(self.rtol, floor) * self.norms(self.system.b), self.atol)

    def columns(self, products: Array) -> NDArray[np.float64]:
        """One number for each column, brought to the host, with an axis for the columns."""
        if products.ndim == 0:
            return np.array([float(products)])
        return np.array([float(products[k]) for k in range(products.shape[0])])

    def norms(self, r: Array) -> NDArray[np.float64]:
        """2-norms of the columns, on the host; in units of the largest element where the squares
        would overflow or lose digits."""
        xp = self.system.xp
        with np.errstate(over="ignore"):
            squares = self.columns(xp.vecdot(r, r, axis=-r.ndim))
        if r.shape[0] == 0 or ((squares > self.least_square) & np.isfinite(squares)).all():
            return np.sqrt(squares)
        largest = self.columns(xp.max(xp.abs(r), axis=0))
        largest[largest == 0] = 1
        unit = xp.asarray(largest if r.ndim == 2 else largest[0], dtype=r.dtype)
        scaled = r / unit
        return largest * np.sqrt(self.columns(xp.vecdot(scaled, scaled, axis=-r.ndim)))

    @property
    def nit(self) -> int:
        return len(self.history) - 1

    @property
    def converged(self) -> bool:
        return not self.active.any()

    @property
    def active(self) -> NDArray[np.bool_]:
        """The columns that still iterate; a NaN never converges."""
        active: NDArray[np.bool_] = ~(self.history[-1] <= self.tolerance)
        return active

    @property
    def excess(self) -> float:
        """The largest residual, in units of its tolerance."""
        active = self.active
        return float(np.max(self.history[-1][active] / self.tolerance[active], initial=0.0))

    def record(self, norms: NDArray[np.float64]) -> bool:
        """Note the residual norms of an iterate; True ends the iteration."""
        self.history.append(norms)
        if self.converged:
            return True
        # NaN and inf fail this too
        if not (norms * self.eps <= self.history[0]).all():
            finite = bool(np.isfinite(norms).all())
            self.stopped = "it diverges" if finite else "the residual is no longer finite"
        elif self.nit >= self.maxiter:
            self.stopped = f"maxiter={self.maxiter} is reached"
        return bool(self.stopped)

    def call(self, x: Array) -> bool:
        """Show the iterate to the user's callback; True where it ends the iteration."""
        if self.callback is None:
            return False
        try:
            self.callback(self.system.xp.asarray(x, copy=True))
        except StopIteration:
            self.stopped = "the callback stopped it"
        return bool(self.stopped)

    def info(self, method: str) -> SolveInfo:
        """The verdict, worst column first in words."""
        residuals = np.array(self.history)
        last = self.history[-1]
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
        recent = [float(norms[column]) for norms in self.history[-11:]]
        if len(recent) < 2 or not 0 < recent[-1] < recent[0] < float("inf"):
            return ""
        rate = (recent[-1] / recent[0]) ** (1 / (len(recent) - 1))
        missing = np.log(self.tolerance[column] / recent[-1]) / np.log(rate)
        return f"; at a factor of {rate:.4g} an iteration, about {missing:.0f} more are missing"
