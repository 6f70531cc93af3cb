"""`least_squares`: the loop that calls the user's functions for the solver in C++."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from steepest import _cpu, check
from steepest.nlls.arguments import (
    DONE,
    INFINITE,
    RESIDUAL,
    SCHEMES,
    Bounds,
    Loss,
    Options,
    bind,
    box,
    make_solver,
    start,
)
from steepest.nlls.arrays import Array, copied_answer, device_of
from steepest.nlls.device import in_use, moved_to_device_of, on_device
from steepest.nlls.differences import Differences, relative_steps
from steepest.nlls.losses import tell_residual
from steepest.nlls.result import LeastSquaresResult, result_of


def least_squares(
    fun: Callable[..., Any],
    x0: Any,
    jac: str | bool | Callable[..., Any] = "2-point",
    *,
    method: str = "lm",
    linear_solver: str = "auto",
    damping: float = 1e-3,
    x_scale: Any = None,
    loss: Loss = "linear",
    f_scale: float = 1.0,
    bounds: Any = INFINITE,
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    max_nfev: int | None = None,
    diff_step: Any = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    verbose: int = 0,
) -> LeastSquaresResult:
    """Minimize ½ C² Σ ρ((fᵢ(x)/C)²) over x, within bounds: nonlinear least squares, dense.

    A step s solves (JᵀJ + λD²) s = -Jᵀf. λ is raised until the cost falls and lowered after
    success, so that |Ds| stays within a radius (Moré 1978); D holds the largest norms of J's
    columns for `lm`, ones for `levenberg`. Once λ has held back six steps in a row, each such step
    costs one more evaluation, a tenth of the step ahead, to correct it for curvature, as long as
    that makes a difference (Transtrum and Sethna, arXiv:1201.5885); not with jac=True.

    If x0, or the residuals at x0, are CuPy arrays, the fit runs on their CUDA device: all further
    residuals and Jacobians must live there, and the result's arrays are CuPy's. x is passed as the
    kind of array that x0 is.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args, **kwargs)``, the residuals, (m,) or a scalar. x is a copy that fun may
        overwrite.
    x0 : array_like, (n,) or scalar
        The start. If float32, the fit is computed in float32, where columns of J with norms below
        1e-19 lose digits, below 1e-22 count as 0, and above 1e19 are refused: choose the units of x
        accordingly. Any other real dtype: in float64.
    jac : {"2-point", "3-point", "cs"}, callable or True
        ``jac(x, *args, **kwargs)`` -> (m, n); a complex step ("cs"); or finite differences. Their
        steps are proportional to |x|, near 0 to its earlier size, and longer where the residuals
        prove noisy (Moré and Wild, 2011); "2-point" ends with central ones. True: fun returns
        ``(f, J)``, or yields such pairs for blocks of rows; memory is then n² plus one block. On a
        GPU, make the blocks in CuPy's current stream: it still reads one when the next is asked
        for.
    method : {"lm", "levenberg", "gn"}
        Marquardt's scaling; Levenberg's λI, for a parameter with next to no effect at x0, which
        Marquardt's lets run off; or Gauss-Newton: the full step, halved until the cost falls;
        status -3 if it never does although the full step is not short.
    linear_solver : {"auto", "cholesky", "qr", "cg"}
        Normal equations, QR of [J; √λD], conjugate gradients without JᵀJ; "auto" is Cholesky, or QR
        once its pivots come near rounding (for blocks of rows from the next point on).
    damping : float
        The initial λ: used as given for `lm`, times the largest diagonal entry of JᵀJ, in units
        of `x_scale`, for `levenberg`; `gn` has none.
    x_scale : None, "jac" or array_like, (n,)
        1/D. None: by J's columns for `lm`, 1 for `levenberg`.
    loss : {"linear", "soft_l1", "huber", "cauchy", "arctan", "tukey"} or callable
        ρ(z). A callable returns (3, m): ρ, ρ', ρ'' at z. "cauchy", "arctan" and "tukey" bring
        minima of their own: with many outliers start them from the x of a fit by "soft_l1".
    f_scale : float
        C, the residual at which the loss turns from quadratic (ignored with "linear"): one number,
        so where the noise differs, let fun divide residuals by their standard deviations.
    bounds : pair of array_like or scipy.optimize.Bounds
        Lower and upper bounds; the damped model is minimized inside them by two-metric
        projection (Bertsekas 1982). fun is called on them, too; where it is not finite there, or
        raises an ArithmeticError or a ValueError, steps stop short of that bound from then on.
    ftol, xtol, gtol : float or None
        Stop when one of these holds. None is 0, which only an exact zero meets. In a float32 fit a
        number below float32's rounding unit counts as that unit.

        - ftol: two successive steps (one, if the step before it changed the cost a hundred times as
          much) change the cost by no more than ftol * cost, and were predicted to.
        - xtol: |Ds| <= xtol * |Dx| and |s| <= xtol * |x|, unless s has more than halved the cost.
        - gtol: the |cosine| of f with each column of J, and with their span, is at most gtol.
    max_nfev : int
        Largest number of residual evaluations, 100 n if None; those for differences do not count.
    diff_step : float or array_like, (n,)
        Difference steps relative to |x|, if `jac` names a scheme (otherwise ignored, as in SciPy).
    args, kwargs : tuple, dict
        Further arguments of fun and jac.
    callback : callable
        ``callback(intermediate_result)`` or ``callback(x)`` after each iteration; stops the fit by
        raising StopIteration or returning True. After blocks of rows its `fun` is None.
    verbose : {0, 1, 2}
        2 prints a table of the iterations, 1 the outcome.

    Returns
    -------
    LeastSquaresResult
        A `scipy.optimize.OptimizeResult` with `covariance()`, `stderr()` and `summary()`; its
        entries, shapes and the meaning of `status` are listed there.

    Raises
    ------
    ValueError
        Invalid arguments or shapes, x0 outside its bounds, residuals or Jacobian not finite at x0.
    TypeError
        Arguments of another kind, as no callable for fun; residuals or Jacobian not real and dense.
    numpy.linalg.LinAlgError
        JᵀJ is singular with method "gn".

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> t = np.arange(5.0)
    >>> y = 2 * np.exp(-0.5 * t)
    >>> fit = st.least_squares(lambda p: p[0] * np.exp(-p[1] * t) - y, [1.0, 1.0])
    >>> fit.x.round(6), fit.success
    (array([2. , 0.5]), True)
    """
    # fmt: off
    return fit(fun, x0, jac, Options(
        method, linear_solver, damping, x_scale, loss, f_scale, bounds, ftol, xtol, gtol, max_nfev,
        diff_step, args, kwargs, callback, verbose,
    ))
    # fmt: on


def fit(fun: Callable[..., Any], x0: Any, jac: Any, options: Options) -> LeastSquaresResult:
    """`least_squares`, its keywords as `options`."""
    check.function("fun", fun)
    x = start(x0)
    bounds = box(options.bounds, x)
    jac = check_jac(jac)
    if not (isinstance(options.verbose, (int, np.integer)) and options.verbose in (0, 1, 2)):
        raise ValueError(f"verbose: {options.verbose!r}; expected 0, 1 or 2")
    steps = relative_steps(options.diff_step, x.size)

    device = device_of(x0)
    solver = make_solver(x, options, bounds, device)
    if device is not None:
        fun, jac = on_device(fun, device), on_device(jac, device) if callable(jac) else jac
    # args may be an array, whose truth value is an error.
    if type(options.args) is not tuple or options.args or options.kwargs is not None:
        fun = bind(fun, options.args, options.kwargs)
        jac = bind(jac, options.args, options.kwargs) if callable(jac) else jac
    if callable(options.loss):  # it runs before f, and a J that comes with it, are read
        fun = copying(fun)
    watch = None
    if options.callback is not None or options.verbose:
        from steepest.nlls.report import Watcher

        watch = Watcher(solver, options.callback, options.verbose)
    with in_use(device):
        if jac is True:
            from steepest.nlls.joint import run_joint

            solver, J = run_joint(solver, fun, options, watch)
        else:
            solver, J = run(solver, fun, jac, options, steps, bounds, watch)
        with in_use(solver.device):
            result = result_of(solver, J, jac is True or callable(jac), options)
    if watch is not None:
        watch.end(result)
    return result


def run(
    solver: Any,
    fun: Callable[[Array], Any],
    jac: Any,
    options: Options,
    steps: Array | None,
    bounds: Bounds,
    watch: Any,
) -> tuple[Any, Array | None]:
    """Tell the solver what fun and jac give until it is done. Returns the solver, which may have
    moved to a device, and the last accepted Jacobian."""
    exact = callable(jac)
    if callable(options.loss) or (not exact and jac == "cs") or solver.device is not None:
        f = fun(solver.point())
    else:  # the loop below, in C++
        if exact:
            J, f = solver.run_exact(fun, jac, watch)
        else:
            J, f = solver.run_differences(fun, jac == "3-point", steps, *bounds, watch)
        if f is None:
            return solver, J
    solver = moved_to_device_of(solver, f)
    if watch is not None:
        watch.solver = solver
    differences = None if exact else Differences(fun, jac, steps, *bounds)
    with in_use(solver.device):
        return solver, run_python(solver, f, fun, differences or jac, options, watch)


def run_python(
    solver: Any, f: Any, fun: Callable[[Array], Any], jac: Any, options: Options, watch: Any
) -> Array | None:
    """The same in Python, from the residuals f at the start. Returns the last accepted Jacobian."""
    accepted: Array | None = None
    phase = tell_residual(solver, f, options)
    while phase != DONE:
        if phase == RESIDUAL:
            try:
                f = fun(solver.point())
            except (ArithmeticError, ValueError):  # as of log(b) at b = 0
                if not solver.reaches_bound:
                    raise
                f = solver.fun() * np.nan
            phase = tell_residual(solver, f, options)
            continue
        if isinstance(jac, Differences):
            J = jac.jacobian(solver, f)
        else:
            J = _cpu.owned_call(jac, solver.point())
        phase = solver.keep_jacobian() if J is None else solver.tell_jacobian(J)
        if J is None or solver.refused:
            continue  # the last one stands
        accepted = J
        if watch is not None:
            watch()
            phase = solver.phase
    return accepted


def check_jac(jac: Any) -> Any:
    """A callable, True, or the name of a difference scheme."""
    if isinstance(jac, np.bool_):  # as `minimize` takes it
        jac = bool(jac)
    if not (callable(jac) or jac is True or (isinstance(jac, str) and jac in SCHEMES)):
        raise ValueError(f"jac: {check.shown(jac)}; expected one of {SCHEMES}, True or a callable")
    return jac


def copying(fun: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """fun, its answers copied."""
    return lambda x: copied_answer(fun(x))
