"""The arguments of `least_squares`, checked, and the solver made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from warnings import warn

import numpy as np

from steepest import _cpu, check
from steepest.arrays import real_numbers
from steepest.nlls import arrays
from steepest.nlls.arrays import Array

METHODS = ("lm", "levenberg", "gn")
LINEAR_SOLVERS = ("auto", "cholesky", "qr", "cg")
LOSSES = ("linear", "soft_l1", "huber", "cauchy", "arctan", "tukey")
SCHEMES = ("2-point", "3-point", "cs")
EPS = {np.dtype(np.float32): float(np.finfo(np.float32).eps), np.dtype(float): 2.0**-52}
# What a solver waits for: its phases.
RESIDUAL, JACOBIAN, DONE = 0, 1, 2
SOLVERS = {np.dtype(np.float32): _cpu.Solver32, np.dtype(float): _cpu.Solver64}
INFINITE = (-np.inf, np.inf)

Loss = str | Callable[[Array], Any]
Bounds = tuple[Array, Array] | tuple[None, None]  # as `box` gives them


class Options(NamedTuple):
    """The keywords of `least_squares`, as given."""

    method: str = "lm"
    linear_solver: str = "auto"
    damping: float = 1e-3
    x_scale: Any = None
    loss: Loss = "linear"
    f_scale: float = 1.0
    bounds: Any = INFINITE
    ftol: float | None = 1e-8
    xtol: float | None = 1e-8
    gtol: float | None = 1e-8
    max_nfev: int | None = None
    diff_step: Any = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
    callback: Callable[..., Any] | None = None
    verbose: int = 0
    # For curve_fit alone. False: J, gradient and optimality of the result may be those of the point
    # before the last step, as MINPACK's.
    last_jacobian: bool = True


def start(x0: Any, name: str = "x0") -> Array:
    """The starting point: a 1-D array of float32 (only if x0 is) or float64, on the host. It may be
    x0 itself."""
    if type(x0) is np.ndarray and x0.ndim == 1 and x0.dtype in EPS and x0.size:
        return x0
    if x0 is None:
        raise ValueError(f"{name}: got None; expected real numbers")
    x = np.atleast_1d(real_numbers(name, arrays.to_host(x0), ValueError))  # as SciPy's
    if x.ndim > 1:
        raise ValueError(f"{name}: shape {x.shape}; expected at most one dimension, (n,)")
    if x.size == 0:
        raise ValueError(f"{name}: no parameters; expected at least one")
    return x


def box(bounds: Any, x0: Array) -> Bounds:
    """Lower and upper bounds as arrays like x0, or None twice where there are none."""
    if bounds is INFINITE:
        return None, None
    pair = pair_of(bounds, "bounds: {} elements; `bounds` must contain 2, (lower, upper)")
    lower, upper = (arrays.as_float64("bounds", side) for side in pair)
    sides = []
    for name, side in (("lower", lower), ("upper", upper)):
        if side.ndim == 0:
            side = np.full(x0.shape, side)
        if side.shape != x0.shape:
            raise ValueError(
                f"bounds: {name} has shape {side.shape}, x0 {x0.shape}; "
                "expected a number or the same"
            )
        with np.errstate(over="ignore"):  # beyond float32 there is no bound
            sides.append(side.astype(x0.dtype))
    lower, upper = sides
    wrong = ~(lower < upper)
    if wrong.any():
        j = int(np.argmax(wrong))
        hint = "expected (lower, upper), each for all parameters, infinite for no bound"
        if lower[j] == upper[j]:
            hint += "; to hold a parameter, leave it out and put its value into the function"
        raise ValueError(
            f"bounds: lower[{j}] = {lower[j]:g} is not strictly less than upper[{j}] = "
            f"{upper[j]:g}; {hint}"
        )
    outside = (x0 < lower) | (x0 > upper)
    if outside.any():
        j = int(np.argmax(outside))
        raise ValueError(
            f"x0: x0[{j}] = {x0[j]:g} is outside of its bounds, {lower[j]:g} to {upper[j]:g}"
        )
    if (lower == -np.inf).all() and (upper == np.inf).all():
        return None, None
    return lower, upper


def pair_of(bounds: Any, not_two: str) -> Any:
    """Lower and upper bounds, from a pair or from a scipy.optimize.Bounds, which makes (1,) of a
    number. not_two: the error for another count than two."""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        return [b[0] if np.shape(b) == (1,) else b for b in (bounds.lb, bounds.ub)]
    try:
        n = len(bounds)
    except TypeError:  # of an array without dimensions, too
        raise TypeError(
            f"bounds: {check.shown(bounds)}; expected a pair (lower, upper) or "
            "scipy.optimize.Bounds"
        ) from None
    if n != 2:
        raise ValueError(not_two.format(n))
    return bounds


def scale(x_scale: Any, x0: Array, method: str) -> Array | None:
    """The scale of each parameter; None where the solver takes its own."""
    if isinstance(x_scale, str) and x_scale == "jac":
        if method == "levenberg":
            raise ValueError(
                "x_scale: 'jac' with method 'levenberg' would be method 'lm'; use that"
            )
        return None
    try:
        values = arrays.as_float64("x_scale", x_scale)
        valid = bool(np.isfinite(values).all() and (values > 0).all())
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(f"x_scale: {check.shown(x_scale)}; expected 'jac' or positive numbers")
    if values.ndim == 0:
        values = np.full(x0.shape, values)
    if values.shape != x0.shape:
        raise ValueError(
            f"x_scale: shape {values.shape}, x0 {x0.shape}; expected a number or the same"
        )
    with np.errstate(over="ignore"):
        narrow = values.astype(x0.dtype)
    if not (np.isfinite(narrow).all() and (narrow > 0).all()):
        raise ValueError(f"x_scale: {check.shown(x_scale)}; expected numbers that {x0.dtype} holds")
    if method != "gn" and values.max() / np.finfo(x0.dtype).max > values.min():
        raise ValueError(
            f"x_scale: {values.min():g} to {values.max():g}; expected a ratio of at most "
            f"{np.finfo(x0.dtype).max:g}, the largest {x0.dtype}"
        )
    return narrow


def tolerance(name: str, value: Any, eps: float) -> float:
    """One tolerance; None is 0, which only an exact zero meets."""
    if isinstance(value, float) and eps <= value < 1:
        return value
    if value is None:
        return 0.0
    tol = check.number(name, value, at_least=0)
    if eps > EPS[np.dtype(float)]:
        return max(tol, eps)
    if tol < eps:
        warn(
            f"Setting `{name}` below the machine epsilon ({eps:.2e}) effectively disables the "
            f"corresponding termination condition.",
            stacklevel=check.users_level(),
        )
    return tol


def bind(
    fun: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None
) -> Callable[[Array], Any]:
    """fun with its further arguments."""
    if not isinstance(args, Iterable):
        raise TypeError(f"args: {check.shown(args)}; expected a tuple, (a,) for a single argument")
    kwargs = {} if kwargs is None else kwargs
    if not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs: {check.shown(kwargs)}; expected a dict of arguments by name")
    return lambda x: fun(x, *args, **kwargs)


def make_solver(x0: Array, options: Options, bounds: Bounds, device: int | None = None) -> Any:
    """The solver in C++, for x0's dtype; every option is checked before it is made."""
    method, linear_solver, damping = options.method, options.linear_solver, options.damping
    loss, f_scale = options.loss, options.f_scale
    # The options that differ from the defaults, which C++ has as well. The solver keeps this dict,
    # to be made again on a device if the residuals turn out to live there.
    given: dict[str, Any] = {}
    if type(method) is not str or method != "lm":
        given["method"] = check.choice("method", method, METHODS)
    if type(linear_solver) is not str or linear_solver != "auto":
        given["linear_solver"] = check.choice("linear_solver", linear_solver, LINEAR_SOLVERS)
        if linear_solver == "cg" and method == "gn":
            raise ValueError("linear_solver: 'cg' needs damping; use method 'lm' or 'levenberg'")
    if type(damping) is not float or damping != 1e-3:
        given["damping"] = damping = check.number("damping", damping, at_least=0)
        if method == "gn" and damping != 1e-3:
            raise ValueError(
                f"damping: {damping} with method 'gn', which has none; allowed with 'lm' and "
                "'levenberg'"
            )
    if options.x_scale is not None:
        given["x_scale"] = scale(options.x_scale, x0, method)
    if callable(loss):
        given["loss"] = "given"
    elif type(loss) is not str or loss != "linear":
        given["loss"] = check.choice("loss", loss, LOSSES)
    if type(f_scale) is not float or f_scale != 1.0:
        given["f_scale"] = check.number("f_scale", f_scale, above=0)
    eps = EPS[x0.dtype]
    given["ftol"] = ftol = tolerance("ftol", options.ftol, eps)
    given["xtol"] = xtol = tolerance("xtol", options.xtol, eps)
    given["gtol"] = gtol = tolerance("gtol", options.gtol, eps)
    if ftol < eps and xtol < eps and gtol < eps:
        raise ValueError(
            f"ftol, xtol, gtol: {options.ftol}, {options.xtol}, {options.gtol}; at least one must "
            f"be higher than the machine epsilon ({eps:.2e})"
        )
    given["max_nfev"] = 100 * x0.size  # as SciPy
    if options.max_nfev is not None:
        given["max_nfev"] = check.limit("max_nfev", options.max_nfev, at_least=1)
    if bounds[0] is not None:
        given["lower"], given["upper"] = bounds
    if not options.last_jacobian:
        given["last_jacobian"] = False
    if device is not None:
        from steepest.nlls.device import DeviceSolver

        return DeviceSolver(device, x0, given)
    return SOLVERS[x0.dtype](x0, given)
