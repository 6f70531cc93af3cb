"""Curves that people fit every day: fits solved, evaluations and Jacobians, beside MINPACK's.

Twelve curves (tests/problems/curves.py) from starts near the answer, at ones, and far away, with
exact Jacobians at each solver's default tolerances. Sums are over what both solve; a Jacobian at
the answer, which MINPACK does not ask for, is not counted.

In boxes beside SciPy's trf and dogbox, with rotated Gaussians whose angle has bounds, of
tests/problems/boxes.py: fits within 1e-3 of the lowest of the three costs, and evaluations of all.

    python bench/curves.py [--seeds 60] [--method lm|levenberg] [--boxes [--loss soft_l1]]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares as scipy_least_squares

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import steepest as st  # noqa: E402
from problems import boxes, curves  # noqa: E402


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


def compare_in_box(fit: boxes.Fit, method: str, loss: str) -> np.ndarray:
    """[runs, ours, trf's and dogbox's at the best cost, our nfev, trf's, dogbox's]."""
    problem, options = fit[:3], {"bounds": fit[3:], "loss": loss}
    ours = st.least_squares(*problem, method=method, **options)
    costs, nfev = [ours.cost], [ours.nfev]
    for peer in ("trf", "dogbox"):
        try:
            theirs = scipy_least_squares(*problem, method=peer, x_scale="jac", **options)
        except ValueError:  # an infinite Jacobian at a point that it took
            costs.append(np.inf)
            nfev.append(0)
        else:
            costs.append(theirs.cost)
            nfev.append(theirs.nfev)
    best = np.array(costs) <= (1 + 1e-3) * min(costs)
    return np.array([1, *best, *nfev], dtype=int)


def in_boxes(seeds: int, method: str, loss: str) -> None:
    rows: dict[str, np.ndarray] = {}
    for name, fit in boxes.fits(seeds):
        row = rows.setdefault(name, np.zeros(7, dtype=int))
        row += compare_in_box(fit, method, loss)
    rows["all"] = sum(rows.values(), np.zeros(7, dtype=int))
    print("box                 runs   best   trf's dogbox's    nfev   trf's dogbox's")
    for name, row in rows.items():
        print(f"{name:<18}" + "{:>6} {:>6} {:>7} {:>8} {:>7} {:>7} {:>8}".format(*row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--method", choices=["lm", "levenberg"], default="lm")
    parser.add_argument("--boxes", action="store_true")
    parser.add_argument("--loss", choices=["linear", "soft_l1"], default="linear")
    args = parser.parse_args()
    np.seterr(all="ignore")
    if args.boxes:
        return in_boxes(args.seeds, args.method, args.loss)
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
