"""`curve_fit`: a drop-in for `scipy.optimize.curve_fit` over this package's solver.

Arguments, results, exceptions and warnings are SciPy's; what differs is the solver beneath, and
that its further keywords (`loss`, `damping`, `callback`, ...) work with every method.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, OptimizeWarning

from steepest import _cpu, check
from steepest.nlls import arrays
from steepest.nlls.arguments import INFINITE, SCHEMES, Options
from steepest.nlls.arrays import Array
from steepest.nlls.curve_covariance import qr_and_covariance
from steepest.nlls.curve_data import (
    NOT_FOUND,
    Whitener,
    clean_data,
    model_jacobian,
    refuse_call,
    start_and_bounds,
    whitener,
)
from steepest.nlls.device import in_use
from steepest.nlls.loop import fit
from steepest.nlls.result import MISLED

# SciPy's names, and ours; SciPy's three are one method here, with bounds or without
METHODS = {"lm": "lm", "trf": "lm", "dogbox": "lm", "gn": "gn", "levenberg": "levenberg"}
QR_KEYS = ("fjac", "ipvt", "qtf")
# what MINPACK's `info` calls the statuses of least_squares
MINPACK_INFO = {1: 4, 2: 1, 3: 2, 4: 3}
# of least_squares, then of SciPy's leastsq
KEYWORDS = (
    "linear_solver damping x_scale loss f_scale ftol xtol gtol max_nfev diff_step callback "
    "verbose maxfev epsfcn diag col_deriv factor"
).split()
# leastsq's words, and those of least_squares for the same
SAME = {
    "maxfev": "max_nfev",
    "epsfcn": "diff_step",
    "diag": "x_scale",
    "factor": "damping",
}


def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = INFINITE,
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    **kwargs: Any,
) -> Any:
    """Fit the parameters of f(x, *p) to data, by least squares.

    The arguments, results and errors are those of `scipy.optimize.curve_fit`. If `ydata` is on a
    CUDA device the fit runs there and the results are CuPy arrays; the model gets the parameters as
    numbers.

    Parameters
    ----------
    f : callable
        The model: ``f(xdata, p1, ..., pn)`` returns m numbers.
    xdata : array_like or object
        Passed to `f`; lists, tuples and arrays as a float64 array.
    ydata : array_like, (m,)
        Observations.
    p0 : array_like, (n,), optional
        The start. By default ones, as many as `f` has further arguments, or within `bounds`.
    sigma : scalar or array_like, (m,) or (m, m), optional
        Standard deviations of `ydata`, in its units, or its covariance matrix.
    absolute_sigma : bool
        Whether `sigma` is taken as it is, or only up to a factor, which is estimated.
    check_finite : bool, optional
        Whether NaN and inf in the data are refused; True unless `nan_policy` is given.
    bounds : pair of array_like, or `scipy.optimize.Bounds`
        Lower and upper bounds, each a scalar or (n,).
    method : {"lm", "trf", "dogbox", "gn", "levenberg"}, optional
        "lm", or "trf" with bounds. SciPy's three are one method here, and differ only in what they
        take and return. "lm" refuses bounds, counts evaluations for differences, and gives an
        infinite covariance if J is rank-deficient. For the others the covariance is infinite only
        where J does not determine a parameter.
    jac : callable, "2-point", "3-point" or "cs", optional
        ``jac(xdata, p1, ..., pn)``, the model's derivatives, (m, n); or a difference scheme.
    full_output : bool
        Whether to return `infodict`, `mesg` and `ier` too.
    nan_policy : {"raise", "omit"}, optional
        What to do with NaN in the data.
    **kwargs
        Those of `least_squares` (``ftol``, ``loss``, ``callback``, ...), and of SciPy's `leastsq`:
        ``maxfev``, ``epsfcn`` (squared relative difference step), ``diag`` (1/x_scale),
        ``col_deriv`` and ``factor`` (damping starts at 0.1/factor).

    Returns
    -------
    popt : ndarray, (n,)
        The estimate.
    pcov : ndarray, (n, n)
        Its covariance. What cannot be estimated is inf: with "lm" all of it, else the rows and
        columns of the parameters that the data do not determine (SciPy has 0 or other finite
        numbers there). A parameter at a bound has the variance that it would have without bounds,
        as in SciPy.
    infodict : dict
        - ``nfev``: evaluations of `f`; with "lm" those for differences count, too
        - ``fvec``: the weighted residuals
        - ``njev``, with "lm" and a callable `jac`: its calls
        - ``fjac``, ``ipvt`` and ``qtf``, with "lm": the QR factorization with column pivoting,
          J[:, ipvt] = QR. R is in the upper triangle of ``fjac[:, :n].T``, and qtf is Qᵀ fvec. As
          in MINPACK, J is that of the point before the last step, here and for pcov.
    mesg : str
        Why the solver stopped.
    ier : int
        Its status, 1 to 4: of MINPACK with "lm", else of `least_squares`.

    Raises
    ------
    RuntimeError
        If no estimate is found.
    ValueError, TypeError
        For invalid arguments, as in SciPy.

    Warns
    -----
    OptimizeWarning
        If the covariance cannot be estimated, or `jac` contradicts `f` where the fit stopped.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> x = np.linspace(0, 4, 50)
    >>> popt, pcov = st.curve_fit(lambda x, a, b: a * np.exp(-b * x), x, 2.5 * np.exp(-1.3 * x))
    >>> popt.round(6)
    array([2.5, 1.3])
    """
    if not callable(f):
        raise TypeError(f"f: {check.shown(f)} is not a callable object")
    p0, bounds, bounded = start_and_bounds(f, p0, bounds)
    if method is None:
        method = "trf" if bounded else "lm"
    else:
        check.choice("method", method, METHODS)
    if method == "lm" and bounded:
        raise ValueError(
            "Method 'lm' only works for unconstrained problems. Use 'trf' or 'dogbox' instead."
        )
    absolute_sigma = check.truth("absolute_sigma", absolute_sigma)
    full_output = check.truth("full_output", full_output)
    with in_use(arrays.device_of(ydata)):
        xdata, ydata, sigma = clean_data(xdata, ydata, sigma, check_finite, nan_policy)
        if method == "lm" and ydata.size != 1:
            refuse_fewer(ydata.size, "data points", p0.size)
        whiten = whitener(sigma, ydata.size)
        options, transposed, maxfev = solver_options(kwargs, method, p0.size)
        slope = slope_of(jac, xdata, whiten, transposed, ydata.size, p0.size)
        counts = method == "lm" and not callable(jac)  # calls for differences, too
        fun = _cpu.Model(f, xdata, ydata, whiten, maxfev if counts else 0)
        last = method != "lm"  # MINPACK takes R for the covariance from the point before
        keywords = Options(METHODS[method], bounds=bounds, last_jacobian=last, **options)
        result = fit(fun, p0, slope, keywords)
    if method == "lm":  # one number as ydata goes with any m of f
        refuse_fewer(result["fun"].size, "residuals", p0.size)
    refuse_failure(result, 0 if method != "lm" else fun.calls if counts else options["max_nfev"])
    if result["message"].endswith(MISLED):
        warnings.warn(result["message"], OptimizeWarning, stacklevel=check.users_level())
    popt = result["x"]
    qr, covariance = qr_and_covariance(result, method, absolute_sigma, full_output)
    pcov = arrays.from_host(covariance, popt)
    if not full_output:
        return popt, pcov
    return popt, pcov, *details(result, qr, fun.calls if counts else None)


def details(
    result: OptimizeResult, qr: tuple[Array, ...] | None, calls: int | None
) -> tuple[dict[str, Any], str, int]:
    """infodict, mesg and ier. qr: by "lm" alone; calls: of f, where those for differences count."""
    infodict = {"nfev": result["nfev"] if calls is None else calls, "fvec": result["fun"]}
    if qr is None:
        return infodict, result["message"], result["status"]
    if calls is None:
        infodict["njev"] = result["njev"]
    for key, values in zip(QR_KEYS, qr, strict=True):
        infodict[key] = arrays.from_host(values, result["x"])
    return infodict, result["message"], MINPACK_INFO[result["status"]]


def refuse_fewer(m: int, what: str, n: int) -> None:
    """MINPACK needs at least as many residuals as parameters."""
    if m < n:
        raise TypeError(
            f"The number of func parameters={n} must not exceed the number of {what}={m}"
        )


def refuse_failure(result: OptimizeResult, most: int) -> None:
    """SciPy's errors where no estimate was found. `most`: the evaluations that were allowed, where
    the error is to be leastsq's, about maxfev; else 0."""
    if most and result["status"] == 0:
        refuse_call(most)
    if result["status"] <= 0:
        raise RuntimeError(NOT_FOUND + result["message"])


