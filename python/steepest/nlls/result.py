"""What a fit found, with the uncertainty of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO
from warnings import warn

import numpy as np
from scipy.optimize import OptimizeResult, OptimizeWarning

from steepest.nlls import arrays
from steepest.nlls.arrays import Array

MOST_PAIRS = 20  # correlations that a summary lists
MESSAGES = {
    -3: "No share of the Gauss-Newton step lowers the cost; method 'lm' damps it.",
    -2: "Stopped because `callback` function raised `StopIteration` or returned `True`",
    -1: "No step longer than `xtol` from here gives finite residuals and Jacobian.",
    0: "The maximum number of function evaluations is exceeded.",
    1: "`gtol` termination condition is satisfied.",
    2: "`ftol` termination condition is satisfied.",
    3: "`xtol` termination condition is satisfied.",
    4: "Both `ftol` and `xtol` termination conditions are satisfied.",
}


class LeastSquaresResult(OptimizeResult):  # type: ignore[misc]
    """A SciPy `OptimizeResult`: x cost fun jac grad optimality nfev njev nit status message
    success damping active_mask, with three methods.

    `jac` is None after normal equations or row blocks; with a robust loss its rows are weighted,
    as SciPy's are, so that jac.T @ jac approximates the Hessian of the cost.
    """

    def __dir__(self) -> list[str]:
        methods = [name for name in vars(LeastSquaresResult) if name[0] != "_"]
        return [*super().__dir__(), *methods]  # SciPy's are the entries alone

    def _keep(self, rows: int, factor: Array) -> None:
        """What stands for a J that is not at hand: its number of rows (0: unknown), and an A with
        AᵀA = JᵀJ."""
        object.__setattr__(self, "_kept", (rows, factor))  # beside the dict's entries

    def covariance(self, absolute_sigma: bool = False) -> Array:
        """Covariance of the parameters, (n, n): 2 cost / (m − n) · (JᵀJ)⁺.

        With `absolute_sigma` the residuals are taken to have unit variance, and the factor is
        dropped, as in `scipy.optimize.curve_fit`. Without enough residuals for the factor every
        entry is inf, with an `OptimizeWarning`, as there. After normal equations, which do not
        tell how many residuals there are, it is a ValueError.
        """
        return arrays.in_kind(self._covariance(absolute_sigma), self["x"])

    def _covariance(self, absolute_sigma: bool) -> Array:
        """The same on the host."""
        covariance = self._estimate(absolute_sigma)
        if not absolute_sigma and not np.isfinite(covariance).any():
            warn(
                "Covariance of the parameters could not be estimated",
                category=OptimizeWarning,
                stacklevel=3,
            )
        return covariance

    def _estimate(self, absolute_sigma: bool) -> Array:
        """The same without a warning."""
        with arrays.out_of_range():
            inverse = self._inverse()
        if absolute_sigma:
            return inverse
        m, n = self._m(), self["x"].size
        if m == 0:
            raise ValueError(
                "covariance: normal equations do not tell the number of residuals; use "
                "absolute_sigma=True and multiply by 2 cost / (m - n)"
            )
        if m <= n or not np.isfinite(inverse).all():
            return np.full((n, n), np.inf)
        with arrays.out_of_range():
            scaled: Array = inverse * (2 * self["cost"] / (m - n))
        return scaled

    def stderr(self, absolute_sigma: bool = False) -> Array:
        """Standard errors of the parameters, (n,): the roots of the diagonal of `covariance`."""
        return arrays.in_kind(np.sqrt(np.diag(self._covariance(absolute_sigma))), self["x"])

    def summary(self, names: Sequence[str] | None = None, file: TextIO | None = None) -> None:
        """Print parameters, standard errors, (the strongest) correlations, cost and why the fit
        stopped: to `file`, an `io.StringIO()` for the text, where it is given. Returns None."""
        print(summary_text(self, names), file=file)

    def _m(self) -> int:
        """The number of residuals; 0 where normal equations do not tell it."""
        return int(self._kept[0] if self["fun"] is None else self["fun"].size)

    def _triangle(self) -> Array:
        """R of J = QR, or of what stands for J."""
        factor = self._kept[1] if self["jac"] is None else arrays.factor(self["jac"])
        if factor.dtype.itemsize not in (4, 8):
            factor = factor.astype(float)  # of others there is no linear algebra
        return np.asarray(np.linalg.qr(factor, mode="r"))

    def _cut(self, s: Array) -> float:
        """Singular values up to this one are rounding."""
        return float(np.finfo(s.dtype).eps * max(self._m(), self["x"].size) * s[0])

    def _inverse(self) -> Array:
        """(JᵀJ)⁺ from the singular values of a triangle of J with unit columns."""
        factor = self._triangle()
        scale, s, V = unit_columns(factor)
        if self._full_rank(s):
            V /= scale
        else:  # the pseudo-inverse is that of the columns as they are
            _, s, V = np.linalg.svd(factor, full_matrices=False)
            keep = s > self._cut(s)
            s, V = s[keep], V[keep]
        inverse: Array = (V.T / s**2) @ V
        return inverse

    def _full_rank(self, s: Array) -> bool:
        """Whether no singular value of J with unit columns is zero but for rounding."""
        return s.size == self["x"].size and bool(s[-1] > self._cut(s))


def unit_columns(factor: Array) -> tuple[Array, Array, Array]:
    """The norms of the columns (1 for 0), and s and V of the matrix divided by them."""
    with arrays.out_of_range():
        norms = np.linalg.norm(factor, axis=0)
        scale = np.where(norms > 0, norms, 1.0)
        _, s, V = np.linalg.svd(factor / scale, full_matrices=False)
    return scale, s, V


def full_rank(result: LeastSquaresResult) -> bool:
    """Whether the residuals determine every parameter, as `covariance` decides: in any units."""
    return result._full_rank(unit_columns(result._triangle())[1])


def summary_text(result: LeastSquaresResult, names: Sequence[str] | None = None) -> str:
    """Parameters, standard errors, correlations, cost and why the fit stopped, as text."""
    at, mask = arrays.host(result.x), arrays.host(result.active_mask)
    n = at.size
    names = [f"x[{j}]" for j in range(n)] if names is None else list(names)
    if len(names) != n:
        raise ValueError(f"names: {len(names)} for {n} parameters")
    m = result._m()
    covariance = result._estimate(absolute_sigma=m == 0)
    stderr = np.sqrt(np.diag(covariance))
    width = max(map(len, names))
    lines = [result.message, f"cost {result.cost:.6g}, {m or 'unknown'} residuals, {n} parameters"]
    lines.append(f"{result.nfev} evaluations, {result.njev} Jacobians, {result.nit} iterations")
    if m > n:
        lines.append(f"residual standard deviation {np.sqrt(2 * result.cost / (m - n)):.6g}")
    if m == 0:
        lines.append("standard errors for residuals of unit variance")
    lines.append("")
    for j, (name, x, error) in enumerate(zip(names, at, stderr, strict=True)):
        bounds = {-1: "  at its lower bound", 1: "  at its upper bound"}
        relative = f" ({100 * abs(error / x):.3g}%)" if x != 0 else ""
        known = f" ± {error:.3g}{relative}" if np.isfinite(error) else " (error indeterminate)"
        lines.append(f"{name:{width}} = {x: .9g}{known}{bounds.get(int(mask[j]), '')}")
    if n > 1 and np.isfinite(covariance).all() and (stderr > 0).all():
        lines += ["", "correlations"]
        correlation = covariance / np.outer(stderr, stderr)
        pairs = [(i, j) for i in range(1, n) for j in range(i)]
        pairs = [at for at in pairs if n <= 4 or abs(correlation[at]) >= 0.5]
        strongest = sorted(pairs, key=lambda at: -abs(correlation[at]))[:MOST_PAIRS]
        for i, j in sorted(strongest):
            lines.append(f"{names[j]}, {names[i]}: {correlation[i, j]: .4f}")
        if len(pairs) > MOST_PAIRS:
            lines.append(f"and {len(pairs) - MOST_PAIRS:,} more of at least 0.5")
    return "\n".join(lines)
