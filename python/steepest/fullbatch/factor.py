"""Cholesky of H + τD, τ raised until it is positive definite."""

from __future__ import annotations

import math

import numpy as np
from array_api_compat import device, is_cupy_array

from steepest.fullbatch.arrays import Array, namespace

FIRST_SHIFT = 1e-3  # of |h_ii|


def solve_shifted(h: Array, b: Array) -> tuple[Array, float]:
    """(H + τD)⁻¹ b and τ, for a symmetric H that need not be positive definite.

    Nocedal & Wright (2006), algorithm 3.3, with D = |diag H| in place of I: in other units of
    the variables x is the same. τ = 0 where the diagonal allows it, else as much as makes the
    diagonal positive; doubled until the Cholesky factorization exists. Where h_ii is 0 beside the
    largest |h_ij|, the latter stands in D.
    """
    xp = namespace(h)
    diagonal = xp.linalg.diagonal(h)
    sizes, size = xp.abs(diagonal), xp.max(xp.abs(h))
    if float(size) == 0:
        return b, 1.0  # H = 0: steepest descent
    with np.errstate(under="ignore"):
        least = float(xp.finfo(h.dtype).eps) ** 2 * size
    sizes = xp.where(sizes > least, sizes, size)
    lowest = float(xp.min(diagonal / sizes))
    shift = 0.0 if lowest > 0 else FIRST_SHIFT - lowest
    identity = xp.eye(h.shape[0], dtype=h.dtype, device=device(h))
    while math.isfinite(shift):
        x = cholesky_solve(h + identity * (shift * sizes) if shift else h, b)
        if x is not None:
            return x, shift
        shift = max(2 * shift, FIRST_SHIFT)
    return b, shift  # τD leaves the range of the dtype


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
    except np.linalg.LinAlgError:
        return None
    if not bool(xp.all(xp.isfinite(factor))):  # some libraries say it so
        return None
    return xp.linalg.solve(factor.T, xp.linalg.solve(factor, b))
