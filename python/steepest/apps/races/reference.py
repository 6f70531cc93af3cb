"""What f is measured from in the panel of f over evaluations: its least value, if it has one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import steepest as st
from steepest.apps.races.race_paths import LOST, Path, trouble
from steepest.apps.races.surfaces import Floats, Surface, grid, heights

FLOOR = 1e-12  # the least f - lowest that is shown
ROUNDED = 1e-10  # f changes by rounding alone so close to a minimum, as a share of x
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Reference:
    """The least value and, a power of ten, what can be told from it; or a linear scale for f."""

    lowest: float
    floor: float
    linear: tuple[float, float] | None = None  # limits, where f has no least value

    @property
    def log(self) -> bool:
        """Whether the scale is logarithmic."""
        return self.linear is None

    def above(self, values: Floats) -> Floats:
        """What is drawn upwards; NaN where a path falls without bound."""
        over = values - self.lowest
        if self.linear is not None:
            low, high = self.linear
            return np.where((over < 2 * low - high) | (over > 2 * high - low), np.nan, over)
        return np.where(over < -self.floor, np.nan, np.maximum(over, self.floor))

    def limits(self, paths: list[Path]) -> tuple[float, float]:
        """From below the lowest path to above the start."""
        if self.linear is not None:
            return self.linear
        start = self.above(paths[0].values[:1])[0]
        least = min(float(np.nanmin(self.above(path.values))) for path in paths)
        return max(self.floor / 3, least / 10), 10 * max(start, 10 * self.floor)

    def label(self, paths: list[Path]) -> str:
        """The name of the axis; what is cut off would look like a stall."""
        name = "f − lowest f" if self.lowest else "f"
        if self.linear is not None or all(np.all(self.above(p.values) > self.floor) for p in paths):
            return name
        return f"{name} (cut off at 10{str(round(math.log10(self.floor))).translate(SUPERSCRIPTS)})"


def reference_of(surface: Surface, paths: list[Path]) -> Reference:
    """The known minimum, or the lowest that Newton's method finds from the lowest points seen.

    The lowest value seen would be the last of the best path, which would fall to 0.
    """
    if surface.lowest is not None:
        return Reference(surface.lowest, FLOOR)
    x, y, f = grid(surface)
    i = np.nanargmin(f)
    starts = [np.array([x.flat[i], y.flat[i]])]
    starts += [path.points[np.nanargmin(path.values)] for path in paths]
    ends = [end for start in starts if (end := bottom(surface, start)) is not None]
    if not ends:
        low, high = heights(surface)
        return Reference(0.0, 0.0, (low - 0.05 * (high - low), high + 0.05 * (high - low)))
    lowest, at = min(ends, key=lambda end: end[0])
    near = at[:, None] * (1 + ROUNDED * np.linspace(-1, 1, 21))
    rounding = max(8 * np.finfo(float).eps * abs(lowest), float(np.ptp(surface.values(*near))))
    return Reference(lowest, max(FLOOR, 10.0 ** math.ceil(math.log10(rounding or FLOOR))))


def bottom(surface: Surface, start: Floats) -> tuple[float, Floats] | None:
    """The minimum below a point, value and place; None where f falls without bound."""
    end = st.minimize(
        surface.value,
        start,
        jac=surface.gradient,
        hess=surface.hessian,
        method="newton",
        gtol=1e-13,
        maxiter=500,
    )
    if trouble(surface, end.x) in LOST:
        return None
    f = surface.value(start)
    return (end.fun, end.x) if end.fun < f else (f, start)
