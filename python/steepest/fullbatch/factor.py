"""Cholesky of H + τI, τ raised until it is positive definite."""

from __future__ import annotations

import numpy as np

from steepest.fullbatch.arrays import Array, namespace

__all__ = ["solve_shifted"]

FIRST_SHIFT = 1e-3  # of the largest |h_ij|


def solve_shifted(h: Array, b: Array) -> tuple[Array, float]:
    """(H + τI)⁻¹ b and τ, for a symmetric H that need not be positive definite.

    Nocedal & Wright (2006), algorithm 3.3: τ = 0 where the diagonal allows it, else as much as
    makes the diagonal positive; doubled until the Cholesky factorization exists.
    """
    xp = namespace(h)
    n = h.shape[0]
    identity = xp.eye(n, dtype=h.dtype)
    diagonal = float(xp.min(xp.sum(h * identity, axis=0)))
    size = float(xp.max(xp.abs(h)))
    if size == 0:
        return b, 1.0  # H = 0: steepest descent
    shift = 0.0 if diagonal > 0 else FIRST_SHIFT * size - diagonal
    while True:
        x = cholesky_solve(h + shift * identity if shift else h, b)
        if x is not None:
            return x, shift
        shift = max(2 * shift, FIRST_SHIFT * size)


def cholesky_solve(a: Array, b: Array) -> Array | None:
    """a⁻¹ b by Cholesky, or None where `a` is not positive definite."""
    if isinstance(a, np.ndarray):
        from scipy.linalg import lapack

        potrf, potrs = (
            (lapack.dpotrf, lapack.dpotrs)
            if a.itemsize == 8
            else (
                lapack.spotrf,
                lapack.spotrs,
            )
        )
        factor, info = potrf(a.T, lower=False, clean=False)
        if info:
            return None
        x = potrs(factor, b, lower=False)[0]
        return x if np.isfinite(x).all() else None
    xp = namespace(a)
    try:
        factor = xp.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return None
    if not bool(xp.all(xp.isfinite(factor))):  # CuPy says it so
        return None
    return xp.linalg.solve(factor.T, xp.linalg.solve(factor, b))
