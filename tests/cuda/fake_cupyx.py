"""As much of cupyx as the package uses, over host memory: as silent about failures as the true one.

What cuSOLVER reports is looked at only within ``errstate(linalg="raise")``; without it a factor
that stopped halfway comes back, with finite numbers in it.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import fake_cupy
import numpy as np
from scipy.linalg import lapack as host
from scipy.linalg import solve_triangular as host_solve_triangular

_linalg = ["ignore"]


@contextlib.contextmanager
def errstate(*, linalg):
    before, _linalg[0] = _linalg[0], linalg
    try:
        yield
    finally:
        _linalg[0] = before


def _check(routine, info):
    if _linalg[0] == "raise" and info != 0:
        raise np.linalg.LinAlgError(f"Error reported by {routine} in cuSOLVER. devInfo = [{info}]")


def cholesky(a):
    factor, info = host.dpotrf(a.held, lower=1, clean=1)
    _check("dpotrf", info)
    return fake_cupy.ndarray(factor, a.device.id)


def _gesv(a, b):
    """Overwrites both, b by the solution, and returns nothing, whatever its docstring says."""
    if not (a.flags.c_contiguous or a.flags.f_contiguous):
        raise ValueError("a must be F-contiguous or C-contiguous.")
    if not b.flags.f_contiguous:
        raise ValueError("b must be F-contiguous.")
    a.held[...], _, x, info = host.dgesv(a.held, b.held)
    _check("dgetrf", info)
    b.held[...] = x


def _gels(a, b):
    q, r = np.linalg.qr(a.held)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.array(q.T @ b.held)
        for i in reversed(range(len(r))):  # trsm knows no singular R
            x[i] = (x[i] - r[i, i + 1 :] @ x[i + 1 :]) / r[i, i]
    return fake_cupy.ndarray(x, a.device.id)


def _solve_triangular(a, b, trans=0, lower=False, unit_diagonal=False, overwrite_b=False):
    x = host_solve_triangular(a.held, b.held, trans, lower, unit_diagonal)
    if overwrite_b and b.flags.f_contiguous:
        b.held[...] = x
        return b
    return fake_cupy.ndarray(np.asfortranarray(x), a.device.id)


lapack = SimpleNamespace(gesv=_gesv, gels=_gels)
scipy = SimpleNamespace(linalg=SimpleNamespace(solve_triangular=_solve_triangular))
modules = {  # by the names that they are imported under
    "cupyx.lapack": lapack,
    "cupyx.scipy": scipy,
    "cupyx.scipy.linalg": scipy.linalg,
}
