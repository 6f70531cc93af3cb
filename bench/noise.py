"""Curves whose residuals are noisy, by differences: fits solved and evaluations, beside SciPy's; by
least squares, and by minimizing half the sum of squares.

Twelve curves (tests/problems/curves.py) from starts near the answer, all options at their defaults.
Noise is relative to the model, and the same each time at the same x, as a simulator with a
tolerance has it; or the model is computed in float32, or its values are rounded to half precision.
Solved: the cost without noise is within 1 % of that of the true parameters, or below. A fit that is
not solved and says success misleads its user.

    python bench/noise.py [--seeds 10]
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares as scipy_least_squares
from scipy.optimize import minimize as scipy_minimize

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import steepest as st  # noqa: E402
from problems import curves  # noqa: E402

SOLVERS: dict[str, Callable] = {
    "steepest": st.least_squares,
    "trf": lambda fun, x0, jac: scipy_least_squares(fun, x0, jac, x_scale="jac"),
    "lm": lambda fun, x0, jac: scipy_least_squares(fun, x0, jac, method="lm", x_scale="jac"),
}
MINIMIZERS: dict[str, Callable] = {
    "l-bfgs": lambda fun, x0: st.minimize(fun, x0),
    "bfgs": lambda fun, x0: st.minimize(fun, x0, method="bfgs"),
    "L-BFGS-B": lambda fun, x0: scipy_minimize(fun, x0, method="L-BFGS-B"),
    "BFGS": lambda fun, x0: scipy_minimize(fun, x0, method="BFGS"),
}
SIZES = (0, 1e-13, 1e-11, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
KINDS = (*(f"noise {size:g}" for size in SIZES), "float32", "float16 values")


def noisy(p: curves.Problem, kind: str) -> Callable[[np.ndarray], np.ndarray]:
    """The residuals of p, with noise of that kind."""
    dtype = {"float32": np.float32, "float16 values": np.float16}.get(kind)
    return p.rounded(dtype) if dtype else p.simulated(float(kind.split()[1]))


def fitted(p: curves.Problem, kind: str, solver: Callable, jac: str) -> np.ndarray:
    """A fit by least squares: see `outcome`."""
    calls = []
    fun = noisy(p, kind)
    return outcome(p, solver(lambda x: calls.append(x) or fun(x), p.start, jac), len(calls))


def minimized(p: curves.Problem, kind: str, solver: Callable) -> np.ndarray:
    """The same by half the sum of squares."""
    calls = []
    fun = noisy(p, kind)
    cost = solver(lambda x: calls.append(x) or 0.5 * float(np.sum(fun(x) ** 2)), p.start)
    return outcome(p, cost, len(calls))


def outcome(p: curves.Problem, fit: Any, calls: int) -> np.ndarray:
    """[1, solved, evaluations, success without being solved]"""
    cost, true = (np.sum(p.residual(x) ** 2) for x in (fit.x, p.true))
    solved = cost <= 1.01 * true
    return np.array([1, solved, calls, fit.success and not solved], dtype=int)


def table(
    title: str, solvers: dict[str, Callable], measure: Callable, problems: list[curves.Problem]
) -> None:
    print(f"{title:<24}" + "".join(f"{name:>24}" for name in solvers))
    print(f"{'residuals':<24}" + "  solved  evals. misled " * len(solvers))
    for kind in KINDS:
        print(f"{kind:<24}", end="")
        for solver in solvers.values():
            row = sum(measure(p, kind, solver) for p in problems)
            print(f"{row[1]:>6}/{row[0]}{row[2]:>7}{row[3]:>6}", end=" ")
        print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    np.seterr(all="ignore")
    names = [(curve, seed) for curve in curves.CURVES for seed in range(args.seeds)]
    problems = [curves.problem(curve, "near", seed) for curve, seed in names]
    for jac in ("2-point", "3-point"):
        table(f"fits, {jac}", SOLVERS, functools.partial(fitted, jac=jac), problems)
    table("minimized", MINIMIZERS, minimized, problems)


if __name__ == "__main__":
    main()
