"""What users' functions return, as arrays that the solver reads; most need no conversion."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def residual(value: Any, dtype: npt.DTypeLike) -> Array:
    """Residuals as a contiguous 1-D array of `dtype`; a scalar counts as one residual."""
    f = np.atleast_1d(np.asarray(value))
    if f.ndim > 1:
        raise ValueError(f"fun: residuals of shape {f.shape}; wanted is one dimension, (m,)")
    return real("fun", f, dtype)


def jacobian(value: Any, dtype: npt.DTypeLike) -> Array:
    """A Jacobian as a contiguous 2-D array of `dtype`; one row may come as a 1-D array."""
    if not isinstance(value, np.ndarray) and hasattr(value, "tocsr"):
        raise TypeError("jac: a sparse matrix; this solver is dense: return J.toarray()")
    J = np.atleast_2d(np.asarray(value))
    if J.ndim > 2:
        raise ValueError(f"jac: shape {J.shape}; wanted are two dimensions, (m, n)")
    return real("jac", J, dtype)


def real(name: str, values: Array, dtype: npt.DTypeLike) -> Array:
    """`values` as `dtype`, in one piece; only real numbers convert."""
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: dtype {values.dtype}; wanted are real numbers")
    if values.size == 0:
        raise ValueError(f"{name}: an empty array of shape {values.shape}; wanted is at least one")
    if values.flags.f_contiguous and values.ndim == 2:
        return np.asfortranarray(values, dtype=dtype)
    return np.ascontiguousarray(values, dtype=dtype)


def copied(value: Any) -> Array:
    """A Jacobian of one's own, as it came."""
    return np.array(value, order="K") if isinstance(value, np.ndarray) else jacobian(value, float)
