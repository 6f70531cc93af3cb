"""Newton's step by Cholesky, or by eigenvalues where that does not exist or leads too far."""

from __future__ import annotations

import math

import numpy as np
from array_api_compat import is_cupy_array

from steepest.fullbatch.arrays import Array, from_host, namespace, to_host

AT_START, SHORTEST = 1e3, 20.0  # times D⁻¹ g: a step is cut no shorter, at the start and later
MAX_SHIFTS = 50
SMALLEST = 1e-140  # lengths below are not told apart: their squares vanish


@np.errstate(all="ignore")
def newton_step(
    h: Array, g: Array, most: Array | None = None, least: float = math.inf
) -> tuple[Array, bool]:
    """H⁻¹ g, and whether H is positive definite; else |H|⁻¹ g, along whose negative f falls.

    With D = |diag H|, lengths are |√D x| and |H| = √D |S| √D, where the eigenvalues of |S| are
    those of S = H / √D √Dᵀ without their signs, none below minus the lowest one: in other units of
    the variables x is the same. Longer than `most` (None: 0) and than `least` times D⁻¹ g, it is
    (|H| + τD)⁻¹ g of about that length instead. Where h_ii is 0 beside the largest |h_ij|, the
    latter stands in D.
    """
    xp = namespace(h)
    sizes, size = xp.abs(xp.linalg.diagonal(h)), xp.max(xp.abs(h))
    if float(size) == 0:
        return g, False  # H = 0: steepest descent
    eps = float(xp.finfo(h.dtype).eps)
    scales = xp.sqrt(xp.where(sizes > eps**2 * size, sizes, size))
    x = cholesky_solve(h, g)
    longest = math.inf
    if least < math.inf:
        longest = max(least * _norm(g / scales), 0.0 if most is None else _norm(most * scales))
        longest = max(longest, SMALLEST)
    if x is not None and (longest == math.inf or _norm(x * scales) <= longest):
        return x, True
    values, vectors = xp.linalg.eigh(h / scales[:, None] / scales[None, :])
    along, values = to_host(vectors.T @ (g / scales)), to_host(values)
    curvatures = np.maximum(abs(values), max(-values[0], eps * values[-1]))
    y, shift = along / curvatures, 0.0
    for _ in range(MAX_SHIFTS):  # Newton's method for 1/|y| = 1/longest, which comes from below
        square = float(y @ y)
        if not math.sqrt(square) > 1.1 * longest:
            break
        excess = math.sqrt(square) / longest - 1
        shift += excess * square / float(y @ (y / (curvatures + shift)))
        y = along / (curvatures + shift)
    step = (vectors @ from_host(y, g)) / scales
    return (step if bool(xp.all(xp.isfinite(step))) else g), x is not None


def _norm(v: Array) -> float:
    return float(np.linalg.norm(to_host(v)))  # in float64: of float32 squares may overflow


def cholesky_solve(a: Array, b: Array) -> Array | None:
    """a⁻¹ b by Cholesky, or None where `a` is not positive definite."""
    if isinstance(a, np.ndarray):
        from scipy.linalg import lapack

        double = a.itemsize == 8
        potrf = lapack.dpotrf if double else lapack.spotrf
        potrs = lapack.dpotrs if double else lapack.spotrs
        factor, info = potrf(a.T, lower=False, clean=False)
        if info:
            return None
        x = potrs(factor, b, lower=False)[0]
        return x if np.isfinite(x).all() else None
    if is_cupy_array(a):
        from steepest.linear.cusolver import cholesky

        try:
            return cholesky(a, b, False, False)
        except np.linalg.LinAlgError:
            return None
    xp = namespace(a)
    try:
        factor = xp.linalg.cholesky(a)
    except Exception as error:
        if "LinAlgError" not in type(error).__name__:  # each library has its own
            raise
        return None
    if not bool(xp.all(xp.isfinite(factor))):  # some libraries say it so
        return None
    return xp.linalg.solve(factor.T, xp.linalg.solve(factor, b))