def slope_of(
    jac: Any, xdata: Any, whiten: Whitener | None, transposed: bool, m: int, n: int
) -> Any:
    """`jac` of least_squares, from that of curve_fit."""
    if jac is None or (isinstance(jac, str) and jac in SCHEMES):
        return jac or "2-point"
    if not callable(jac):
        raise ValueError(f"jac: {check.shown(jac)}; expected one of {SCHEMES}, None or a callable")
    rows, weight = model_jacobian(jac, whiten, transposed, m, n)
    return _cpu.Model(rows, xdata, None, weight, 0)


def solver_options(
    options: dict[str, Any], method: str, n: int
) -> tuple[dict[str, Any], bool, int]:
    """Keywords of SciPy's `leastsq` in the words of `least_squares`, `col_deriv` and `maxfev`."""
    if not options:
        return {"max_nfev": 100 * (n + 1) if method == "lm" else None}, False, 0
    check_keywords(options)
    maxfev = options.pop("maxfev", None)
    if maxfev is not None:  # 0 is leastsq's default
        maxfev = check.limit("maxfev", maxfev, at_least=0 if method == "lm" else 1) or None
    if options.get("max_nfev") is None:
        options["max_nfev"] = 100 * (n + 1) if method == "lm" and maxfev is None else maxfev
    if method == "lm":  # leastsq's gtol of 0 is no test; least_squares says None
        for name in ("ftol", "xtol", "gtol"):
            if options.get(name) is not None:
                options[name] = check.number(name, options[name], at_least=0) or None
    translate(options, method, n)
    return options, check.truth("col_deriv", options.pop("col_deriv", False)), maxfev or 0


