"""Cholesky, LU and QR of NumPy arrays, by the LAPACK in SciPy.

LAPACK wants columns contiguous. Where the rows are, it gets Aᵀ instead of a copy: the same matrix
for Cholesky, and for LU a system to be solved transposed. Each function returns x and an estimate
of the reciprocal condition number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs

from steepest.linear.system import Array

# Columns to a block, and so the workspace, for QR: LAPACK's own are at most as many, and to ask for
# them takes a twentieth of a small solution.
BLOCK = 64


def cholesky(a: Array, b: Array, overwrite_a: bool, overwrite_b: bool) -> tuple[Array, float]:
    """A = L Lᵀ; A is known to be symmetric."""
    potrf, potrs, pocon = get_lapack_funcs(("potrf", "potrs", "pocon"), (a,))
    columns, _ = _columns(a)
    norm = _norm(columns)
    factor, info = potrf(columns, lower=1, clean=0, overwrite_a=overwrite_a)
    if info > 0:
        raise np.linalg.LinAlgError(
            f"A is not positive definite: its leading minor of order {info} is not positive; "
            "use method='lu'"
        )
    rcond, _ = pocon(factor, norm, uplo="L")
    x, _ = potrs(factor, _two_dimensional(b), lower=1, overwrite_b=overwrite_b)
    return x.reshape(b.shape), float(rcond)


def lu(a: Array, b: Array, overwrite_a: bool, overwrite_b: bool) -> tuple[Array, float]:
    """P A = L U with row exchanges."""
    getrf, getrs, gecon = get_lapack_funcs(("getrf", "getrs", "gecon"), (a,))
    columns, transposed = _columns(a)
    norm = _norm(columns)
    factor, pivots, info = getrf(columns, overwrite_a=overwrite_a)
    if info > 0:
        raise _singular(f"U[{info - 1}, {info - 1}] is exactly 0")
    rcond, _ = gecon(factor, norm)
    x, _ = getrs(
        factor, pivots, _two_dimensional(b), trans=int(transposed), overwrite_b=overwrite_b
    )
    return x.reshape(b.shape), float(rcond)


def qr(a: Array, b: Array, overwrite_a: bool, overwrite_b: bool) -> tuple[Array, float]:
    """A = Q R by Householder reflections; x minimises ‖A x − b‖₂."""
    geqrf, ormqr, trtrs, gecon = get_lapack_funcs(("geqrf", "ormqr", "trtrs", "gecon"), (a,))
    n = a.shape[1]
    _norm(a.T if a.flags.c_contiguous else a)
    factor, tau, _, _ = geqrf(a, lwork=BLOCK * n, overwrite_a=overwrite_a)
    # R as an LU factorisation with L = I, whose condition LAPACK can estimate
    r = np.triu(factor[:n]) if n > BLOCK else np.where(_below(n), a.dtype.type(0), factor[:n])
    rcond, _ = gecon(r, _norm(r))
    c = _two_dimensional(b)
    work = BLOCK * c.shape[1] + (BLOCK + 1) * BLOCK
    qtb, _, _ = ormqr("L", "T", factor, tau, c, work, overwrite_c=overwrite_b)
    x, info = trtrs(r, qtb[:n], overwrite_b=overwrite_b and qtb.shape[0] == n)
    if info > 0:
        raise _singular(f"R[{info - 1}, {info - 1}] is exactly 0")
    return x.reshape((n, *b.shape[1:])), float(rcond)


@functools.cache
def _below(n: int) -> Array:
    """Where an (n, n) matrix is below its diagonal: half the time of np.triu, of a small one."""
    return np.tri(n, k=-1, dtype=bool)


def _singular(why: str) -> np.linalg.LinAlgError:
    return np.linalg.LinAlgError(f"A is singular: {why}")


def _columns(a: Array) -> tuple[Array, bool]:
    """A or its transpose, whichever has contiguous columns, and whether it is the transpose."""
    transposed = bool(a.flags.c_contiguous and not a.flags.f_contiguous)
    return (a.T if transposed else a), transposed


def _two_dimensional(b: Array) -> Array:
    return b[:, None] if b.ndim == 1 else b


def _norm(a: Array) -> float:
    """‖A‖₁, which must be finite."""
    (lange,) = get_lapack_funcs(("lange",), (a,))
    norm = float(lange("1", a))
    if not math.isfinite(norm):
        raise ValueError("A: holds inf or NaN, or overflows; allowed are finite values")
    return norm


METHODS: dict[str, Callable[[Any, Any, bool, bool], tuple[Any, float]]] = {
    "cholesky": cholesky,
    "lu": lu,
    "qr": qr,
}
