"""Curves with outliers under robust losses: evaluations and costs, beside SciPy's trf.

The twelve curves of curves.py, 15 % of whose data are off by twenty times the noise, from the same
starts, with f_scale the noise and a tenth of it; exact Jacobians, default tolerances. A fit reaches
the best cost if it is within 1e-4 of the lower one; sums are over those where both do.

    python bench/outliers.py [--seeds 20] [--method lm|levenberg|gn]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares as scipy_least_squares

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import steepest as st  # noqa: E402
from problems import curves  # noqa: E402

LOSSES = ("soft_l1", "huber", "cauchy", "arctan")


def trf(p: curves.Problem, options: dict) -> tuple[float, int, int]:
    """Cost, evaluations and Jacobians; an infinite cost where it fails."""
    try:
        fit = scipy_least_squares(p.residual, p.start, p.jacobian, x_scale="jac", **options)
    except ValueError:  # an infinite Jacobian at a point that it took
        return np.inf, 0, 0
    return fit.cost, fit.nfev, fit.njev


def compare(p: curves.Problem, loss: str, share: float, method: str) -> np.ndarray:
    """[runs, our best, trf's, our nfev, trf's, our njev, trf's]."""
    options = {"loss": loss, "f_scale": share * p.noise()}
    fit = st.least_squares(p.residual, p.start, p.jacobian, method=method, **options)
    cost, nfev, njev = trf(p, options)
    good = np.array([fit.cost, cost]) <= (1 + 1e-4) * min(fit.cost, cost)
    counts = (fit.nfev, nfev, fit.njev, njev) if good.all() else (0, 0, 0, 0)
    return np.array([1, *good, *counts], dtype=int)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--method", choices=["lm", "levenberg", "gn"], default="lm")
    args = parser.parse_args()
    np.seterr(all="ignore")
    everything = np.zeros(7, dtype=int)
    print("loss     f_scale  runs   best trf's    nfev   trf's   njev   trf's")
    for loss in LOSSES:
        for share in (1.0, 0.1):
            row = np.zeros(7, dtype=int)
            for seed, p in enumerate(curves.problems(args.seeds)):
                row += compare(p.with_outliers(seed), loss, share, args.method)
            everything += row
            print(
                f"{loss:<8} {share:>7} " + "{:>5} {:>6} {:>5} {:>7} {:>7} {:>6} {:>7}".format(*row)
            )
    print(f"{'all':<16} " + "{:>5} {:>6} {:>5} {:>7} {:>7} {:>6} {:>7}".format(*everything))


if __name__ == "__main__":
    main()
