"""What `curve_fit` is given: start, bounds, data and weights, checked as SciPy does."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np

from steepest import _cpu, check
from steepest.arrays import real_numbers
from steepest.devices import lives_on_cuda
from steepest.nlls.arguments import INFINITE, pair_of
from steepest.nlls.arrays import (
    Array,
    as_array,
    as_float64,
    jacobian,
    namespace,
    not_real,
    to_host,
)

FLOAT = np.dtype(float)
NOT_FINITE_X = "xdata: array must not contain infs or NaNs"
NOT_FINITE_START = "Residuals are not finite in the initial point"
NOT_FOUND = "Optimal parameters not found: "
Whitener = Array | Callable[[Array], Array]


def start_and_bounds(f: Callable[..., Any], p0: Any, bounds: Any) -> tuple[Array, Any, bool]:
    """The start, (n,), the bounds as a pair, and whether one of them is finite."""
    if bounds is INFINITE:
        if p0 is None:
            return np.ones(parameter_count(f)), bounds, False
        return finite_start(p0).ravel(), bounds, False
    start = None if p0 is None else finite_start(p0)
    n = parameter_count(f) if start is None else start.size
    pair = pair_of(bounds, "`bounds` must contain 2 elements.")  # SciPy's words
    pair = [as_float64("bounds", bound) for bound in pair]
    if any(bound.ndim > 0 and bound.shape != (n,) for bound in pair):
        shapes = " and ".join(str(bound.shape) for bound in pair)
        raise ValueError(
            "The number of lower and upper bounds must either be 1 or equal the number of "
            f"parameters, {n}; their shapes are {shapes}"
        )
    lower, upper = (np.broadcast_to(bound, n) for bound in pair)
    bounded = bool((np.isfinite(lower) | np.isfinite(upper)).any())
    if start is None:
        start = feasible_start(lower, upper)
    if not bounded:
        start = start.ravel()
    ordered = start.ndim == 1 and (lower < upper).all()  # if not, least_squares says what is wrong
    if ordered and not ((start >= lower) & (start <= upper)).all():
        raise ValueError("Initial guess is outside of provided bounds")
    return start, (lower, upper), bounded


def finite_start(p0: Any) -> Array:
    start: Array = np.atleast_1d(real_numbers("p0", to_host(p0))).astype(float, copy=False)
    if start.size == 0:
        raise ValueError("p0: no parameters; expected at least one")
    if not _cpu.all_finite(start):
        j = int(np.argmin(np.isfinite(start.ravel())))
        raise ValueError(f"p0: p0[{j}] is {start.ravel()[j]}; expected a finite number")
    return start


def parameter_count(f: Callable[..., Any]) -> int:
    """How many positional parameters f has besides the first."""
    if type(f) is types.FunctionType and not hasattr(f, "__wrapped__"):
        count = f.__code__.co_argcount  # a tenth of the time of inspect.signature
    else:
        kinds = [p.kind for p in check.parameters_of(f).values()]
        count = kinds.count(inspect.Parameter.POSITIONAL_ONLY)
        count += kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if count < 2:
        raise ValueError("Unable to determine number of fit parameters. Give p0, their start.")
    return count - 1


def feasible_start(lower: Array, upper: Array) -> Array:
    """The middle of two finite bounds, one away from a single one, else 1; SciPy's choice."""
    below, above = np.isfinite(lower), np.isfinite(upper)
    with np.errstate(invalid="ignore"):
        middle = 0.5 * (lower + upper)
    one_sided = np.where(below, lower + 1, np.where(above, upper - 1, 1.0))
    return np.where(below & above, middle, one_sided)


