"""Curves that people fit every day: fits solved, evaluations and Jacobians, beside MINPACK's.

Twelve curves (tests/problems/curves.py) from starts near the answer, at ones, and far away, with
exact Jacobians at each solver's default tolerances. Sums are over what both solve; a Jacobian at
the answer, which MINPACK does not ask for, is not counted.

    python bench/curves.py [--seeds 60] [--method lm|levenberg]
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


def compare(curve: str, start: str, seeds: int, method: str) -> np.ndarray:
    """[runs, ours solved, lm's, our nfev, lm's, our njev, lm's]."""
    total = np.zeros(7, dtype=int)
    for seed in range(seeds):
        p = curves.problem(curve, start, seed)
        if not np.isfinite(np.sum(p.residual(p.start) ** 2)):
            continue
        ours = st.least_squares(p.residual, p.start, p.jacobian, method=method)
        lm = scipy_least_squares(p.residual, p.start, p.jacobian, method="lm", x_scale="jac")
        good = p.solved(ours.x), p.solved(lm.x)
        total[:3] += 1, *good
        if all(good):
            total[3:] += ours.nfev, lm.nfev, ours.njev - 1, lm.njev
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--method", choices=["lm", "levenberg"], default="lm")
    args = parser.parse_args()
    np.seterr(all="ignore")
    everything = np.zeros(7, dtype=int)
    print("curve              start  runs  solved  lm's  nfev   lm's  njev   lm's")
    for start in curves.STARTS:
        for curve in curves.CURVES:
            row = compare(curve, start, args.seeds, args.method)
            everything += row
            print(
                f"{curve:<18} {start:<5} "
                + "{:>5} {:>7} {:>5} {:>5} {:>6} {:>5} {:>6}".format(*row)
            )
    print(f"{'all':<24} " + "{:>5} {:>7} {:>5} {:>5} {:>6} {:>5} {:>6}".format(*everything))


if __name__ == "__main__":
    main()
