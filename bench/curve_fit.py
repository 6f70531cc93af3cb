"""curve_fit beside SciPy's on one small fit: 50 points, 3 parameters, interleaved, medians; with
--pool N in N processes at once, 2,000 points, beside least_squares, too.

python bench/curve_fit.py [--rounds 400] [--pool 2]
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor

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


def medians_of_sines(n: int) -> list[float]:
    """Seconds of a fit of n sines to 2,000 points: ours, SciPy's, and least_squares."""
    x, k = np.linspace(0, 1, 2000), np.arange(1, n + 1)
    slopes, rng = np.sin(np.outer(x, k)), np.random.default_rng(0)
    y, p0 = slopes.sum(axis=1) + 0.1 * rng.standard_normal(x.size), np.zeros(n)
    both = ((lambda x, *p: slopes @ np.array(p)), x, y, p0)
    calls = {
        "ours": lambda: st.curve_fit(*both, jac=lambda x, *p: slopes.copy()),
        "SciPy": lambda: scipy_curve_fit(*both, jac=lambda x, *p: slopes.copy()),
        "least_squares": lambda: st.least_squares(
            lambda p: slopes @ p - y, p0, lambda p: slopes.copy()
        ),
    }
    return list(medians(calls, 15).values())


def in_a_pool(processes: int) -> None:
    print(f"{processes} processes, ms a fit  {'ours':>8} {'SciPy':>8} {'least_squares':>14}")
    with ProcessPoolExecutor(processes) as pool:
        for n in (4, 11, 20, 40, 100):
            told = np.median(list(pool.map(medians_of_sines, [n] * 2 * processes)), axis=0)
            ours, scipys, least = 1e3 * told
            print(f"{n:>4} parameters         {ours:8.2f} {scipys:8.2f} {least:14.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--pool", type=int, default=0)
    args = parser.parse_args()
    if args.pool:
        return in_a_pool(args.pool)
    rounds = args.rounds
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
