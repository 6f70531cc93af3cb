"""NIST StRD and Moré-Garbow-Hillstrom: every run solved, and as far as certified."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from scipy.optimize import least_squares

import steepest as st
from problems import curves, mgh, nist
from steepest.nlls.arguments import Options, make_solver
from steepest.nlls.differences import Differences
from steepest.nlls.loop import run_python

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


@pytest.mark.parametrize("exact, least", [(True, 8.5), (False, 6.5)], ids=["exact", "2-point"])
@pytest.mark.parametrize("name", ["Lanczos3", "Thurber", "Misra1b"])
def test_rounding_does_not_decide_how_far(name, exact, least):
    problem = nist.load(name)

    def reached(order):
        iterations = []

        def note(intermediate_result):
            iterations.append(intermediate_result.nit)

        fit = st.least_squares(
            lambda x: problem.residual(x)[order],
            problem.starts[1],
            (lambda x: problem.jacobian(x)[order]) if exact else "2-point",
            callback=note,
            **TIGHT,
        )
        assert iterations == sorted(set(iterations))
        return problem.digits(fit.x)

    orders = [np.random.default_rng(seed).permutation(problem.y.size) for seed in range(12)]
    found = [reached(order) for order in orders]  # sums in other orders
    assert min(found) >= least, found


def test_nist_standard_errors():
    for name in nist.NAMES:
        problem = nist.load(name)
        fit = st.least_squares(problem.residual, problem.starts[1], problem.jacobian, **TIGHT)
        np.testing.assert_allclose(fit.stderr(), problem.stderr, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("options", [Options(), Options(max_nfev=1)], ids=["fit", "in float32"])
@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_the_loop_in_python_asks_for_the_same_points_as_that_in_cpp(scheme, options):
    """Whole fits; of models in float32, which round their values, the first Jacobian: their noise
    is then a sum, in another order."""
    fits = [(p.residual, p.start) for p in mgh.PROBLEMS]
    fits += [(nist.load(name).residual, nist.load(name).starts[k]) for name, k in RUNS]
    for fun, start in fits:
        asked = [], []

        def noted(x, points, fun=fun):
            points.append(x.copy())
            return fun(x.astype(np.float32)).astype(float) if options.max_nfev else fun(x)

        here, there = (functools.partial(noted, points=points) for points in asked)
        python, cpp = (make_solver(start, options, (None, None)) for _ in asked)
        differences = Differences(here, scheme, None, None, None)
        run_python(python, here(start), here, differences, options, None)
        cpp.run_differences(there, scheme == "3-point", None, None, None, None)
        np.testing.assert_array_equal(*asked)
        ends = {}, {}
        python.put_state(ends[0], True), cpp.put_state(ends[1], True)
        np.testing.assert_equal(*ends)


# x_scale is given: SciPy's own default for lm was 1 before 1.16
@pytest.mark.parametrize(("x_scale", "share"), [("jac", 1.0), (1.0, 1.1)])
def test_mgh_solved_as_by_minpack_with_its_share_of_jacobians(x_scale, share):
    ours = theirs = our_jacobians = their_jacobians = 0
    for problem in mgh.PROBLEMS:
        for factor in (1, 10, 100):
            x0 = problem.scaled_start(factor)
            with np.errstate(all="ignore"):
                if not np.isfinite(np.sum(problem.residual(x0) ** 2)):
                    continue  # no fit can start there: its cost overflows
            setting = {"method": "lm", "x_scale": x_scale}
            fit = st.least_squares(problem.residual, x0, problem.jacobian, **setting)
            with np.errstate(all="ignore"):
                minpack = least_squares(problem.residual, x0, problem.jacobian, **setting)
            solved, solved_by_minpack = problem.solved(fit.x), problem.solved(minpack.x)
            ours, theirs = ours + solved, theirs + solved_by_minpack
            if solved and solved_by_minpack:
                our_jacobians += fit.njev
                their_jacobians += minpack.njev
    assert ours >= theirs
    assert our_jacobians <= share * their_jacobians


def test_large_residuals_are_not_looked_ahead_of_in_vain():
    """Where corrections of the steps do not help, few are asked for."""
    (problem,) = (p for p in mgh.PROBLEMS if p.name == "Brown Dennis")
    fit = st.least_squares(problem.residual, problem.start, problem.jacobian)
    assert fit.success and problem.solved(fit.x)
    assert fit.nfev - fit.njev < 100  # 80; asked ahead of each step, 400 did not do


@pytest.mark.parametrize("factor", [1, 10, 100])
@pytest.mark.parametrize("name", ["Powell singular", "Extended Powell singular"])
def test_a_jacobian_that_is_singular_at_the_minimum_ends(name, factor):
    (problem,) = (p for p in mgh.PROBLEMS if p.name == name)
    fit = st.least_squares(
        problem.residual, problem.scaled_start(factor), problem.jacobian, **TIGHT
    )
    assert fit.success and fit.njev < 500  # some sixty; without the undamped steps thousands


@pytest.mark.filterwarnings("ignore")
def test_common_curves_take_no_more_evaluations_than_minpack():
    solved = np.zeros(2, dtype=int)
    evaluations, jacobians = np.zeros(2, dtype=int), np.zeros(2, dtype=int)
    for p in curves.problems(seeds=10):
        ours = st.least_squares(p.residual, p.start, p.jacobian)
        lm = least_squares(p.residual, p.start, p.jacobian, method="lm", x_scale="jac")
        good = np.array([p.solved(ours.x), p.solved(lm.x)])
        solved += good
        if good.all():
            evaluations += ours.nfev, lm.nfev
            jacobians += ours.njev - 1, lm.njev  # MINPACK asks for none at the answer
    assert solved[0] >= solved[1]
    assert evaluations[0] <= 1.05 * evaluations[1]
    assert jacobians[0] <= jacobians[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["lm", "levenberg"])
def test_common_curves_with_outliers_take_fewer_evaluations_than_trf(method):
    """By ρ'' in every step they would take more."""
    best = np.zeros(2, dtype=int)
    evaluations, jacobians = np.zeros(2, dtype=int), np.zeros(2, dtype=int)
    for p, loss in itertools.product(curves.problems(seeds=1), ["soft_l1", "huber", "cauchy"]):
        p = p.with_outliers(seed=0)
        options = dict(loss=loss, f_scale=p.noise())
        ours = st.least_squares(p.residual, p.start, p.jacobian, method=method, **options)
        trf = least_squares(p.residual, p.start, p.jacobian, x_scale="jac", **options)
        good = np.array([ours.cost, trf.cost]) <= (1 + 1e-4) * min(ours.cost, trf.cost)
        best += good
        if good.all():
            evaluations += ours.nfev, trf.nfev
            jacobians += ours.njev, trf.njev
    assert best[0] >= best[1]
    assert evaluations[0] <= 0.95 * evaluations[1]
    assert jacobians[0] <= 0.75 * jacobians[1]