def clean_data(
    xdata: Any, ydata: Any, sigma: Any, check_finite: bool | None, nan_policy: str | None
) -> tuple[Any, Array, Array | None]:
    """The data as float64 arrays, without what `check_finite` and `nan_policy` refuse or omit."""
    if check_finite is None:
        check_finite = nan_policy is None
    check_finite = check.truth("check_finite", check_finite)
    xp, ydata = as_array("ydata", ydata)
    ydata = floats(xp, "ydata", ydata)
    if ydata.ndim > 1:
        raise ValueError(f"ydata: shape {ydata.shape}; expected one dimension, (m,)")
    finite = _cpu.all_finite if xp is np else lambda a: bool(xp.isfinite(a).all())
    if isinstance(xdata, (list, tuple, np.ndarray)) or lives_on_cuda(xdata):
        there, xdata = as_array("xdata", xdata)
        if there is not xp:
            raise apart("xdata")
        xdata = floats(xp, "xdata", xdata)
        if check_finite and not finite(xdata):
            raise ValueError(NOT_FINITE_X)
    elif check_finite and not np.isfinite(column(xdata)).all():
        raise ValueError(NOT_FINITE_X)
    if check_finite and not finite(ydata):
        raise ValueError("ydata: array must not contain infs or NaNs")
    if ydata.size == 0:
        raise ValueError("`ydata` must not be empty!")
    if sigma is not None:
        sigma = clean_sigma(xp, sigma)
    given = ydata
    if nan_policy is not None and not check_finite:
        xdata, ydata, sigma = without_nan(xdata, ydata, sigma, nan_policy)
    if not check_finite and not finite(ydata):
        given = xp.atleast_1d(given)  # one number goes with any m of f
        i = int((xp.isinf(given) if nan_policy == "omit" else ~xp.isfinite(given)).argmax())
        raise ValueError(f"{NOT_FINITE_START}: ydata[{i}] is {given[i]}; leave it out")
    return xdata, ydata, sigma


def clean_sigma(xp: Any, sigma: Any) -> Array:
    """sigma as an array of xp, the library of ydata; a single number may live elsewhere."""
    there, sigma = as_array("sigma", sigma)
    if there is not xp and sigma.size > 1:
        raise apart("sigma")
    if there is np:
        sigma = real_numbers("sigma", sigma)
    values: Array = sigma if there is xp else xp.asarray(to_host(sigma))
    return values


def apart(name: str) -> TypeError:
    """The error for data that live in two places."""
    return TypeError(
        f"{name}, ydata: one lives on the host, the other on a CUDA device; expected both in one "
        "place"
    )


def column(xdata: Any) -> Array:
    """The numbers in a column of pandas or the like; an empty array for anything else."""
    if getattr(xdata, "ndim", 0) == 1 and hasattr(xdata, "to_numpy"):
        with suppress(TypeError, ValueError):  # of dates, say
            return np.asarray(xdata.to_numpy(), dtype=float)
    return np.empty(0)


def floats(xp: Any, name: str, values: Array) -> Array:
    if values.dtype.kind == "c":  # NumPy would drop what is imaginary, with a warning
        raise not_real(name, values)
    return as_float64(name, values) if xp is np else xp.asarray(values, dtype=float)


def model_values(value: Any, ydata: Array, p: Array) -> Array:
    """What f gave at p, as an array that goes with ydata; it may be complex only if p is."""
    _, y = as_array("f", value)
    if y.dtype.kind not in ("fiubc" if p.dtype.kind == "c" else "fiub"):
        raise not_real("f", y)
    if y.ndim > 0 and isinstance(y, np.ndarray) != isinstance(ydata, np.ndarray):
        raise TypeError(
            f"f: {check.kind(value)}, ydata {check.kind(ydata)}; expected both on the "
            "host or both on one CUDA device"
        )
    if y.ndim > 1 or y.size == 0 or (y.size != ydata.size and 1 not in (y.size, ydata.size)):
        raise ValueError(
            f"f: returned shape {y.shape}; expected {ydata.shape}, one number per element of ydata"
        )
    return y


def refuse_call(most: int) -> NoReturn:
    """SciPy's error after `most` calls of f that found no estimate."""
    raise RuntimeError(f"{NOT_FOUND}Number of calls to function has reached maxfev = {most}.")


