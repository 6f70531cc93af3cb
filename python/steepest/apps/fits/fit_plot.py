"""The picture of `steepest fit`: data, curve and bands above, residuals below."""

from __future__ import annotations

import math
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest.apps.fits.fitting import LEVEL, Fitted
from steepest.nlls.bands import confidence_band, prediction_band

# Okabe and Ito's palette, told apart with any colour vision; bands differ in lightness too
DATA, CONFIDENCE, PREDICTION = "#000000", "#56B4E9", "#D5E9F5"
CLOUD = "#999999"  # of points that hide each other
LINE: dict[str, Any] = {"color": "#0072B2", "zorder": 4}  # seen in a cloud, too
POINTS = 400  # of the curve


def save_plot(fitted: Fitted, path: str) -> None:
    """Write a PNG; with several variables the axis is the fitted value, with one the variable."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    figure.suptitle(title(fitted), fontsize="medium")
    draw = draw_curve if len(fitted.model.variables) == 1 else draw_observed
    horizontal, label = draw(fitted, top)
    text = "{}" if draw is draw_curve else "observed {}"
    top.set_ylabel(labelled(fitted, fitted.request.formula.response, text))
    top.legend(loc="best", frameon=False)  # asked for, it does not warn of its time
    draw_residuals(fitted, bottom, horizontal)
    bottom.set_xlabel(label)
    for axes in (top, bottom):
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def title(fitted: Fitted) -> str:
    """The formula, and below it each parameter with its standard error."""

    def spread(error: float, free: bool) -> str:
        known = f" ± {error:.2g}" if math.isfinite(error) else " (error indeterminate)"
        return known if free else " (fixed)"

    values = [  # lines break between parameters, not within
        f"{name} = {value:.5g}{spread(error, free)}".replace(" ", "\N{NO-BREAK SPACE}")
        for name, value, error, free in zip(
            fitted.request.start, fitted.parameters, fitted.stderr, fitted.free, strict=True
        )
    ]
    return "\n".join(fill(text, 90) for text in (fitted.request.formula.text, ",  ".join(values)))


def labelled(fitted: Fitted, column: str, text: str = "{}") -> str:
    """A text about a column with its unit, safe from being read as mathematics."""
    unit = fitted.table.names[column].replace("$", r"\$")
    return text.format(column) + (f" [{unit}]" if unit else "")


def bands(fitted: Fitted, x: NDArray[Any], noise: NDArray[Any]) -> list[tuple[str, str, Any]]:
    """(name, colour, half-width) of the prediction and the confidence band, the wider first."""
    gradient = fitted.model.jacobian(x, fitted.parameters)[:, fitted.free]
    options = {"dof": fitted.dof, "level": LEVEL}
    wide = prediction_band(gradient, fitted.covariance, noise, **options)
    narrow = confidence_band(gradient, fitted.covariance, **options)
    return [
        (f"{LEVEL:.0%} prediction", PREDICTION, wide),
        (f"{LEVEL:.0%} confidence", CONFIDENCE, narrow),
    ]


def noise_of(fitted: Fitted) -> NDArray[Any]:
    """The standard deviation of each observation, in units of y."""
    sigma = np.ones_like(fitted.y) if fitted.sigma is None else fitted.sigma
    return np.asarray(fitted.scale * sigma)


def spans_decades(values: NDArray[Any]) -> bool:
    """Whether a linear axis would have half of the values in its lowest twentieth."""
    return bool(0 < values.min() and np.median(values) < values.max() / 20)


def draw_curve(fitted: Fitted, axes: Any) -> tuple[NDArray[Any], str]:
    """Data, curve and bands over the only variable."""
    x, y = fitted.x[0], fitted.y
    grid = np.linspace(x.min(), x.max(), POINTS)
    if spans_decades(x):
        axes.set_xscale("log")
        grid = np.geomspace(x.min(), x.max(), POINTS)
    curve = fitted.model.value(grid[None], fitted.parameters)
    if spans_decades(y) and curve.min() > 0:
        axes.set_yscale("log")
        axes.set_ylim(min(y.min(), curve.min()) / 1.5, max(y.max(), curve.max()) * 1.5)
    if fitted.has_bands:
        order = np.argsort(x)
        noise = np.interp(grid, x[order], noise_of(fitted)[order])
        for name, colour, half in bands(fitted, grid[None], noise):
            label = f"{name} band"
            axes.fill_between(grid, curve - half, curve + half, color=colour, lw=0, label=label)
    axes.plot(grid, curve, label="fit", **LINE)
    draw_points(axes, x, y, fitted.sigma, "data")
    return x, labelled(fitted, fitted.model.variables[0])


def draw_observed(fitted: Fitted, axes: Any) -> tuple[NDArray[Any], str]:
    """Observed against fitted values, with an interval at each: no curve joins the points."""
    predicted = fitted.model.value(fitted.x, fitted.parameters)
    if fitted.has_bands:
        intervals = bands(fitted, fitted.x, noise_of(fitted))
        for width, (name, colour, half) in zip((6, 3), intervals, strict=True):
            style = {"colors": colour, "linewidth": width, "label": f"{name} interval"}
            axes.vlines(predicted, predicted - half, predicted + half, **style)
    ends = [predicted.min(), predicted.max()]
    axes.plot(ends, ends, label="observed = fitted", **LINE)
    draw_points(axes, predicted, fitted.y, fitted.sigma, "data")
    return predicted, labelled(fitted, fitted.request.formula.response, "fitted {}")


def draw_points(axes: Any, x: Any, y: Any, sigma: Any, label: str | None) -> None:
    style = {"color": DATA, "label": label, "zorder": 3}
    size = 4 if y.size <= 200 else 2
    if y.size > 5000:
        style["color"] = CLOUD
    if sigma is None:
        axes.plot(x, y, "o", markersize=size, **style)
    else:
        axes.errorbar(x, y, sigma, fmt="o", markersize=size, elinewidth=0.8, **style)


def draw_residuals(fitted: Fitted, axes: Any, x: NDArray[Any]) -> None:
    """As the fit weighs them: in units of sigma, where it is given, all count alike."""
    rest, label = fitted.residuals, labelled(fitted, fitted.request.formula.response, "residual")
    if fitted.sigma is not None:
        rest = rest / fitted.sigma
        label = f"residual / {fitted.request.sigma}".replace("$", r"\$")
    axes.axhline(0, linewidth=1, **LINE)
    draw_points(axes, x, rest, None, None)
    axes.set_ylabel(label)
    largest = np.abs(axes.get_ylim()).max()
    axes.set_ylim(-largest, largest)
