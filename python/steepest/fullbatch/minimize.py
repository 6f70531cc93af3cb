"""`minimize`: the loop around the inside-out methods, with SciPy's conventions."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from steepest import check
from steepest.fullbatch.arrays import Array
from steepest.fullbatch.bfgs import BFGS
from steepest.fullbatch.gradient_descent import GradientDescent
from steepest.fullbatch.inexact_gradients import judge_gradients
from steepest.fullbatch.iteration import BY_VALUES, CALLED_OFF
from steepest.fullbatch.lbfgs import LBFGS
from steepest.fullbatch.minimizer import Minimizer
from steepest.fullbatch.newton import Newton
from steepest.fullbatch.objective import OF_GRADIENTS, Objective

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

Reporter = Callable[[Minimizer, Objective, int], bool]
METHODS: dict[str, type[Minimizer]] = {
    "gd": GradientDescent,
    "newton": Newton,
    "bfgs": BFGS,
    "l-bfgs": LBFGS,
}


def minimize(
    fun: Callable[..., Any],
    x0: Array,
    args: Any = (),
    *,
    method: str | None = "l-bfgs",
    jac: Any = None,
    hess: Callable[..., Any] | str | None = None,
    hessp: Callable[..., Any] | None = None,
    bounds: Any = None,
    line_search: str | None = "wolfe",
    lr: float | Callable[[int], float] | None = None,
    history: int = 10,
    gtol: float = 1e-5,
    ftol: float = 0.0,
    maxiter: int | None = None,
    max_nfev: int | None = None,
    callback: Callable[..., Any] | None = None,
    verbose: int = 0,
    constraints: Any = (),
    tol: float | None = None,
    disp: Any = None,
) -> OptimizeResult:
    """Minimize a function whose full gradient is at hand.

    The arguments and the answer are those of `scipy.optimize.minimize`, but for the names of
    methods and for ``options``, whose entries are keywords: ``maxiter=50``, not
    ``options={"maxiter": 50}``; ``maxfun`` is `max_nfev`, ``maxcor`` `history`. SciPy also takes
    this function as its `method`: ``scipy.optimize.minimize(fun, x0, method=st.minimize,
    options={"method": "bfgs"})``.

    Parameters
    ----------
    fun : callable
        fun(x, *args) -> f, or (f, g) with jac=True. x is a copy that fun may overwrite. Return inf
        or NaN outside the domain, and -inf where f is unbounded below.
    x0 : array, shape (n,)
        The start, NumPy or CuPy; computed in float32 if it is float32, else in float64.
    args : tuple
        Further arguments of fun, jac, hess and hessp.
    method : {"gd", "newton", "bfgs", "l-bfgs"}, optional
        `GradientDescent`, `Newton`, `BFGS` or `LBFGS`; None is "l-bfgs". SciPy's names "BFGS" and
        "L-BFGS-B" are refused, as those methods have other options and end differently.
    jac : callable, True, "2-point", "3-point", "cs" or None
        jac(x, *args) -> g; with "armijo" and "exact" it is called at accepted points only. True:
        fun returns (f, g). None is "2-point": forward differences, and central ones once those no
        longer lead down. Their steps are longer where the values of fun prove noisy, as a
        simulator's are (Moré and Wild, 2011), and shorter for a variable whose unit makes it far
        smaller than 1.
    hess, hessp : callable
        For "newton", one of them: hess(x, *args) -> (n, n), hessp(x, p, *args) -> (n,). Where jac
        is given, hess may be "2-point" or "3-point": differences of n or 2 n gradients an
        iteration. The units of the variables matter with hessp, not with hess (see `Newton`).
    bounds : scipy.optimize.Bounds or n pairs (low, high)
        Not with "bfgs". A start outside is moved to the nearest point inside.
    line_search : {"wolfe", "armijo", "exact"} or None
        See `line_search`; None takes full steps ("gd" then needs `lr`).
    lr : float or callable
        For "gd": the learning rate, above 0, or a schedule of the step number, instead of a line
        search (see `GradientDescent`).
    history : int
        For "l-bfgs": the number of stored pairs, at most 10,000.
    gtol : float
        Converged when the largest |gᵢ|, with bounds of x - P(x - g), is at most gtol.
    ftol : float
        Converged when f changes by at most ftol max(|f|, 1) in an iteration; 0 for never. SciPy's
        "L-BFGS-B" has 2.2e-9, and so ends sooner.
    maxiter, max_nfev : int
        Limits; 15,000 iterations and any number of evaluations unless given. Evaluations for
        differences count, but a gradient is not broken off: nfev may end above max_nfev.
    callback : callable
        callback(intermediate_result=OptimizeResult) or callback(x), by its parameter's name, after
        each iteration; StopIteration ends the run with status 99. What it returns is ignored, as
        by SciPy's `minimize`.
    verbose : {0, 1, 2} or bool
        1 prints how the run ended, 2 also each iteration.
    constraints, tol, disp
        SciPy passes these to a method: no constraints are supported; tol is gtol where that is
        not given; disp=True is verbose=1 where that is 0.

    Returns
    -------
    OptimizeResult
        x, the point that converged or else the lowest one found; fun and jac there; nfev and njev
        (differences included), nit, success, message, status: 0 converged, 1 a limit reached, 2 no
        lower point found, 3 not finite, 4 unbounded below, 99 stopped by the callback; for "newton"
        nhev, for "bfgs" hess_inv (see `BFGS.inverse_hessian`).

        For a variable whose two bounds are equal, jac is NaN if it is by differences, and 0 where a
        callable gave inf or NaN.

    Raises
    ------
    TypeError, ValueError
        For arguments, or answers of fun, jac, hess and hessp, of a wrong kind, shape or value, and
        for options that the method does not have.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> from scipy.optimize import rosen, rosen_der
    >>> res = st.minimize(rosen, np.array([-1.2, 1.0]), jac=rosen_der)
    >>> res.success, res.x.round(4)
    (True, array([1., 1.]))
    """
    check.function("fun", fun)
    method = check.choice("method", "l-bfgs" if method is None else method, METHODS)
    own = own_options(method, bounds, lr, history, constraints)
    check_second_derivatives(method, hess, hessp)
    if tol is not None:
        tol = check.number("tol", tol, at_least=0)
        gtol = tol if isinstance(gtol, float) and gtol == 1e-5 else gtol
    verbose = int(verbose) if isinstance(verbose, (bool, np.bool_)) else verbose
    verbose = check.integer("verbose", verbose, at_least=0, at_most=2) or int(bool(disp))
    evaluations = None if max_nfev is None else check.limit("max_nfev", max_nfev, at_least=1)
    report = reporter(callback)
    solver = METHODS[method](
        x0, line_search=line_search, gtol=gtol, ftol=ftol, maxiter=maxiter, **own
    )
    objective = Objective(fun, jac, args, solver)
    further = second_derivatives(hess, hessp, objective, solver)
    run(solver, objective, further, evaluations, report, verbose)
    result = solver.result()
    result.nfev, result.njev = objective.nfev, objective.njev
    if solver.box is not None and objective.by_differences:  # no step could be taken there
        result.jac[solver.box.lower == solver.box.upper] = math.nan
    return result


def run(
    solver: Minimizer,
    objective: Objective,
    further: dict[str, Any],
    max_nfev: int | None,
    report: Reporter | None,
    verbose: int,
) -> None:
    """Tell the solver what it asks for until it is done."""
    by_values = solver.line_search in BY_VALUES
    ask = objective.value_then_gradient if by_values else objective.value_and_gradient
    shown = ""
    while not solver.done:
        nit = solver.nit
        solver.tell(*ask(solver.x), **further)
        for k in range(nit + 1, solver.nit + 1):  # more than one where a schedule's rate is 0
            if verbose > 1:
                shown = progress(solver, objective, k)
                print(shown)
            if report is not None and not report(solver, objective, k):
                solver.nit = k
                solver._stop(CALLED_OFF, "`callback` raised `StopIteration`")
                break
        if max_nfev is not None and objective.nfev >= max_nfev:
            solver._stop_at_limit(max_nfev)
        if objective.differences is not None:
            judge_gradients(solver, objective, objective.differences, solver.nit > nit)
    if verbose:
        if (last := progress(solver, objective, solver.nit)) != shown:
            print(last)
        print(solver.message)


def own_options(
    method: str, bounds: Any, lr: Any, history: int, constraints: Any
) -> dict[str, Any]:
    """The options that not every method has; an error for one that this method does not have."""
    if len(constraints) if hasattr(constraints, "__len__") else constraints is not None:
        raise ValueError("constraints: not supported; use bounds")
    options: dict[str, Any] = {}
    if method == "gd":
        options["lr"] = lr
    elif lr is not None:
        raise ValueError(f"lr: method {method!r} has a line search; lr is for 'gd'")
    if method == "l-bfgs":
        options["history"] = history
    elif not isinstance(history, Integral) or history != 10:
        raise ValueError(f"history: method {method!r} stores no pairs; history is for 'l-bfgs'")
    if method != "bfgs":
        options["bounds"] = bounds
    elif bounds is not None:
        raise ValueError("bounds: method 'bfgs' has none; use 'l-bfgs', 'newton' or 'gd'")
    return options


def check_second_derivatives(method: str, hess: Any, hessp: Any) -> None:
    """An error unless one of them is given for "newton", and none for another method."""
    if (hess is not None) + (hessp is not None) != (method == "newton"):
        due = "neither; they are for 'newton'"
        if method == "newton":
            due = "one of hess and hessp; hess='2-point' is by differences of jac"
        raise ValueError(f"hess, hessp: method {method!r} takes {due}")
    if isinstance(hess, str):
        check.choice("hess", hess, OF_GRADIENTS)
    elif hess is not None:
        check.function("hess", hess)
    if hessp is not None:
        check.function("hessp", hessp)


def second_derivatives(
    hess: Any, hessp: Any, objective: Objective, solver: Minimizer
) -> dict[str, Callable[..., Array]]:
    """What `Newton.tell` takes beside f and g; nothing for the other methods."""
    if hessp is not None:
        return {"hessp": lambda x, p: hessp(x, p, *objective.args)}
    if hess is None:
        return {}
    if not isinstance(hess, str):
        return {"hess": lambda x: hess(x, *objective.args)}
    if objective.by_differences:
        raise ValueError(f"hess: {hess!r} is by differences of jac; allowed where jac is given")
    return {"hess": lambda x: objective.hessian(x, solver.g, hess)}


def reporter(callback: Callable[..., Any] | None) -> Reporter | None:
    """Calls the callback as SciPy does; False if it raised StopIteration."""
    if callback is None:
        return None
    named = check.names_intermediate_result(callback)

    def report(solver: Minimizer, objective: Objective, nit: int) -> bool:
        from scipy.optimize import OptimizeResult

        counts = {"nit": nit, "nfev": objective.nfev}
        try:
            if named:
                callback(
                    intermediate_result=OptimizeResult(x=solver.best_x, fun=solver.f, **counts)
                )
            else:
                callback(solver.best_x)
        except StopIteration:
            return False
        return True

    return report


def progress(solver: Minimizer, objective: Objective, nit: int) -> str:
    return (
        f"iteration {nit:5d}  evaluations {objective.nfev:5d}  f {solver.f: .6e}  "
        f"largest |g| {solver.optimality:.2e}"
    )
