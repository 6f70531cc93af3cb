"""An exponential decay with noise, fitted by the tests of curve_fit."""

from __future__ import annotations

import numpy as np
import pytest

X = np.linspace(0, 4, 50)
Y = 2.5 * np.exp(-1.3 * X) + 0.5 + 0.1 * np.random.default_rng(11).standard_normal(50)
SIGMA = 0.05 + 0.03 * X
WEIGHTS = pytest.mark.parametrize(
    "sigma", [None, SIGMA, np.diag(SIGMA**2)], ids=["none", "1-d", "2-d"]
)


def model(x, a, b, c):
    return a * np.exp(-b * x) + c


def jacobian(x, a, b, c):
    e = np.exp(-b * x)
    return np.stack([e, -a * x * e, np.ones_like(x)], axis=1)
