"""A formula fitted to the columns of a table: what `steepest fit` computes, without its output."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest import check
from steepest.apps.fits.formula import Formula
from steepest.apps.fits.model import Model, compile_model
from steepest.apps.fits.table import Table, TableError
from steepest.nlls.curve_covariance import covariance_of
from steepest.nlls.result import variance

Array = NDArray[np.float64]
Bounds = dict[str, tuple[float, float]]
LEVEL = 0.95  # of intervals and bands


class FitError(ValueError):
    """Arguments that do not describe a fit."""


@dataclass(frozen=True)
class Request:
    """What to fit: formula and starts, with bounds, fixed parameters, weights and loss."""

    formula: Formula
    start: dict[str, float]
    bounds: Bounds = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    sigma: str | None = None
    absolute_sigma: bool = False
    loss: str = "linear"
    f_scale: float = 1.0
    omit_missing: bool = False


@dataclass(frozen=True)
class Fitted:
    """The estimate, all parameters in the order of the start; `free` marks those fitted."""

    request: Request
    table: Table
    model: Model
    x: Array  # (k, m)
    y: Array
    sigma: Array | None
    free: NDArray[np.bool_]
    parameters: Array
    covariance: Array  # of the free ones
    result: Any  # SciPy's OptimizeResult

    @property
    def dof(self) -> float:
        """Degrees of freedom of the variance; infinite where sigma is taken as it is."""
        return np.inf if self.request.absolute_sigma else self.y.size - int(self.free.sum())

    @property
    def residuals(self) -> Array:
        """y - model, in units of y."""
        difference: Array = self.y - self.model.value(self.x, self.parameters)
        return difference

    @property
    def scale(self) -> float:
        """Standard deviation of a residual, in units of sigma (of y where there is none)."""
        return 1.0 if self.request.absolute_sigma else self.residual_std

    @property
    def residual_std(self) -> float:
        """The same as the residuals tell it, where sigma is taken as it is, too."""
        return float(np.sqrt(variance(self.result, self.y.size)))

    @property
    def stderr(self) -> Array:
        """Standard errors; 0 for a fixed parameter."""
        errors = np.zeros(self.free.size)
        errors[self.free] = np.sqrt(np.diag(self.covariance))
        return errors

    @property
    def has_bands(self) -> bool:
        return bool(np.isfinite(self.covariance).all())


def fit_table(table: Table, request: Request) -> Fitted:
    """Fit by `steepest.least_squares` with exact derivatives.

    With `omit_missing` the `table` of what is returned lacks the rows with a missing field.

    Raises `TableError`, `FormulaError` or `FitError` for unfit input, and what the solver raises.
    """
    from steepest import least_squares

    variables = check_names(table, request)
    names = list(request.start)
    if request.omit_missing:
        used = [request.formula.response, *variables]
        table = table.without_missing(used if request.sigma is None else [*used, request.sigma])
    model = compile_model(request.formula, variables, names)
    y = table.column(request.formula.response)
    x = np.array([table.column(name) for name in variables]).reshape(len(variables), y.size)
    sigma = sigma_column(table, request.sigma) if request.sigma is not None else None
    free = np.array([name not in request.fixed for name in names])
    if y.size < free.sum():
        rows = check.counted(y.size, "row")
        wanted = check.counted(int(free.sum()), "free parameter")
        raise FitError(f"{rows} for {wanted}; give more, or --fix some")
    weight = np.ones_like(y) if sigma is None else 1 / sigma
    parameters = np.array(list(request.start.values()))
    check_start(table, model, x, parameters, free)

    def at(p: Array) -> Array:
        whole = parameters.copy()
        whole[free] = p
        return whole

    limits = [request.bounds.get(name, (-np.inf, np.inf)) for name in names]
    result = least_squares(
        lambda p: (model.value(x, at(p)) - y) * weight,
        parameters[free],
        lambda p: model.jacobian(x, at(p))[:, free] * weight[:, None],
        bounds=np.array(limits)[free].T,
        loss=request.loss,
        f_scale=request.f_scale,
    )
    covariance = estimate_covariance(result, request.absolute_sigma)
    estimate = at(result.x)
    return Fitted(request, table, model, x, y, sigma, free, estimate, covariance, result)


def default_start(
    formula: Formula, table: Table, told: Collection[str], bounds: Bounds
) -> dict[str, float]:
    """Where parameters start unless told, all names but columns: at 1, as SciPy's `curve_fit`."""
    all_told = set(formula.names) <= {"pi", *told}
    if not all_told and table.names.keys().isdisjoint(formula.names):  # misspelt, most likely
        listed = ", ".join(map(repr, table.names))
        problem = f'the right side of "=" names no column (columns: {listed})'
        raise FitError(f"{problem}; if that is intended, give --start for every parameter")
    names = [name for name in formula.names if name not in table.names and name != "pi"]
    return {name: inside(*bounds.get(name, (-math.inf, math.inf))) for name in names}


