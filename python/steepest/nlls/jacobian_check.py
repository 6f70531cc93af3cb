"""`check_jacobian`: a user's Jacobian against differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from steepest.check import function
from steepest.nlls.arguments import bind, start
from steepest.nlls.arrays import device_of, jacobian, namespace, residual, to_host
from steepest.nlls.device import in_use, on_device
from steepest.nlls.differences import Differences, precision


@dataclass(frozen=True)
class JacobianCheck:
    """The entry of a Jacobian that is farthest from its value by central differences.

    error: how far the two values are apart, beyond the error that differences may have there, over
    the larger of the two. 0: right, as far as differences can tell; 1: entirely wrong; 2: of the
    wrong sign; inf: not finite.
    """

    row: int
    column: int
    by_jac: float
    by_differences: float
    error: float

    def __str__(self) -> str:
        if self.error == 0:
            return "no entry of jac differs from differences by more than their own error"
        return (
            f"worst entry: J[{self.row}, {self.column}] is {self.by_jac:.9g} by jac, "
            f"{self.by_differences:.9g} by differences (relative error {self.error:.1e})"
        )


def check_jacobian(
    fun: Callable[..., Any],
    jac: Callable[..., Any],
    x: Any,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> JacobianCheck:
    """Compare ``jac(x)`` with central differences of fun, and name the worst entry.

    Parameters
    ----------
    fun, jac : callable
        Residuals (m,) and Jacobian (m, n), as for `least_squares`.
    x : array_like, (n,)
        Where to compare; a point without zeros or other special values shows most.
    args, kwargs : tuple, dict
        Further arguments of fun and jac.

    Returns
    -------
    JacobianCheck
        The entry where they differ most, and by how much; prints as a line. What noise in fun, or
        its curvature, may explain is not held against jac.

    Raises
    ------
    TypeError, ValueError
        A non-callable, shapes that do not fit, or residuals that are not finite at x.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> check = st.check_jacobian(lambda x: x**2, lambda x: np.diag([2, 3] * x), [1.0, 2.0])
    >>> print(check)
    worst entry: J[1, 1] is 6 by jac, 4 by differences (relative error 3.3e-01)
    """
    function("fun", fun)
    function("jac", jac)
    point, device = start(x, "x"), device_of(x)
    if device is not None:
        fun, jac = on_device(fun, device), on_device(jac, device)
    fun, jac = bind(fun, args, kwargs), bind(jac, args, kwargs)
    raw = fun(point.copy())
    with in_use(device_of(raw)):
        f = residual(raw, point.dtype).copy()  # fun may write to it when it is called again
        if not namespace(f).isfinite(f).all():
            raise ValueError("fun: residuals are not finite at x; choose another x")
        J = jacobian(jac(point.copy()), point.dtype).copy()
        if J.shape != (f.size, point.size):
            raise ValueError(f"jac: shape {J.shape}; expected ({f.size}, {point.size})")
        eps = precision(raw, point)
        differences = Differences(fun, "3-point", None, None, None)
        differences.patience = 0  # noise is looked for below
        # By steps h, 2h and 3h, and compared on the host.
        J, (D, D2, D3) = to_host(J), (to_host(differences(point, f, k**3 * eps)) for k in (1, 2, 3))
        largest = float(abs(f).max())
    step = eps ** (1 / 3) * np.where(point == 0, 1, np.abs(point))
    with np.errstate(all="ignore"):
        # Differences are off by the curvature of f: an entry's own, as others may be far larger.
        curvature = 4 * np.abs(D - D2)
        # And by noise in f. A single entry may show little of it by chance, so the largest of its
        # column counts. Curvature cancels in 5 D - 8 D2 + 3 D3; 0.7 brings it to the size that
        # noise gives 4 |D - D2|.
        noise = 0.7 * np.fmax.reduce(np.abs(5 * D - 8 * D2 + 3 * D3))
        off = np.fmax(curvature, np.fmax(noise, eps * largest / step))  # last: f's rounding
        apart = np.maximum(np.abs(J - D) - off, 0)
        error = np.where(apart == 0, 0.0, apart / np.maximum(np.abs(J), np.abs(D)))
    error = np.where(np.isfinite(J), error, np.inf)
    row, column = np.unravel_index(np.argmax(error), error.shape)
    return JacobianCheck(
        int(row),
        int(column),
        float(J[row, column]),
        float(D[row, column]),
        float(error[row, column]),
    )
