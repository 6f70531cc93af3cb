"""The outcome of `steepest fit` as tables for people and as a record for JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

from steepest import check
from steepest.apps.fits.fitting import LEVEL, Array, Fitted
from steepest.nlls.bands import quantile


def print_summary(fitted: Fitted, console: Console) -> None:
    """Parameters with standard errors and intervals, correlations, cost, why it stopped."""
    result, m = fitted.result, fitted.y.size
    console.print(fitted.request.formula.text, style="bold", highlight=False, markup=False)
    console.print(parameter_table(fitted))
    if fitted.free.sum() > 1 and (matrix := correlation(fitted)) is not None:
        console.print(correlation_table(free_names(fitted), matrix))
    unit = fitted.table.names[fitted.request.formula.response]
    of_sigma = "sigma" if fitted.sigma is not None else unit
    facts = {
        "observations": f"{m}, with {m - int(fitted.free.sum())} degrees of freedom",
        "sum of squares": f"{sum_of_squares(fitted):.10g}",
        "residual std": f"{fitted.residual_std:.6g} {of_sigma}".rstrip(),
        "evaluations": f"residuals {result.nfev}, Jacobian {result.njev}",
        "stopped": result.message,
    }
    if not np.isfinite(fitted.covariance).all():
        none_left = "as many parameters as rows: no error can be estimated"
        free = "the data leave parameters free: --fix some, or try another --start"
        facts["indeterminate"] = free if fitted.dof > 0 else none_left
    if fitted.request.loss != "linear":
        facts["robust cost"] = f"{result.cost:.10g}, which gives the residual std"
    if omitted := fitted.table.omitted:
        facts["left out"] = f"{check.counted(omitted, 'row')} with missing fields"
    for name, text in facts.items():
        console.print(f"{name + ':':<16}{text}", highlight=False, markup=False)


def parameter_table(fitted: Fitted) -> RichTable:
    table = RichTable(title="Estimate", title_justify="left")
    for heading in ("parameter", "value", "standard error", f"{LEVEL:.0%} interval", "note"):
        side: Any = "left" if heading in ("parameter", "note") else "right"
        table.add_column(heading, justify=side, overflow="fold")  # never cut off
    for row in parameter_rows(fitted):
        if row["fixed"]:
            table.add_row(row["name"], f"{row['value']:.8g}", "", "", "fixed")
            continue
        low, high = row["interval"]
        interval = f"{low:.6g} … {high:.6g}" if math.isfinite(low) else "indeterminate"
        error = f"{row['stderr']:.4g}" if math.isfinite(row["stderr"]) else "indeterminate"
        note = "at its bound" if row["at_bound"] else ""
        table.add_row(row["name"], f"{row['value']:.8g}", error, interval, note)
    return table


def parameter_rows(fitted: Fitted) -> list[dict[str, Any]]:
    t = quantile(fitted.dof, LEVEL) if fitted.dof > 0 else math.inf
    active = np.zeros(fitted.free.size, dtype=bool)
    active[fitted.free] = np.asarray(fitted.result.active_mask) != 0
    columns = (fitted.request.start, fitted.parameters, fitted.stderr, fitted.free, active)
    return [
        {
            "name": name,
            "value": float(value),
            "stderr": float(error),
            "interval": [float(value - t * error), float(value + t * error)]
            if free
            else [float(value)] * 2,
            "fixed": not free,
            "at_bound": bool(at_bound),
        }
        for name, value, error, free, at_bound in zip(*columns, strict=True)
    ]


def correlation(fitted: Fitted) -> Array | None:
    """None where a variance is infinite, or 0, as all are of a curve through every point."""
    errors = fitted.stderr[fitted.free]
    if not fitted.has_bands or not (errors > 0).all():
        return None
    matrix: Array = fitted.covariance / np.outer(errors, errors)
    return matrix


def free_names(fitted: Fitted) -> list[str]:
    return [name for name, free in zip(fitted.request.start, fitted.free, strict=True) if free]


def correlation_table(names: list[str], matrix: Array) -> RichTable:
    table = RichTable(title="Correlation", title_justify="left")
    for name in ("", *names):
        table.add_column(name, overflow="fold")
    for i, row in enumerate(matrix):
        table.add_row(names[i], *(f"{value:+.3f}" for value in row[: i + 1]))
    return table


def sum_of_squares(fitted: Fitted) -> float:
    """Σ ((y - model)/sigma)²."""
    residuals = fitted.residuals if fitted.sigma is None else fitted.residuals / fitted.sigma
    return float(residuals @ residuals)


def record(fitted: Fitted, plot: str) -> dict[str, Any]:
    """Everything of the summary, in plain types; what is not finite is None."""
    result, request = fitted.result, fitted.request
    matrix = correlation(fitted)
    return {
        "formula": request.formula.text,
        "data": fitted.table.path,
        "observations": int(fitted.y.size),
        "dof": int(fitted.y.size - fitted.free.sum()),
        "parameters": [finite(row) for row in parameter_rows(fitted)],
        "free": free_names(fitted),
        "covariance": finite(fitted.covariance.tolist()),
        "correlation": None if matrix is None else finite(matrix.tolist()),
        "sum_of_squares": sum_of_squares(fitted),
        "residual_std": finite(fitted.residual_std),
        "loss": request.loss,
        "f_scale": request.f_scale,
        "cost": float(result.cost),
        "omitted": fitted.table.omitted,
        "success": bool(result.success),
        "status": int(result.status),
        "message": str(result.message),
        "nfev": int(result.nfev),
        "njev": int(result.njev),
        "nit": int(result.nit),
        "plot": plot,
    }


def finite(value: Any) -> Any:
    """The value with None instead of inf and NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
