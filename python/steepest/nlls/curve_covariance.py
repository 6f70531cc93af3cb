"""The covariance of `curve_fit`'s estimate, and the QR factorization that MINPACK reports."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy.linalg.lapack import dgeqp3, dormqr, dtrtri
from scipy.optimize import OptimizeResult, OptimizeWarning

from steepest import _cpu, check
from steepest.nlls import arrays
from steepest.nlls.arrays import Array
from steepest.nlls.result import OWN_QR_WORK, variance


def qr_and_covariance(
    result: OptimizeResult, method: str, absolute_sigma: bool, whole: bool
) -> tuple[tuple[Array, ...] | None, Array]:
    """MINPACK's fjac, ipvt and qtf by "lm", else None; and the covariance of the estimate, with
    SciPy's warning where some of it is indeterminate. On the host; whole: fjac and qtf are asked
    for."""
    unknown: list[int] = []
    if method == "lm":
        qr, covariance = minpack_outputs(result, absolute_sigma, whole)
    else:
        qr, (covariance, unknown) = None, covariance_of(result, absolute_sigma)
    if covariance is None or unknown:
        warn_of_unknown(unknown)
    if covariance is None:
        covariance = np.full((result["x"].size,) * 2, np.inf)
    return qr, covariance


def covariance_of(result: OptimizeResult, absolute_sigma: bool) -> tuple[Array | None, list[int]]:
    """The covariance of the estimate, on the host, and which parameters the data do not determine.
    Their rows and columns are inf, where the pseudo-inverse has small numbers or 0. None if no
    variance can be estimated."""
    with np.errstate(all="ignore"):
        inverse, known = result._inverse()
        scaled: Array = inverse * (1.0 if absolute_sigma else variance(result, result["fun"].size))
    if not math.isfinite(scaled.trace()) or not (known is None or known.any()):
        return None, []
    if known is None:
        return scaled, []
    scaled[~known] = scaled[:, ~known] = np.inf
    return scaled, np.flatnonzero(~known).tolist()


def warn_of_unknown(parameters: list[int]) -> None:
    """SciPy's warning; names the undetermined parameters, unless it is about all."""
    words = "Covariance of the parameters could not be estimated"
    if parameters:
        listed = ", ".join(f"p[{j}]" for j in parameters)
        words += f": the data do not determine {listed}, inf in the covariance"
    warnings.warn(words, OptimizeWarning, stacklevel=check.users_level())


def minpack_outputs(
    result: OptimizeResult, absolute_sigma: bool, whole: bool
) -> tuple[tuple[Array, ...], Array | None]:
    """MINPACK's fjac, ipvt and qtf, and the covariance of the estimate, on the host."""
    jac, f = result["jac"], result["fun"]
    factor = 1.0 if absolute_sigma else variance(result, f.size)
    if whole:
        jac, f = arrays.to_host(jac), arrays.to_host(f)
    elif not isinstance(jac, np.ndarray):  # on a device; R does for the covariance
        jac = arrays.factor(jac)
        f = np.zeros(len(jac))
    m, n = jac.shape
    factorize = _cpu.pivoted_qr if m * n * n <= OWN_QR_WORK else pivoted_qr
    fjac, ipvt, qtf, pcov = factorize(jac, f, factor)
    return (fjac, ipvt, qtf), pcov


def pivoted_qr(jac: Array, f: Array, factor: float) -> tuple[Array, Array, Array, Array | None]:
    """J[:, ipvt] = QR: fjac with R in the upper triangle of its .T, ipvt, Qᵀf, and
    factor (JᵀJ)⁻¹, None where that is not finite."""
    n = jac.shape[1]
    with _cpu.OneBlasThread():  # dgeqp3's products are short, its threads would wait for each other
        qr, pivots, tau, *_ = dgeqp3(jac)
        qtf, _, _ = dormqr("L", "T", qr[:, : tau.size], tau, f[:, None], lwork=64)
    outputs = qr.T, pivots - 1, qtf[:n, 0]
    upper, info = dtrtri(qr[:n])
    if info != 0:  # a zero on the diagonal, or fewer rows than columns
        return *outputs, None
    root = np.empty((n, n))
    root[pivots - 1] = np.triu(upper)  # below it dgeqp3 keeps Q
    inverse = factor * (root @ root.T)
    return *outputs, inverse if math.isfinite(inverse.trace()) else None