def model_jacobian(
    jac: Callable[..., Any], whiten: Whitener | None, transposed: bool, m: int, n: int
) -> tuple[Callable[..., Any], Callable[[Any], Array] | None]:
    """jac with a row for each residual, and the function that weights its rows, or None. With one
    parameter, (m,) counts as a column."""

    def turned(*p: Any) -> Any:
        _, J = as_array("jac", jac(*p))
        if J.ndim == 1 and n == 1:
            return J[:, None]
        return J.T if transposed else J

    rows = turned if transposed or n == 1 else jac
    if whiten is None:
        return rows, None

    column = None if callable(whiten) else whiten[:, None]

    def weighted(value: Any) -> Array:
        usual = type(value) is np.ndarray and value.dtype is FLOAT and value.ndim == 2
        J = value if usual else jacobian(value, float)
        if J.shape != (m, n) and m > 1:  # one ydata goes with any number of values of f
            raise ValueError(
                f"jac: shape {J.shape}; expected ({m}, {n}), one row per residual, "
                "one column per parameter"
            )
        return whiten(J) if callable(whiten) else column * J

    return rows, weighted


def without_nan(
    xdata: Any, ydata: Array, sigma: Array | None, nan_policy: str
) -> tuple[Any, Array, Array | None]:
    """Refuse or drop the observations with a NaN in y or in any predictor."""
    word = isinstance(nan_policy, str)  # an array is equal to none of them
    if word and nan_policy == "propagate":
        raise ValueError("`nan_policy='propagate'` is not supported by this function.")
    if not word or nan_policy not in ("raise", "omit"):
        raise ValueError("nan_policy must be one of {None, 'raise', 'omit'}")
    xp = namespace(ydata)
    missing, predictors = xp.isnan(ydata), isinstance(xdata, xp.ndarray)
    if predictors:
        missing = missing | xp.isnan(xdata).any(axis=tuple(range(xdata.ndim - 1)))
    elif (numbers := column(xdata)).size == ydata.size:
        predictors, missing = True, missing | xp.isnan(xp.asarray(numbers))
    if not missing.any():
        return xdata, ydata, sigma
    if nan_policy == "raise":
        raise ValueError("The input contains nan values")
    if predictors:
        xdata = xdata[..., ~missing] if isinstance(xdata, xp.ndarray) else xdata[~missing]
    if sigma is not None and sigma.size > 1:
        sigma = sigma[~missing] if sigma.ndim == 1 else sigma[~missing][:, ~missing]
    return xdata, ydata[~missing], sigma


def whitener(sigma: Array | None, m: int) -> Whitener | None:
    """What gives residuals, and the rows of J, unit variance: weights, (m,) or (1,), or with a
    covariance matrix a function."""
    if sigma is None:
        return None
    if sigma.dtype.kind not in "fiub":
        raise TypeError(f"sigma: dtype {sigma.dtype}; expected real numbers")
    if sigma.size == 1 or sigma.shape == (m,):
        if not sigma.all():
            raise ValueError("sigma: a standard deviation cannot be 0")
        weights: Array = (1.0 / sigma).ravel()
        if math.isnan(weights @ weights):
            raise ValueError("sigma: contains NaN")
        return weights
    if sigma.shape != (m, m):
        raise ValueError(f"`sigma` has incorrect shape. {sigma.shape}; expected {(m,)} or {(m, m)}")
    if isinstance(sigma, np.ndarray):
        return host_whitener(sigma)
    return device_whitener(sigma)


def device_whitener(sigma: Array) -> Callable[[Array], Array]:
    import cupy
    import cupyx
    from cupyx.scipy.linalg import solve_triangular

    try:
        with cupyx.errstate(linalg="raise"):  # else a factor that stopped halfway comes back
            root = cupy.linalg.cholesky(sigma)
    except np.linalg.LinAlgError as error:
        raise ValueError("`sigma` must be positive definite.") from error
    return lambda rows: solve_triangular(root, rows, lower=True)


def host_whitener(sigma: Array) -> Callable[[Array], Array]:
    from scipy.linalg import LinAlgError, cholesky, get_lapack_funcs

    try:
        root = cholesky(sigma, lower=True)  # sigma = L Lᵀ; L⁻¹ r has unit covariance
    except LinAlgError as error:
        raise ValueError("`sigma` must be positive definite.") from error

    def whiten(rows: Array) -> Array:  # solve_triangular takes four times as long for 50 rows
        (trtrs,) = get_lapack_funcs(("trtrs",), (root, rows))
        white: Array = trtrs(root, rows, lower=1)[0]
        return white

    return whiten
