"""NIST StRD and Moré-Garbow-Hillstrom: every run solved, and as far as certified."""

from __future__ import annotations

import numpy as np
import pytest
from problems import mgh, nist
from scipy.optimize import least_squares

import steepest as st

TIGHT = dict(ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=5000)
RUNS = [(name, k) for name in nist.NAMES for k in (0, 1)]


def digits(name, k, jac, **options):
    problem = nist.load(name)
    fit = st.least_squares(
        problem.residual, problem.starts[k], problem.jacobian if jac else "2-point", **options
    )
    assert fit.success
    return problem.digits(fit.x)


@pytest.mark.parametrize(
    "jac, options, each, mean",
    [(True, TIGHT, 8, 9.7), (False, TIGHT, 4, 8.0), (True, {}, 4, 6.5), (False, {}, 4, 6)],
    ids=["exact-tight", "2-point-tight", "exact-default", "2-point-default"],
)
def test_nist(jac, options, each, mean):
    found = np.array([digits(name, k, jac, **options) for name, k in RUNS])
    assert found.min() >= each, dict(zip(RUNS, found, strict=True))
    assert found.mean() >= mean


def test_nist_standard_errors():
    for name in nist.NAMES:
        problem = nist.load(name)
        fit = st.least_squares(problem.residual, problem.starts[1], problem.jacobian, **TIGHT)
        np.testing.assert_allclose(fit.stderr(), problem.stderr, rtol=1e-6, err_msg=name)


def run(solver, problem, factor, **options):
    """Solved or not, and Jacobians; a start whose residuals overflow is refused by both."""
    x0 = problem.scaled_start(factor)
    if not np.isfinite(problem.value(x0)):
        with pytest.raises(ValueError):
            solver(problem.residual, x0, problem.jacobian, **options)
        return False, 0
    with np.errstate(all="ignore"):
        fit = solver(problem.residual, x0, problem.jacobian, **options)
    return problem.solved(fit.x), fit.njev


def test_mgh_solved_as_by_minpack_with_fewer_jacobians():
    cases = [(problem, factor) for problem in mgh.PROBLEMS for factor in (1, 10, 100)]
    ours = [run(st.least_squares, *case) for case in cases]
    minpack = [run(least_squares, *case, method="lm") for case in cases]
    assert sum(solved for solved, _ in ours) >= sum(solved for solved, _ in minpack)
    both = [(a[1], b[1]) for a, b in zip(ours, minpack, strict=True) if a[0] and b[0]]
    assert sum(a for a, _ in both) <= sum(b for _, b in both)
