"""Moré-Garbow-Hillstrom: runs solved and Jacobians, ours beside SciPy's MINPACK.

The 35 problems from 1, 10 and 100 times their standard starts, with exact Jacobians, at
tolerances of 1e-15 or each solver's defaults. Solved: the cost is within 1e-6, relatively, of a
known minimum, or below 1e-10. Jacobians are summed over the runs that both solve.

SciPy 1.17's lm answers differently from run to run where J is singular at the start (Biggs):
it gets `--tries` tries and the best counts.

    python bench/mgh.py [--defaults] [--two-point] [--each] [--tries 3]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares as scipy_least_squares

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import steepest as st  # noqa: E402
from problems import mgh  # noqa: E402

TIGHT = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "max_nfev": 20_000}


def run(solver, problem, x0, jac, options):
    """(solved, Jacobians, calls, what it says)."""
    calls = {"f": 0, "J": 0}

    def residual(x):
        calls["f"] += 1
        return problem.residual(x)

    def jacobian(x):
        calls["J"] += 1
        return problem.jacobian(x)

    try:
        found = solver(residual, x0, jacobian if jac else "2-point", **options)
    except (ValueError, np.linalg.LinAlgError) as error:
        return False, calls["J"], calls["f"], f"{type(error).__name__}: {error}"[:60]
    n_jac = calls["J"] if jac else found.njev or 0
    text = f"status {found.status}, f {2 * found.cost:.6g}"
    return problem.solved(found.x), n_jac, calls["f"], text


def best_of(tries, *args):
    """Of several tries the solved one with the fewest Jacobians."""
    return min((run(*args) for _ in range(tries)), key=lambda r: (not r[0], r[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--defaults", action="store_true")
    parser.add_argument("--two-point", action="store_true")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--variants", action="store_true", help="further dimensions as well")
    parser.add_argument("--tries", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    options, exact = {} if args.defaults else TIGHT, not args.two_point
    problems = mgh.PROBLEMS + (mgh.VARIANTS if args.variants else ())
    totals = {factor: np.zeros(6, dtype=int) for factor in (1, 10, 100)}
    for problem in problems:
        for factor, total in totals.items():
            x0 = problem.scaled_start(factor)
            ours = run(st.least_squares, problem, x0, exact, options)
            lm = best_of(args.tries, minpack, problem, x0, exact, options)
            both = ours[0] and lm[0]
            total += [1, ours[0], lm[0], both, both * ours[1], both * lm[1]]
            if args.each:
                marks = "".join("+" if r[0] else "-" for r in (ours, lm))
                print(
                    f"{problem!s:<34} {factor:>3} {marks} J {ours[1]:>5} {lm[1]:>5} "
                    f"f {ours[2]:>5} {lm[2]:>5}  {ours[3]} | {lm[3]}"
                )
    print("start   runs  solved  lm's  both  Jacobians   lm's   ratio")
    for label, total in [*totals.items(), ("all", sum(totals.values()))]:
        runs, ours, lm, both, j_ours, j_lm = total
        print(
            f"{label!s:>5} {runs:>6} {ours:>7} {lm:>5} {both:>5} {j_ours:>10} {j_lm:>6} "
            f"{j_ours / max(j_lm, 1):>7.3f}"
        )


def minpack(*args, **kwargs):
    return scipy_least_squares(*args, **kwargs, method="lm", x_scale="jac")


if __name__ == "__main__":
    main()
