"""What a fit found, with the uncertainty of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO
from warnings import warn

import numpy as np
from scipy.optimize import OptimizeResult, OptimizeWarning

from steepest import _cpu, check
from steepest.nlls import arrays
from steepest.nlls.arguments import Options
from steepest.nlls.arrays import Array

MOST_PAIRS = 20  # correlations that a summary lists
MOST_NAMED = 5  # parameters that a message names
OWN_QR_WORK = 20_000  # m * n * n up to which our own QR is faster than a call of LAPACK's
METHODS = ("covariance", "stderr", "summary")
FAR = 1e12  # a trace below it: no singular value is below 1e-6
MESSAGES = {
    -3: "No fraction of the Gauss-Newton step lowers the cost; method 'lm' damps it.",
    -2: "Stopped because `callback` function raised `StopIteration` or returned `True`",
    -1: "No step longer than `xtol` from here gives finite residuals and Jacobian.",
    0: "The maximum number of function evaluations is exceeded.",
    1: "`gtol` termination condition is satisfied.",
    2: "`ftol` termination condition is satisfied.",
    3: "`xtol` termination condition is satisfied.",
    4: "Both `ftol` and `xtol` termination conditions are satisfied.",
}

MISLED = (
    " But the cost rises along steps that should lower it according to `jac`: check it with"
    " `check_jacobian`, and its sign."
)
NO_CHANGE = (
    " But no residual changes with {} over the step of a difference: if one should, choose its unit"
    " so that its value is about 1."
)
NO_WEIGHT = (
    " But no residual has weight: each is beyond `f_scale`. Take a larger one, or start from the x"
    " of a fit by 'soft_l1'."
)


class LeastSquaresResult(OptimizeResult):  # type: ignore[misc]
    """A SciPy `OptimizeResult` with three methods.

    Attributes
    ----------
    x : ndarray, (n,)
        The answer.
    cost : float
        ½ C² Σ ρ((fᵢ/C)²) there, ½ Σ fᵢ² without a loss.
    fun : ndarray, (m,), or None
        The residuals there; None after normal equations or blocks of rows.
    jac : ndarray, (m, n), or None
        The Jacobian there; None as `fun`. With a robust loss its rows are weighted, as SciPy's
        are, so that jac.T @ jac approximates the Hessian of the cost.
    grad : ndarray, (n,)
        The gradient of the cost.
    optimality : float
        SciPy's: the largest |gⱼ|, with bounds times the distance to the bound.
    active_mask : ndarray of int, (n,)
        -1 at a lower bound, 1 at an upper one, else 0.
    nfev, njev, nit : int
        Evaluations of the residuals, not counting differences; Jacobians; accepted steps.
    status : int
        Why it stopped: 1 `gtol`, 2 `ftol`, 3 `xtol`, 4 `ftol` and `xtol`; 0 `max_nfev`; -1 no step
        longer than `xtol` gives finite numbers; -2 stopped by the callback; -3 no fraction of a
        "gn" step lowers the cost.
    message : str
        The same in words.
    success : bool
        Whether `status` is above 0.
    damping : float
        The last λ.
    """

    _columns_off = 0.0  # about the errors of J's columns, over their norms, if by differences

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *METHODS]  # SciPy lists the entries alone

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if name in METHODS:  # an entry of that name would be hidden by the method
            object.__setattr__(self, name, value)

    __setattr__ = __setitem__

    def covariance(self, absolute_sigma: bool = False) -> Array:
        """Covariance of the parameters, (n, n): 2 cost / (m − n) · (JᵀJ)⁺.

        With `absolute_sigma` the residuals are taken to have unit variance, and the factor is
        dropped, as in `scipy.optimize.curve_fit`. Without enough residuals for the factor every
        entry is inf, with an `OptimizeWarning`, as there. The entries of a parameter that the
        residuals do not determine say nothing about it: `summary` calls its error indeterminate.

        Raises
        ------
        ValueError
            After normal equations, which do not tell how many residuals there are, unless
            `absolute_sigma` is True.
        """
        return arrays.from_host(self._covariance(absolute_sigma), self["x"])

    def _covariance(self, absolute_sigma: bool) -> Array:
        """The same on the host."""
        with arrays.out_of_range():
            inverse, _ = self._inverse()
        return self._scaled(inverse, absolute_sigma, warns=True)

    def _scaled(self, inverse: Array, absolute_sigma: bool, warns: bool) -> Array:
        """The covariance, from (JᵀJ)⁺."""
        if absolute_sigma:
            return inverse
        m, n = self._m(), self["x"].size
        if m == 0:
            raise ValueError(
                "covariance: normal equations do not give the number of residuals; use "
                "absolute_sigma=True and multiply by 2 cost / (m - n)"
            )
        if m > n and np.isfinite(inverse).all():
            with arrays.out_of_range():
                scaled: Array = inverse * variance(self, m)
        else:
            scaled = np.full((n, n), np.inf)
        if warns and not np.isfinite(scaled).any():
            warn(
                "Covariance of the parameters could not be estimated",
                category=OptimizeWarning,
                stacklevel=check.users_level(),
            )
        return scaled

    def stderr(self, absolute_sigma: bool = False) -> Array:
        """Standard errors of the parameters, (n,): the roots of the diagonal of `covariance`, which
        warns and raises as it does."""
        return arrays.from_host(np.sqrt(np.diag(self._covariance(absolute_sigma))), self["x"])

    def summary(self, names: Sequence[str] | None = None, file: TextIO | None = None) -> None:
        """Print parameters, standard errors, (the strongest) correlations, cost and why the fit
        stopped: to `file` if given, an `io.StringIO()` to get the text. Returns None."""
        print(summary_text(self, names), file=file)

    def _m(self) -> int:
        """The number of residuals; 0 where normal equations do not tell it."""
        return int(self._kept[0] if self["fun"] is None else self["fun"].size)

    def _triangle(self) -> Array:
        """R of J = QR, or of the matrix in place of J."""
        factor = self._kept[1] if self["jac"] is None else arrays.factor(self["jac"])
        if factor.dtype.itemsize not in (4, 8):
            factor = factor.astype(float)  # NumPy has no linear algebra for others
        return np.asarray(np.linalg.qr(factor, mode="r"))

    def _cut(self, s: Array) -> float:
        """Singular values up to this one are rounding."""
        return float(np.finfo(s.dtype).eps * max(self._m(), self["x"].size) * s[0])

    def _inverse(self) -> tuple[Array, Array | None]:
        """(JᵀJ)⁺ by the singular values of R with unit columns, and which parameters the residuals
        determine; None: all."""
        if (quick := self._far_from_singular()) is not None:
            return quick, None
        factor = self._triangle()
        scale, s, V = unit_columns(factor)
        known, cut = None, self._cut(s)
        if s.size == self["x"].size and s[-1] > cut:
            V /= scale
        else:  # the pseudo-inverse is that of the columns as they are
            known = rows_hold(s, V, cut)
            _, s, V = np.linalg.svd(factor, full_matrices=False)
            keep = s > self._cut(s)
            s, V = s[keep], V[keep]
        inverse: Array = (V.T / s**2) @ V
        return inverse, known

    def _far_from_singular(self) -> Array | None:
        """(JᵀJ)⁻¹ by our own QR, in a fifth of the time. None unless this shows that J with unit
        columns has singular values far above rounding: the trace is the sum of their s⁻²."""
        J = self["jac"]
        if type(J) is not np.ndarray or J.dtype != np.float64:
            return None
        m, n = J.shape
        if m < n or m * n * n > OWN_QR_WORK:
            return None
        *_, inverse = _cpu.pivoted_qr(J, J[:, 0], 1.0)
        if inverse is None or not (inverse.diagonal() * (J * J).sum(0)).sum() < FAR:
            return None
        return inverse  # type: ignore[no-any-return]


def result_of(solver: Any, J: Any, given: bool, options: Options) -> LeastSquaresResult:
    """The solver's state as a result. J: the Jacobian, None after normal equations or blocks of
    rows; given: the user gave the Jacobians."""
    if J is not None and J.ndim == 1:  # one row
        J = J.reshape(1, -1)
    result = LeastSquaresResult()
    solver.put_state(result, J)
    weight, status = result.pop("jac_weight"), result["status"]
    if weight is not None:
        with arrays.out_of_range():
            result["jac"] = J * weight[:, None]
    result.update(message=MESSAGES[status], success=status > 0)
    if options.loss == "tukey" and status > 0 and J is not None:
        if bool((abs(result["fun"]) >= options.f_scale).all()):
            result["message"] += NO_WEIGHT
    if given and solver.misled:
        result["message"] += MISLED
    if not given:
        object.__setattr__(result, "_columns_off", solver.columns_off)
        if (
            status > 0
            and result["cost"] > 0
            and (flat := [j for j in solver.flat() if not J[:, j].any()])
        ):
            listed = ", ".join(f"x[{j}]" for j in flat[:MOST_NAMED])
            result["message"] += NO_CHANGE.format(listed + ", ..." * (len(flat) > MOST_NAMED))
    if J is None:
        # In place of J: its number of rows (0: unknown), and an A with AᵀA = JᵀJ. No entries of the
        # dict, which users see.
        object.__setattr__(result, "_kept", (solver.m, gram_factor(*solver.gram())))
    return result


def gram_factor(triangle: bool, matrix: Array) -> Array:
    """A with AᵀA = JᵀJ, from R or from the lower triangle of JᵀJ.

    From JᵀJ by its eigenvalues, in units where J's columns have norm 1. Eigenvalues that the
    solver's Cholesky would take for rounding are set to zero.
    """
    if triangle:
        return np.triu(matrix)
    norms = np.sqrt(np.diag(matrix))
    scale = np.where(norms > 0, norms, 1)
    values, vectors = np.linalg.eigh(matrix / scale / scale[:, None], UPLO="L")
    rounding = 16 * len(values) * np.finfo(matrix.dtype).eps
    factor: Array = np.sqrt(np.where(values > rounding, values, 0))[:, None] * vectors.T * scale
    return factor


def unit_columns(factor: Array) -> tuple[Array, Array, Array]:
    """The norms of the columns (1 for 0), and s and V of the matrix divided by them."""
    with arrays.out_of_range():
        norms = np.linalg.norm(factor, axis=0)
        scale = np.where(norms > 0, norms, 1.0)
        _, s, V = np.linalg.svd(factor / scale, full_matrices=False)
    return scale, s, V


def rows_hold(s: Array, V: Array, cut: float, tilt: float = 0.0) -> Array:
    """Which parameters the residuals determine, (n,), in any units: those whose unit vectors lie in
    the span of the rows of V with singular values above `cut`. Any other is part of a direction
    that changes no residual. tilt: about the error of that span."""
    kept = s > cut
    in_rows = (V[kept] ** 2).sum(axis=0)
    rounding = 1000 * len(in_rows) * np.finfo(s.dtype).eps
    held: Array = 1 - in_rows <= max(rounding, min(tilt, 0.01) ** 2)
    return held


def estimable(result: LeastSquaresResult, off: float) -> tuple[Array, Array, int]:
    """Which parameters the residuals determine; (JᵀJ)⁺ without the directions that change no
    residual; and their number. off: the error of J's singular values, with unit columns, over the
    largest."""
    scale, s, V = unit_columns(result._triangle())
    cut = max(result._cut(s), off * float(s[0]))
    kept = s > cut
    known = rows_hold(s, V, cut, off * float(s[0]) / float(s[kept].min(initial=np.inf)))
    with arrays.out_of_range():
        rows = V[kept] / scale
        inverse: Array = (rows.T / s[kept] ** 2) @ rows
    return known, inverse, len(scale) - len(rows)


def variance(result: OptimizeResult, m: int) -> float:
    """Of m residuals: 2 cost / (m − n); inf where they are no more than the parameters."""
    spare = m - result["x"].size
    return float(2 * result["cost"] / spare) if spare > 0 else np.inf


def summary_text(result: LeastSquaresResult, names: Sequence[str] | None = None) -> str:
    """Parameters, standard errors, correlations, cost and why the fit stopped, as text."""
    n, m = result.x.size, result._m()
    names = [f"x[{j}]" for j in range(n)] if names is None else [*map(str, names)]
    if len(names) != n:
        raise ValueError(f"names: {len(names)} for {n} parameters")
    # At most 1e-3: where J is noisy, more would discard singular values that a good fit rests on.
    determines, inverse, free = estimable(result, min(2 * n**0.5 * result._columns_off, 1e-3))
    covariance = result._scaled(inverse, absolute_sigma=m == 0, warns=False)
    stderr = np.where(determines, np.sqrt(np.diag(covariance)), np.inf)
    lines = [result.message, f"cost {result.cost:.6g}, {m or 'unknown'} residuals, {n} parameters"]
    lines.append(f"{result.nfev} evaluations, {result.njev} Jacobians, {result.nit} iterations")
    if m > n:
        lines.append(f"residual standard deviation {np.sqrt(variance(result, m)):.6g}")
    if m == 0:
        lines.append("standard errors for residuals of unit variance")
    lines += ["", *parameter_lines(result, names, stderr)]
    if free:
        how = ", as far as differences tell" if result._columns_off else ""
        lines += ["", f"directions in which no residual changes: {free}{how}"]
    return "\n".join(lines + correlation_lines(names, covariance, stderr))


def parameter_lines(result: LeastSquaresResult, names: list[str], stderr: Array) -> list[str]:
    """Each parameter with its standard error, of a summary."""
    mask, width = arrays.to_host(result.active_mask), max(map(len, names))
    bounds = {-1: "  at its lower bound", 0: "", 1: "  at its upper bound"}
    lines = []
    for j, (name, x, error) in enumerate(zip(names, arrays.to_host(result.x), stderr, strict=True)):
        relative = f" ({100 * abs(error / x):.3g}%)" if x != 0 else ""
        known = f" ± {error:.3g}{relative}" if np.isfinite(error) else " (error indeterminate)"
        lines.append(f"{name:{width}} = {x: .9g}{known}{bounds[int(mask[j])]}")
    return lines


def correlation_lines(names: list[str], covariance: Array, stderr: Array) -> list[str]:
    """The strongest correlations, of a summary; all of four parameters or fewer."""
    finite = np.flatnonzero(np.isfinite(stderr))
    if finite.size < 2 or not (stderr > 0).all():
        return []
    correlation = covariance / np.outer(stderr, stderr)
    pairs = [(int(i), int(j)) for i in finite for j in finite if j < i]
    pairs = [pair for pair in pairs if len(names) <= 4 or abs(correlation[pair]) >= 0.5]
    strongest = sorted(pairs, key=lambda pair: -abs(correlation[pair]))[:MOST_PAIRS]
    lines = ["", "correlations"]
    lines += [f"{names[j]}, {names[i]}: {correlation[i, j]: .4f}" for i, j in sorted(strongest)]
    if len(pairs) > MOST_PAIRS:
        lines.append(f"and {len(pairs) - MOST_PAIRS:,} more of at least 0.5")
    return lines
