"""`least_squares`: the loop that calls the user's functions for the solver in C++."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from steepest.nlls import arrays
from steepest.nlls.arguments import INFINITE, SCHEMES, Loss, box, make_solver, start
from steepest.nlls.arrays import Array

# phases of the solver: what it waits for
RESIDUAL, JACOBIAN, DONE = 0, 1, 2


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
) -> Any:
    x = start(x0)
    lower, upper = box(bounds, x)
    if not (callable(jac) or jac is True or jac in SCHEMES):
        raise ValueError(f"jac: {jac!r}; allowed is one of {SCHEMES}, True or a callable")
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose: {verbose!r}; allowed is 0, 1 or 2")
    solver = make_solver(
        x,
        method=method,
        linear_solver=linear_solver,
        damping=damping,
        x_scale=x_scale,
        loss=loss,
        f_scale=f_scale,
        lower=lower,
        upper=upper,
        ftol=ftol,
        xtol=xtol,
        gtol=gtol,
        max_nfev=max_nfev,
    )
    if args or kwargs:
        fun = bind(fun, args, kwargs or {})
        jac = bind(jac, args, kwargs or {}) if callable(jac) else jac
    if jac is True:
        from steepest.nlls.joint import run_joint

        return run_joint(solver, fun, loss, f_scale, x.dtype, callback, verbose)
    if not callable(jac):
        from steepest.nlls.differences import Differences

        differences = Differences(fun, str(jac), diff_step, lower, upper)
        jac = None
    else:
        differences = None
    watch = watcher(solver, callback, verbose)
    rho, J = None, None
    while solver.phase != DONE:
        f = fun(solver.point())
        if callable(loss):
            from steepest.nlls.losses import evaluate

            f = arrays.residual(f, x.dtype)
            rho = evaluate(loss, f, f_scale)
        if solver.tell_residual(f, rho) != JACOBIAN:
            continue
        if jac is None:
            told = differences(solver.point(), arrays.residual(f, x.dtype).copy())
        else:
            told = jac(solver.point())
            # Someone else may write to it before it is the result's.
            if type(told) is not np.ndarray or told.base is not None or getrefcount(told) > 2:
                told = own(told, J, x.dtype)
        solver.tell_jacobian(told)
        J = told
        if watch is not None:
            watch()
    return make_result(solver, J)


def bind(fun: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Callable[[Array], Any]:
    """fun with its further arguments."""
    return lambda x: fun(x, *args, **kwargs)


def own(value: Any, previous: Array | None, dtype: Any) -> Array:
    """A copy of a Jacobian."""
    return np.array(arrays.jacobian(value, dtype), order="K")


def watcher(solver: Any, callback: Callable[..., Any] | None, verbose: int) -> Any:
    """What is done after each iteration; None for nothing."""
    return None


def make_result(solver: Any, J: Array | None) -> Any:
    """The solver's state as a `LeastSquaresResult`."""
    from steepest.nlls.result import MESSAGES, LeastSquaresResult

    weight = solver.jac_weight()
    if J is not None and weight is not None:
        J = J * weight[:, None]
    status = solver.status
    return LeastSquaresResult(
        x=solver.x(),
        cost=solver.cost,
        fun=solver.fun(),
        jac=J,
        grad=solver.gradient(),
        optimality=solver.optimality,
        active_mask=solver.active_mask(),
        nfev=solver.nfev,
        njev=solver.njev,
        nit=solver.nit,
        status=status,
        message=MESSAGES[status],
        success=status > 0,
        damping=solver.damping,
    )
