"""NIST StRD: problems solved, correct digits and calls, ours beside SciPy's.

Every data set of a folder from both of its starts, at tolerances of 1e-15 and at each solver's
defaults, with exact and with 2-point Jacobians. A run is solved with 4 correct digits.

    python bench/nist.py [--folder FOLDER] [--each]
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
from problems import nist  # noqa: E402

TIGHT = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "max_nfev": 10_000}
SOLVERS = {
    "steepest": st.least_squares,
    "lm": lambda *args, **kw: scipy_least_squares(*args, **kw, method="lm"),
    "trf": lambda *args, **kw: scipy_least_squares(*args, **kw, method="trf"),
}
SETTINGS = {
    "1e-15, exact": (True, TIGHT),
    "1e-15, 2-point": (False, TIGHT),
    "defaults, exact": (True, {}),
    "defaults, 2-point": (False, {}),
}


def run(solver, problem, start, exact, options):
    """Correct digits and calls, those for differences among them; 0 digits if it raised."""
    calls = 0

    def residual(b):
        nonlocal calls
        calls += 1
        return problem.residual(b)

    def jacobian(b):
        nonlocal calls
        calls += 1
        return problem.jacobian(b)

    try:
        found = solver(residual, start, jacobian if exact else "2-point", **options)
    except (ValueError, np.linalg.LinAlgError):
        return 0.0, calls, None
    return problem.digits(found.x), calls, found


def in_orders(problems, count: int) -> None:
    """Ours at 1e-15 with the rows in random orders: how far rounding decides the last digits."""
    rng = np.random.default_rng(0)
    for exact in (True, False):
        digits = []
        for problem in problems:
            for start in problem.starts:
                for _ in range(count):
                    order = rng.permutation(problem.y.size)
                    found = st.least_squares(
                        lambda b, p=problem, i=order: p.residual(b)[i],
                        start,
                        (lambda b, p=problem, i=order: p.jacobian(b)[i]) if exact else "2-point",
                        **TIGHT,
                    )
                    digits.append(problem.digits(found.x))
        title = "exact" if exact else "2-point"
        print(f"{title}, {count} orders: mean {np.mean(digits):.2f}, worst {min(digits):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=nist.FOLDER)
    parser.add_argument("--each", action="store_true", help="print every run of ours")
    parser.add_argument("--orders", type=int, help="only ours, in so many orders of the rows")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    problems = [nist.load(path.stem, args.folder) for path in sorted(args.folder.glob("*.json"))]
    if args.orders:
        return in_orders(problems, args.orders)
    runs = [(p, start) for p in problems for start in p.starts]
    print(f"{len(runs)} runs; solved, mean digits, calls as a multiple of SciPy lm's")
    for title, (exact, options) in SETTINGS.items():
        table = {
            name: [run(solver, p, start, exact, options) for p, start in runs]
            for name, solver in SOLVERS.items()
        }
        base = sum(calls for _, calls, _ in table["lm"])
        for name, results in table.items():
            digits = np.array([d for d, _, _ in results])
            calls = sum(c for _, c, _ in results) / base
            print(
                f"{title:<18} {name:<9} {(digits >= 4).sum():>3} {digits.mean():6.2f} {calls:5.2f}"
            )
        if args.each:
            for (p, start), (d, calls, found), (d_lm, calls_lm, _) in zip(
                runs, table["steepest"], table["lm"], strict=True
            ):
                which = 1 if start is p.starts[0] else 2
                end = "raised" if found is None else f"status {found.status}, f {found.nfev}"
                print(
                    f"    {p.name:<9} {which} {d:5.1f} {calls:>5}  {end}  lm {d_lm:.1f} {calls_lm}"
                )


if __name__ == "__main__":
    main()
