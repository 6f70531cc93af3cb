"""``steepest.solve``: checks its arguments and hands over to the method."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from steepest import check
from steepest.errors import ConvergenceError
from steepest.linear import direct, krylov, stationary
from steepest.linear.preconditioners import make_preconditioner
from steepest.linear.progress import Progress
from steepest.linear.system import Array, System, check_symmetric, make_system, user_product

DIRECT = ("cholesky", "lu", "qr")
ITERATIVE = ("jacobi", "gauss-seidel", "cg", "pcg")
METHODS = DIRECT + ITERATIVE

# option -> its default, and the methods that it has a meaning for
OPTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "rtol": (1e-8, ITERATIVE),
    "atol": (0.0, ITERATIVE),
    "maxiter": (None, ITERATIVE),
    "x0": (None, ITERATIVE),
    "sweep": ("forward", ("gauss-seidel",)),
    "omega": (1.0, ("gauss-seidel", "pcg")),
    "preconditioner": ("jacobi", ("pcg",)),
    "diagonal": (None, ("jacobi", "pcg")),
    "callback": (None, ITERATIVE),
}
DEFAULTS = [default for default, _ in OPTIONS.values()]


def solve(
    A: Any,
    b: Any,
    *,
    method: str = "cholesky",
    rtol: float = 1e-8,
    atol: float = 0.0,
    maxiter: int | None = None,
    x0: Any = None,
    sweep: str = "forward",
    omega: float = 1.0,
    preconditioner: str | Callable[[Array], Array] = "jacobi",
    diagonal: Any = None,
    callback: Callable[[Array], object] | None = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    return_info: bool = False,
) -> Any:
    """Solve the linear system A x = b.

    =============== ============================== ==================================
    method          A                              cost
    =============== ============================== ==================================
    "cholesky"      symmetric positive definite    n³/3
    "lu"            any nonsingular matrix         2n³/3
    "qr"            m × n, m ≥ n, of full rank     2mn² − 2n³/3; least squares
    "jacobi"        e.g. diagonally dominant       one product with A per iteration
    "gauss-seidel"  dominant, or s.p.d.            one pass over A per sweep
    "cg", "pcg"     symmetric positive definite    one product with A per iteration
    =============== ============================== ==================================

    Parameters
    ----------
    A : array, shape (n, n), or callable
        NumPy or CuPy, dense, float32 or float64 (integers and bool become float64). For "jacobi",
        "cg" and "pcg" also a function that maps a vector, shape (n,), to A times it, or an object
        with such a ``matvec``. "qr" takes (m, n) with m ≥ n and minimizes ‖A x − b‖₂. Symmetry is
        checked, to rounding, if the method needs it; for a function it cannot be.
    b : array, shape (n,) or (n, k)
        One right-hand side, or k in columns.
    method : str
        See the table.
    rtol, atol : float
        An iterative method stops when ‖b − A x‖₂ ≤ max(rtol ‖b‖₂, atol) in every column. An rtol
        below √n ε, the rounding of the residual in the working precision, counts as that.
    maxiter : int, optional
        Largest number of iterations; max(1000, 10 n) if None.
    x0 : array, shape of x, optional
        Where an iterative method starts; zero if None.
    sweep : {"forward", "backward", "symmetric"}
        The order of the rows in Gauss-Seidel; symmetric is forward, then backward.
    omega : float
        Relaxation of Gauss-Seidel (which becomes SOR) and of the SSOR preconditioner, in (0, 2).
    preconditioner : {"jacobi", "ssor"} or callable
        For "pcg": r ↦ M⁻¹ r for a vector r, or an object with such a ``matvec``; symmetric positive
        definite. "ssor" needs A itself.
    diagonal : array, shape (n,), optional
        The diagonal for "jacobi" and the preconditioners "jacobi" and "ssor": that of A if None;
        needed if A is a function.
    callback : callable, optional
        ``callback(x)`` after every iteration, with a copy; ``StopIteration`` stops the iteration.
    overwrite_a, overwrite_b : bool
        Allow A and b to be destroyed: a direct method then works in place if the memory layout
        permits (A: rows or columns contiguous, for "qr" columns; b: a vector, or columns
        contiguous). Neither is written to otherwise, nor if it is read-only or shares memory with
        the other.
    return_info : bool
        Also return a :class:`steepest.linear.SolveInfo`.

    Returns
    -------
    x : array, shape (n,) or (n, k)
        Of A's library, in the working precision.
    info : SolveInfo
        With ``return_info``: success, nit, residuals, message, rcond.

    Raises
    ------
    numpy.linalg.LinAlgError
        A is not what the method needs: not square, not symmetric, not positive definite, singular,
        a zero on the diagonal.
    steepest.ConvergenceError
        An iterative method did not converge (a LinAlgError with ``x`` and ``info``); not raised
        with ``return_info``, where ``info.success`` is False instead.
    TypeError, ValueError
        An invalid dtype, shape or option; inf or NaN in A or b.

    Warns
    -----
    scipy.linalg.LinAlgWarning
        A direct method on the CPU met a condition number above 1/ε.

    Notes
    -----
    Golub & Van Loan, Matrix Computations (2013), ch. 3 to 5; Saad, Iterative Methods for Sparse
    Linear Systems (2003), ch. 4 and 6; Hestenes & Stiefel 1952 for "cg". Gauss-Seidel copies A
    once if its rows are not contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> A, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    >>> st.solve(A, b).round(4)
    array([0.0909, 0.6364])
    >>> x, info = st.solve(A, b, method="cg", return_info=True)
    >>> info.success, info.nit
    (True, 2)
    """
    check.choice("method", method, METHODS)
    given = (rtol, atol, maxiter, x0, sweep, omega, preconditioner, diagonal, callback)
    options = dict(zip(OPTIONS, given, strict=True))
    _check_options(method, options)
    overwrite_a = check.flag("overwrite_a", overwrite_a)
    overwrite_b = check.flag("overwrite_b", overwrite_b)
    return_info = check.flag("return_info", return_info)
    system = make_system(A, b, x0, diagonal, least_squares=method == "qr")
    if method in DIRECT:
        x, rcond = direct.factor_and_solve(system, method, overwrite_a, overwrite_b)
        return (x, direct.info(method, rcond)) if return_info else x
    system.users = np.geterr()
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        x, progress = _iterate(system, method, options)
    if progress.converged and not return_info:
        return x
    info = progress.info(method)
    if not return_info:
        raise ConvergenceError(info.message, x, info)
    return x, info


def _check_options(method: str, options: dict[str, Any]) -> None:
    """Every option in range and of its own type, and none given that the method would ignore."""
    if all(map(operator.is_, options.values(), DEFAULTS)):
        return
    options["rtol"] = check.number("rtol", options["rtol"], at_least=0)
    options["atol"] = check.number("atol", options["atol"], at_least=0)
    if options["maxiter"] is not None:
        options["maxiter"] = check.limit("maxiter", options["maxiter"], at_least=1)
    check.choice("sweep", options["sweep"], ("forward", "backward", "symmetric"))
    options["omega"] = check.number("omega", options["omega"], above=0, below=2)
    if user_product(options["preconditioner"]) is None:
        if hasattr(options["preconditioner"], "dot"):
            got = check.got(options["preconditioner"])
            raise TypeError(
                f"preconditioner: {got}; expected a function r -> M⁻¹r, such as its .dot"
            )
        if options["preconditioner"] not in ("jacobi", "ssor"):
            shown = check.shown(options["preconditioner"])
            raise ValueError(
                f"preconditioner: {shown} is not allowed; expected 'jacobi', 'ssor' or a function"
            )
    if options["callback"] is not None:
        check.function("callback", options["callback"])
    for name, (default, methods) in OPTIONS.items():
        value = options[name]
        given = value is not default and not (np.isscalar(value) and value == default)
        if given and method not in methods:
            allowed = ", ".join(repr(word) for word in methods)
            raise ValueError(
                f"{name}: has no meaning for method={method!r}; allowed with {allowed}"
            )
    if method == "pcg" and options["omega"] != 1 and options["preconditioner"] != "ssor":
        raise ValueError("omega: has no meaning for this preconditioner; allowed with 'ssor'")
    if options["diagonal"] is not None and not isinstance(options["preconditioner"], str):
        raise ValueError(
            "diagonal: has no meaning for this preconditioner; allowed with 'jacobi', 'ssor'"
        )


def _iterate(system: System, method: str, options: dict[str, Any]) -> tuple[Array, Progress]:
    maxiter = options["maxiter"]
    if maxiter is None:
        maxiter = max(1000, 10 * system.b.shape[0])
    progress = Progress(system, options["rtol"], options["atol"], maxiter, options["callback"])
    omega = options["omega"]
    if method == "jacobi":
        x = stationary.jacobi(system, progress)
    elif method == "gauss-seidel":
        x = stationary.gauss_seidel(system, progress, options["sweep"], omega)
    else:
        if system.a is not None:
            check_symmetric(system, method)
        precondition = None
        if method == "pcg":
            precondition = make_preconditioner(system, options["preconditioner"], omega)
        x = krylov.conjugate_gradients(system, progress, precondition)
    xp, a = system.xp, system.a
    if not progress.converged and a is not None and not bool(xp.all(xp.isfinite(a))):
        raise ValueError("A: contains inf or NaN; expected finite values")
    return x, progress
