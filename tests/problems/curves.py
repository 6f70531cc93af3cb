"""Curves that people fit every day, with seeded data and three kinds of starts.

>>> fit = problem("exponential", "ones", seed=0)
>>> fit.residual(fit.start).shape, fit.jacobian(fit.start).shape
((60,), (60, 3))
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

T = np.linspace(0.05, 5, 60)
CURVES = {  # the model at T, and parameters to vary around
    "exponential": (lambda a, b, c: a * np.exp(-b * T) + c, (3, 1, 1)),
    "two exponentials": (
        lambda a, b, c, d: a * np.exp(-b * T) + c * np.exp(-d * T),
        (3, 0.5, 2, 3),
    ),
    "gaussian": (lambda a, b, c, d: a * np.exp(-((T - b) ** 2) / (2 * c**2)) + d, (3, 2.5, 0.6, 1)),
    "lorentzian": (lambda a, b, c: a / (1 + ((T - b) / c) ** 2), (3, 2.5, 0.5)),
    "logistic": (lambda a, b, c: a / (1 + np.exp(-b * (T - c))), (5, 2, 2.5)),
    "gompertz": (lambda a, b, c: a * np.exp(-b * np.exp(-c * T)), (5, 4, 1.2)),
    "michaelis-menten": (lambda a, b: a * T / (b + T), (5, 1)),
    "hill": (lambda a, b, c: a * T**c / (b**c + T**c), (5, 2, 2)),
    "power": (lambda a, b: a * T**b, (2, 1.5)),
    "saturation": (lambda a, b: a * (1 - np.exp(-b * T)), (200, 0.6)),
    "sine": (lambda a, b, c: a * np.sin(b * T + c), (2, 2, 0.3)),
    "rational": (lambda a, b, c: (a + b * T) / (1 + c * T), (1, 3, 0.7)),
}
STARTS = ("near", "ones", "far")


@dataclass(frozen=True)
class Problem:
    """One data set: y is the curve at `true` with noise of 2 % of its deviation."""

    curve: str
    y: np.ndarray
    true: np.ndarray
    start: np.ndarray

    def residual(self, x: np.ndarray) -> np.ndarray:
        return CURVES[self.curve][0](*x) - self.y

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Exact to rounding, by complex steps."""
        steps = 1e-30j * np.eye(x.size)
        return np.stack([CURVES[self.curve][0](*(x + s)).imag / 1e-30 for s in steps], axis=1)

    def with_outliers(self, seed: int) -> Problem:
        """The same with 15 % of the data off by twenty times the noise."""
        rng = np.random.default_rng(seed)
        off = (
            20 * self.noise() * rng.standard_normal(self.y.size) * (rng.random(self.y.size) < 0.15)
        )
        return replace(self, y=self.y + off)

    def simulated(self, size: float) -> Callable[[np.ndarray], np.ndarray]:
        """The residual of a model with relative noise of this size."""
        model, m = CURVES[self.curve][0], self.y.size
        return lambda x: model(*x) * (1 + size * noise_at(x, m)) - self.y

    def rounded(self, dtype: type) -> Callable[[np.ndarray], np.ndarray]:
        """The residual of a model in float32, from x on, or with values in float16."""
        model = CURVES[self.curve][0]
        if dtype == np.float32:
            return lambda x: model(*x.astype(dtype).astype(float)).astype(dtype) - self.y
        return lambda x: model(*x).astype(dtype) - self.y

    def noise(self) -> float:
        """About its standard deviation."""
        return 0.02 * float(np.std(CURVES[self.curve][0](*self.true)))

    def solved(self, x: np.ndarray) -> bool:
        """No worse than the parameters that the data were made of."""
        cost, true = (np.sum(self.residual(p) ** 2) for p in (x, self.true))
        return bool(cost <= 1.001 * true)


def noise_at(x: np.ndarray, m: int) -> np.ndarray:
    """The same each time at the same x, as a simulator's."""
    return np.random.default_rng(zlib.crc32(x.tobytes())).standard_normal(m)


def problem(curve: str, start: str, seed: int) -> Problem:
    """Parameters within 0.6 to 1.7 of the usual; near: 0.7 to 1.4 of them, far: e^1.5 off."""
    rng = np.random.default_rng(seed)
    model, usual = CURVES[curve]
    true = np.array(usual) * rng.uniform(0.6, 1.7, len(usual))
    exact = model(*true)
    y = exact + 0.02 * np.std(exact) * rng.standard_normal(T.size)
    starts = {
        "near": true * rng.uniform(0.7, 1.4, true.size),
        "ones": np.ones(true.size),
        "far": np.array(usual) * np.exp(1.5 * rng.standard_normal(true.size)),
    }
    return Problem(curve, y, true, starts[start])


def problems(seeds: int) -> list[Problem]:
    """Every curve from every kind of start, where the cost there is finite."""
    all_of_them = [problem(c, s, seed) for c in CURVES for s in STARTS for seed in range(seeds)]
    return [p for p in all_of_them if np.isfinite(np.sum(p.residual(p.start) ** 2))]
