"""curve_fit beside SciPy's on one small fit: 50 points, 3 parameters, interleaved, medians.

python bench/curve_fit.py [--rounds 400]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import steepest as st
from scipy.optimize import curve_fit as scipy_curve_fit

X = np.linspace(0, 4, 50)
Y = 2.5 * np.exp(-1.3 * X) + 0.5 + 0.1 * np.random.default_rng(5).standard_normal(50)
SIGMA = np.full(50, 0.1)


def model(x, a, b, c):
    return a * np.exp(-b * x) + c


def jacobian(x, a, b, c):
    jac = np.ones((x.size, 3))
    e = np.exp(-b * x)
    jac[:, 0] = e
    jac[:, 1] = -a * x * e
    return jac


CASES = {
    "exact Jacobian": {"jac": jacobian},
    "differences": {},
    "exact, sigma": {"jac": jacobian, "sigma": SIGMA, "absolute_sigma": True},
    "exact, bounds": {"jac": jacobian, "bounds": ([0, 0, 0], [10, 10, 10])},
    "exact, full_output": {"jac": jacobian, "full_output": True},
}


def median_times(functions, rounds):
    """Median seconds a call of each function, called in turn."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, kept in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return [float(np.median(kept)) for kept in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    start = np.ones(3)
    print(f"{'50 points, 3 parameters':<24} {'ours':>8} {'SciPy':>8} {'ratio':>6}")
    for name, options in CASES.items():
        calls = [
            lambda fit=fit, options=options: fit(model, X, Y, start, **options)
            for fit in (st.curve_fit, scipy_curve_fit)
        ]
        np.testing.assert_allclose(calls[0]()[0], calls[1]()[0], rtol=1e-5)
        ours, scipys = median_times(calls, rounds)
        print(f"{name:<24} {ours * 1e6:6.0f}us {scipys * 1e6:6.0f}us {scipys / ours:6.2f}")


if __name__ == "__main__":
    main()