def check_keywords(options: dict[str, Any]) -> None:
    """Refuse keywords that there are not, and two for the same."""
    if "args" in options:
        raise ValueError("'args' is not a supported keyword argument.")
    if unknown := sorted(options.keys() - KEYWORDS):
        raise TypeError(
            f"curve_fit() got an unexpected keyword argument {unknown[0]!r}; the further keywords "
            f"are {', '.join(KEYWORDS)}"
        )
    for old, new in SAME.items():
        if options.get(old) is not None and options.get(new) is not None:
            raise ValueError(f"{old}, {new}: both given; expected only one of them")


def translate(options: dict[str, Any], method: str, n: int) -> None:
    """Replace leastsq's `epsfcn`, `diag` and `factor` by `diff_step`, `x_scale` and `damping`."""
    if (epsfcn := options.pop("epsfcn", None)) is not None:
        epsfcn = check.number("epsfcn", epsfcn)
        options["diff_step"] = max(epsfcn, float(np.finfo(float).eps)) ** 0.5  # as MINPACK
    if (diag := options.pop("diag", None)) is not None:
        numbers = arrays.as_float64("diag", diag)
        if not (numbers.shape == (n,) and np.isfinite(numbers).all() and (numbers > 0).all()):
            raise ValueError(f"diag: {check.shown(diag)}; expected {n} positive numbers")
        options["x_scale"] = 1 / numbers
    if (factor := options.pop("factor", None)) is not None:
        factor = check.number("factor", factor, above=0)
        if method == "gn":
            raise ValueError(
                f"factor: {factor} with method 'gn', which has no damping; allowed with the others"
            )
        options["damping"] = 0.1 / factor
