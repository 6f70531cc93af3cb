"""Functions of two variables to descend on, each a formula that SymPy differentiates."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest.apps.fits.formula import FUNCTIONS, not_too_deep, parse
from steepest.apps.fits.model import derivative, to_sympy

Floats = NDArray[np.float64]
Limits = tuple[float, float]
GRID = 241  # points a side
LARGEST = 1e100  # a value beyond counts as none: pictures and their scales overflow


@dataclass(frozen=True)
class Named:
    """What a surface is known by, and the part of it that is shown."""

    title: str
    formula: str
    x_limits: Limits
    y_limits: Limits
    start: tuple[float, float]
    note: str  # what there is to see
    lowest: float | None = 0.0  # f at its least; None of a formula


NAMED = {
    "bowl": Named(
        "Quadratic bowl",
        "(x**2 + 2*y**2)/2",
        (-4, 4),
        (-3, 3),
        (-3.5, 2.2),
        "condition 2: everything works",
    ),
    "valley": Named(
        "Ill-conditioned valley",
        "(x**2 + 50*y**2)/2",
        (-6, 6),
        (-3, 3),
        (-5.5, 1.1),
        "condition 50: gradient descent crosses it and crawls along it",
    ),
    "rosenbrock": Named(
        "Rosenbrock",
        "(1 - x)**2 + 100*(y - x**2)**2",
        (-2, 2),
        (-1, 3),
        (-1.2, 1.0),
        "a bent valley; minimum at (1, 1)",
    ),
    "beale": Named(
        "Beale",
        "(1.5 - x + x*y)**2 + (2.25 - x + x*y**2)**2 + (2.625 - x + x*y**3)**2",
        (-1, 4.5),
        (-2, 2),
        (0.5, -1.5),
        "flat plains and steep walls; minimum at (3, 0.5)",
    ),
    "himmelblau": Named(
        "Himmelblau",
        "(x**2 + y - 11)**2 + (x + y**2 - 7)**2",
        (-6, 6),
        (-6, 6),
        (-0.5, -1.0),
        "four minima, all of value 0: which one is reached depends on the path",
    ),
    "saddle": Named(
        "Saddle",
        "x**2/2 - y**2/2 + y**4/4",
        (-2.2, 2.2),
        (-1.8, 1.8),
        (-2.0, 0.002),
        "a start almost on the ridge; minima at (0, 1) and (0, -1)",
        -0.25,
    ),
    "rastrigin": Named(
        "Rastrigin",
        "20 + x**2 - 10*cos(2*pi*x) + y**2 - 10*cos(2*pi*y)",
        (-4.5, 4.5),
        (-4.5, 4.5),
        (-3.3, 2.3),
        "a minimum near every pair of whole numbers, the lowest at (0, 0)",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Surface(Named):
    """A function of (x, y) with its derivatives."""

    values: Callable[[Floats, Floats], Floats]  # elementwise
    gradient: Callable[[Floats], Floats]  # (2,) -> (2,)
    hessian: Callable[[Floats], Floats]  # (2,) -> (2, 2)

    def value(self, p: Floats) -> float:
        """f at one point."""
        return float(self.values(p[0], p[1]))


@lru_cache(maxsize=4)
def grid(surface: Surface) -> tuple[Floats, Floats, Floats]:
    """x, y and f over the picture; NaN where f is not finite."""
    x, y = np.meshgrid(np.linspace(*surface.x_limits, GRID), np.linspace(*surface.y_limits, GRID))
    return x, y, surface.values(x, y)


@lru_cache(maxsize=4)
def heights(surface: Surface) -> tuple[float, float]:
    """The lowest and the highest value over the picture."""
    f = grid(surface)[2]
    return float(np.nanmin(f)), float(np.nanmax(f))


def find_surface(
    text: str,
    x_limits: Limits | None = None,
    y_limits: Limits | None = None,
    start: tuple[float, float] | None = None,
) -> Surface:
    """A named surface, or the user's formula in x and y.

    Raises
    ------
    ValueError
        For a formula that is not one (`FormulaError`, with the place), limits that are none, or a
        start without a value.
    """
    text = text.strip()
    named = NAMED.get(text.lower())  # the table of results writes Rosenbrock
    if named is None:
        named = Named(text, text, (-5, 5), (-5, 5), (-4.0, 3.0), "", None)
    for name, limits in (("x", x_limits), ("y", y_limits)):
        if limits is not None and not -LARGEST <= limits[0] < limits[1] <= LARGEST:
            what = f"the first must be the smaller, and neither beyond {LARGEST:g}"
            raise ValueError(f"{name} from {limits[0]} to {limits[1]}: {what}")
    x, y = begin = start or named.start
    across = x_limits or around(named.x_limits, x)
    along = y_limits or around(named.y_limits, y)
    surface = compile_surface(replace(named, x_limits=across, y_limits=along, start=begin))
    here = np.array(surface.start, float)
    if not np.isfinite(surface.value(here)) or not np.isfinite(surface.gradient(here)).all():
        raise ValueError(
            f"start {surface.start}: the function or its gradient has no finite value there, "
            f"or one beyond {LARGEST:g}; choose another by --start X Y"
        )
    return surface


def around(limits: Limits, at: float) -> Limits:
    """The limits, wider where a start is outside."""
    low, high = limits
    margin = 0.05 * (max(high, at) - min(low, at))
    return (low if low < at else at - margin, high if at < high else at + margin)


def compile_surface(named: Named) -> Surface:
    """NumPy functions of a formula in x and y and of its exact derivatives."""
    import sympy

    checked = parse(named.formula if "=" in named.formula else f"f = {named.formula}")
    x, y = sympy.symbols("x y", real=True)
    symbols = {"x": x, "y": y, "pi": sympy.pi}
    for node in ast.walk(checked.tree):
        if isinstance(node, ast.Name) and node.id not in {*symbols, *FUNCTIONS}:
            what = f"{node.id!r}: a formula here is of x and y; named surfaces: {', '.join(NAMED)}"
            raise checked.error(node, what)
    modules = ["scipy", "numpy"]
    with not_too_deep(checked.text):
        expression = to_sympy(checked, checked.tree, symbols)
        slopes = [derivative(expression, v) for v in (x, y)]
        curvatures = [[derivative(slope, v) for v in (x, y)] for slope in slopes]
        f, g, h = (sympy.lambdify((x, y), e, modules) for e in (expression, slopes, curvatures))

    def quietly(function: Callable[..., Any], *at: Any) -> Floats:
        with np.errstate(all="ignore"):  # a path may run off to where nothing is finite
            return np.asarray(function(*at), dtype=float)

    def values(u: Floats, v: Floats) -> Floats:
        found = quietly(f, u, v) + np.zeros(np.broadcast(u, v).shape)
        return np.where(np.abs(found) <= LARGEST, found, np.nan)

    return Surface(
        **vars(named),
        values=values,
        gradient=lambda p: quietly(g, p[0], p[1]),
        hessian=lambda p: quietly(h, p[0], p[1]),
    )
