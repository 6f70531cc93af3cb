"""Everyday curves and rotated peaks in boxes.

>>> name, fit = next(fits(seeds=1))
>>> name, (fit.lower <= fit.start).all(), fit.jacobian(fit.start).shape
('positive, near', True, (60, 3))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from problems import curves, peaks


class Fit(NamedTuple):
    residual: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    jacobian: Callable[[np.ndarray], np.ndarray]
    lower: np.ndarray
    upper: np.ndarray


def positive(true: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(true.size), np.full(true.size, np.inf)


def wide(true: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(true.size), 10 * true


def around(true: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return true * rng.uniform(0.2, 0.8, true.size), true * rng.uniform(1.2, 4, true.size)


def one_out(true: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Around all of the true parameters but one."""
    lower, upper = around(true, rng)
    j = rng.integers(true.size)
    share = (1.1, 4) if rng.random() < 0.5 else (0.2, 0.9)
    lower[j], upper[j] = (s * true[j] for s in share)
    return lower, upper


def fits(seeds: int) -> Iterator[tuple[str, Fit]]:
    """The curves in each kind of box, from each kind of start, moved inside; the peaks."""
    for box in (positive, wide, around, one_out):
        for start in curves.STARTS:
            for curve in curves.CURVES:
                for seed in range(seeds):
                    p = curves.problem(curve, start, seed)
                    lower, upper = box(p.true, np.random.default_rng(1000 + seed))
                    off = 1e-3 * np.where(np.isfinite(upper), upper - lower, 1)
                    x0 = np.clip(p.start, lower + off, upper - off)
                    if np.isfinite(np.sum(p.residual(x0) ** 2)):
                        name = f"{box.__name__.replace('_', ' ')}, {start}"
                        yield name, Fit(p.residual, x0, p.jacobian, lower, upper)
    for angle in peaks.ANGLES:
        for seed in range(4 * seeds):
            peak = peaks.problem(angle, seed)
            yield f"angle {angle}", Fit(peak.residual, peak.start, peak.jacobian, *peak.bounds)


def faster_decays(np=np) -> Fit:
    """Nonnegative amplitudes, half of them zero, of decays that all are faster by as much."""
    t = np.linspace(0.01, 6, 60)
    decays = np.exp(-t[:, None] / np.geomspace(0.1, 5, 12))
    true = np.array([0, 0.7, 0, 0, 1.1, 0, 0.4, 0.9, 0, 0, 0.3, 0])
    y = decays @ true * np.exp(-0.1 * t)

    def residual(x):
        return decays @ x[:-1] * np.exp(-x[-1] * t) - y

    def jacobian(x):
        faster = np.exp(-x[-1] * t)[:, None] * decays
        return np.column_stack([faster, -t * (faster @ x[:-1])])

    return Fit(residual, np.full(13, 0.5), jacobian, np.zeros(13), np.full(13, np.inf))
