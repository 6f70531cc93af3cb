"""A rotated Gaussian on a grid of 40 by 30 points, as of a camera, whose angle has bounds.

>>> peak = problem("0..π", seed=0)
>>> peak.residual(peak.start).shape, peak.jacobian(peak.start).shape
((1200,), (1200, 7))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

X, Y = (grid.ravel() for grid in np.meshgrid(np.arange(40), np.arange(30)))
# Bounds of the angle, the widths at the start, and where the true angle is.
ANGLES = {
    "0..π": ((0, np.pi), (4, 4), (0.3, 2.8)),
    "±π/2": ((-np.pi / 2, np.pi / 2), (5, 4), (-1.2, 1.2)),
    "±2": ((-2, 2), (4, 4), (-0.8, 0.8)),
}


def model(height, x0, y0, wide, narrow, angle, floor):
    u = np.cos(angle) * (X - x0) + np.sin(angle) * (Y - y0)
    v = -np.sin(angle) * (X - x0) + np.cos(angle) * (Y - y0)
    return height * np.exp(-(u**2) / (2 * wide**2) - v**2 / (2 * narrow**2)) + floor


@dataclass(frozen=True)
class Problem:
    """The model at `true` with noise of 2 % of its height; a round peak at the start."""

    y: np.ndarray
    true: np.ndarray
    start: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray]

    def residual(self, x: np.ndarray) -> np.ndarray:
        return model(*x) - self.y

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Exact to rounding, by complex steps."""
        steps = 1e-30j * np.eye(x.size)
        return np.stack([model(*(x + s)).imag / 1e-30 for s in steps], axis=1)


def problem(name: str, seed: int) -> Problem:
    (low, high), widths, angles = ANGLES[name]
    rng = np.random.default_rng(seed)
    place = rng.uniform([15, 10, 4, 2], [25, 20, 7, 3.5])
    true = np.array([100, *place, rng.uniform(*angles), 10])
    y = model(*true) + 2 * rng.standard_normal(X.size)
    start = np.array([80, 20, 15, *widths, (low + high) / 2, 5])
    bounds = np.array([0, 0, 0, 0.5, 0.5, low, 0]), np.array([1e3, 40, 30, 40, 30, high, 100])
    return Problem(y, true, start, bounds)