def inside(lower: float, upper: float) -> float:
    """1; where bounds exclude that, their middle, or 1 away from the only one."""
    if lower <= 1 <= upper:
        return 1.0
    if math.isfinite(lower) and math.isfinite(upper):
        return lower / 2 + upper / 2
    return lower + 1 if math.isfinite(lower) else upper - 1


def check_names(table: Table, request: Request) -> list[str]:
    """The formula's variables; raises where a name has no meaning or an option no parameter."""
    columns, start = set(table.names), request.start
    if clash := sorted(columns & set(start)):
        raise FitError(f"--start: {clash[0]!r} is a column of the data")
    names = request.formula.names
    if unused := [name for name in start if name not in names]:
        raise FitError(f"--start: {unused[0]!r} is not in the formula")
    for option, given in (("--bounds", request.bounds), ("--fix", request.fixed)):
        for name in given:
            if name not in start:
                raise FitError(
                    f"{option}: no parameter {name!r}; expected one of {', '.join(start)}"
                )
    for name, (lower, upper) in request.bounds.items():
        if name not in request.fixed and not lower <= start[name] <= upper:
            raise FitError(f"--start: {name}={start[name]:g} is outside {lower:g}:{upper:g}")
    if not start:
        raise FitError("nothing to fit: every name of the formula is a column")
    if set(request.fixed) == set(start):
        raise FitError("nothing to fit: every parameter is fixed")
    return [name for name in names if name in columns]


def check_start(
    table: Table, model: Model, x: Array, parameters: Array, free: NDArray[np.bool_]
) -> None:
    """Raise at the first row where the formula, or its derivative by a free parameter, is not
    finite at the start."""
    values = model.value(x, parameters)
    slopes = np.column_stack([values, model.jacobian(x, parameters)])
    bad = ~np.isfinite(slopes) & np.append(True, free)
    if bad.any():
        i = int(np.argmax(bad.any(axis=1)))
        j = int(np.argmax(bad[i]))
        given = (
            *zip(model.variables, x[:, i], strict=True),
            *zip(model.parameters, parameters, strict=True),
        )
        at = ", ".join(f"{name} = {number:g}" for name, number in given)
        what = f"its derivative by {model.parameters[j - 1]}" if j else "the formula"
        problem = f"{what} is {slopes[i, j]:g} at {at}; leave the line out, or give --start"
        raise TableError(table.path, table.lines[i], problem)


def sigma_column(table: Table, name: str) -> Array:
    sigma = table.column(name)
    if (sigma <= 0).any():
        i = int(np.argmax(sigma <= 0))
        problem = f"column {name!r}: {sigma[i]:g} is not a standard deviation, as it is not above 0"
        raise TableError(table.path, table.lines[i], problem)
    return sigma


def estimate_covariance(result: Any, absolute_sigma: bool) -> Array:
    """The covariance of the estimate, inf where it is indeterminate."""
    covariance, _ = covariance_of(result, absolute_sigma)
    return np.full((result.x.size,) * 2, np.inf) if covariance is None else covariance
