"""Direct methods: factor, then substitute; in LAPACK on the CPU, in cuSOLVER on the GPU.

LAPACK is SciPy's. It wants columns contiguous; where the rows are, it gets Aᵀ instead of a copy.
"""

from __future__ import annotations

import warnings

import array_api_compat
import numpy as np

from steepest import _cpu, check
from steepest.linear.progress import SolveInfo
from steepest.linear.system import Array, System, check_symmetric


def factor_and_solve(
    system: System, method: str, overwrite_a: bool, overwrite_b: bool
) -> tuple[Array, float | None]:
    """x by Cholesky, LU or QR, and the reciprocal condition number if it is known."""
    a, b = system.matrix(method), system.b
    if method == "cholesky":
        check_symmetric(system, method)
    overwrite_a = system.owns_a or (overwrite_a and _may_overwrite(a, b))
    overwrite_b = system.owns_b or (overwrite_b and _may_overwrite(b, a))
    if b.size == 0 or a.size == 0:
        x = system.xp.zeros((a.shape[1], *b.shape[1:]), dtype=system.dtype)
        return x, None
    if type(a) is np.ndarray:
        x, rcond, finite = _cpu.solve_directly(method, a, b, overwrite_a, overwrite_b)
        if not finite:
            raise np.linalg.LinAlgError(
                f"x is out of the range of {x.dtype}: the reciprocal condition number of A is "
                f"{rcond:.3g}; scale A or b"
            )
        if rcond < system.eps:
            _warn(rcond)
        return x, rcond
    if array_api_compat.is_cupy_array(a):
        from steepest.linear import cusolver

        return cusolver.METHODS[method](a, b, overwrite_a, overwrite_b), None
    raise TypeError(
        f"A: {type(a).__name__}; method={method!r} takes NumPy and CuPy arrays; "
        "'jacobi', 'gauss-seidel', 'cg' and 'pcg' take any array library"
    )


def _may_overwrite(array: Array, other: Array) -> bool:
    """Whether memory that the user allows to be destroyed is writable and holds nothing else."""
    if array_api_compat.is_numpy_array(array):
        return bool(array.flags.writeable) and not np.may_share_memory(array, other)
    shared = getattr(array_api_compat.array_namespace(array), "may_share_memory", None)
    return shared is not None and not shared(array, other)


def info(method: str, rcond: float | None) -> SolveInfo:
    known = "" if rcond is None else f"; reciprocal condition number {rcond:.3g}"
    return SolveInfo(True, 0, np.empty(0), f"{method} finished{known}", rcond)


def _warn(rcond: float) -> None:
    from scipy.linalg import LinAlgWarning

    warnings.warn(
        f"solve: A is ill-conditioned, its reciprocal condition number is about {rcond:.3g}: "
        f"the digits of x may all be wrong",
        LinAlgWarning,
        stacklevel=check.users_level(),
    )
