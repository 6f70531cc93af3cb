"""curve_fit beside SciPy's on one small fit: 50 points, 3 parameters, interleaved, medians.

python bench/curve_fit.py [--rounds 400]
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.optimize import curve_fit as scipy_curve_fit

import steepest as st
from steepest.apps.bench_timing import medians

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
    "exact, p0 not given": {"jac": jacobian, "p0": None},
    "differences": {},
    "exact, sigma": {"jac": jacobian, "sigma": SIGMA, "absolute_sigma": True},
    "exact, bounds": {"jac": jacobian, "bounds": ([0, 0, 0], [10, 10, 10])},
    "exact, full_output": {"jac": jacobian, "full_output": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    start = np.ones(3)
    print(f"{'50 points, 3 parameters':<24} {'ours':>8} {'SciPy':>8} {'ratio':>6}")
    for name, options in CASES.items():
        calls = {
            side: lambda fit=fit, options=options: fit(model, X, Y, **({"p0": start} | options))
            for side, fit in (("ours", st.curve_fit), ("SciPy", scipy_curve_fit))
        }
        np.testing.assert_allclose(calls["ours"]()[0], calls["SciPy"]()[0], rtol=1e-5)
        ours, scipys = medians(calls, rounds).values()
        print(f"{name:<24} {ours * 1e6:6.0f}us {scipys * 1e6:6.0f}us {scipys / ours:6.2f}")


if __name__ == "__main__":
    main()
