"""Cholesky, LU and QR of CuPy arrays, by cuSOLVER. Each waits for the device to say if it worked.

All are told what they may overwrite; CuPy copies A for Cholesky, and A and b for QR, all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import cupyx
import cupyx.lapack
import cupyx.scipy.linalg
import numpy as np

from steepest.linear.system import Array


def cholesky(a: Array, b: Array, overwrite_a: bool, overwrite_b: bool) -> Array:
    """A = L Lᵀ (potrf), then two triangular solves."""
    with cupyx.errstate(linalg="raise"):
        try:
            factor = cupy.linalg.cholesky(a)
        except np.linalg.LinAlgError as error:
            raise np.linalg.LinAlgError(
                f"A is not positive definite ({error}); use method='lu'"
            ) from error
    triangular = cupyx.scipy.linalg.solve_triangular
    y = triangular(factor, b, lower=True, overwrite_b=overwrite_b)
    return triangular(factor, y, lower=True, trans="T", overwrite_b=True)


def lu(a: Array, b: Array, overwrite_a: bool, overwrite_b: bool) -> Array:
    """P A = L U with row exchanges (getrf, getrs); in place if that is allowed."""
    contiguous = a.flags.c_contiguous or a.flags.f_contiguous
    a = a if overwrite_a and contiguous else a.copy(order="F")
    x = b if overwrite_b and b.flags.f_contiguous else b.copy(order="F")
    with cupyx.errstate(linalg="raise"):
        try:
            cupyx.lapack.gesv(a, x)  # which leaves x where b was, and returns nothing
        except np.linalg.LinAlgError as error:
            raise np.linalg.LinAlgError(f"A is singular ({error})") from error
    return x


def qr(a: Array, b: Array, overwrite_a: bool, overwrite_b: bool) -> Array:
    """A = Q R (geqrf, ormqr), then a triangular solve; x minimizes ‖A x − b‖₂."""
    x = cupyx.lapack.gels(a, b)
    if not bool(cupy.isfinite(x).all()):
        raise np.linalg.LinAlgError("A is singular: R has a zero on its diagonal")
    return x


METHODS: dict[str, Callable[[Any, Any, bool, bool], Any]] = {
    "cholesky": cholesky,
    "lu": lu,
    "qr": qr,
}
