"""Searches by values alone, whose gradients are called for at accepted points only."""

import copy
import pickle

import numpy as np
import pytest
from fullbatch_methods import ALL, START, extra
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st

CLASSES = {"l-bfgs": st.LBFGS, "bfgs": st.BFGS, "gd": st.GradientDescent, "newton": st.Newton}
BOX = [(-2, 0.5), (-2, 2), (-0.5, 2), (None, None)]
VARIANTS = [(m, s, b) for m in ALL for s in ("armijo", "exact") for b in (None, BOX)]
VARIANTS = [v for v in VARIANTS if v[0] != "bfgs" or v[2] is None]


@pytest.mark.parametrize(("method", "search", "bounds"), VARIANTS)
def test_minimize_calls_for_a_gradient_an_iteration(method, search, bounds):
    seen, calls = [], []

    def jac(x):
        calls.append(x.copy())
        return rosen_der(x)

    options = {"method": method, "line_search": search, "bounds": bounds, "maxiter": 100}
    options |= extra(method, rosen_hess)
    r = st.minimize(rosen, START, jac=jac, callback=lambda x: seen.append(x.copy()), **options)
    assert len(calls) == r.njev <= r.nit + 1 + (not r.success) and r.nfev > r.njev
    for at, x in zip(calls[1:], seen, strict=False):
        np.testing.assert_allclose(at, x, rtol=1e-15)
    both = st.minimize(lambda x: (rosen(x), rosen_der(x)), START, jac=True, **options)
    assert both.njev == both.nfev == r.nfev and both.message == r.message
    np.testing.assert_array_equal(both.x, r.x)
    np.testing.assert_array_equal(both.jac, r.jac)


@pytest.mark.parametrize("search", ["armijo", "exact"])
@pytest.mark.parametrize("method", ["l-bfgs", "gd"])
def test_differences_are_taken_at_accepted_points(method, search):
    options = {"method": method, "line_search": search, "maxiter": 20, "gtol": 1e-4}
    r, exact = (st.minimize(rosen, START, jac=j, **options) for j in ("2-point", rosen_der))
    assert r.njev <= r.nit + 4 and r.nfev < 2 * exact.nfev + 4 * r.njev


@pytest.mark.parametrize("search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ALL)
def test_a_run_may_be_told_where_its_gradient_is_to_be_had(method, search):
    """Also by turns with arrays, and through copies in the midst of a search."""
    hess = [rosen_hess] if method == "newton" else []

    def told(turns, stir=lambda run: run):
        run, way = CLASSES[method](START, line_search=search, maxiter=12), []
        while not run.done:
            run = stir(run)
            x = run.x
            way.append(x)
            by_call = turns(len(way))
            run.tell(rosen(x), rosen_der if by_call else rosen_der(x), *hess)
        np.testing.assert_array_equal(run.g, rosen_der(run.best_x))
        return way, run

    want, arrays = told(lambda k: False)
    got, calls = told(lambda k: True)
    np.testing.assert_array_equal(got, want)
    assert arrays.result().njev == arrays.nfev == calls.nfev
    assert calls.result().njev == (calls.nfev if search == "wolfe" else calls.nit + 1)

    def saved(run):
        other = CLASSES[method](0 * START, line_search=search, maxiter=12)
        other.load_state_dict(run.state_dict())
        return other

    for stir in (copy.copy, lambda run: pickle.loads(pickle.dumps(run)), saved):
        np.testing.assert_array_equal(told(lambda k: True, stir)[0], want)
    for period in (2, 3):
        np.testing.assert_array_equal(told(lambda k, p=period: k % p == 0)[0], want)


def loaded(run):
    other = st.Newton(np.ones(2), line_search="exact")
    other.load_state_dict(run.state_dict())
    return other


@pytest.mark.parametrize("stir", [loaded, lambda run: pickle.loads(pickle.dumps(run))])
def test_a_run_is_saved_with_the_gradient_at_the_first_trial_if_that_is_the_lowest(stir):
    """As it is of this function by this Hessian in each iteration."""
    scales = np.array([1.0, 2.0])
    whole, run = (st.Newton([2.0, 1.0], line_search="exact") for _ in range(2))
    while not whole.done:
        run = stir(run)
        np.testing.assert_array_equal(run.x, x := whole.x)
        for one in (whole, run):
            one.tell(scales @ x**2 / 2, lambda x: scales * x, 1.5 * np.eye(2))
    assert run.success and run.nit > 5


def test_a_gradient_that_fails_leaves_the_best_point_to_be_told_again():
    def fails(x):
        raise OSError("no answer")

    run = st.LBFGS(START, line_search="armijo")
    run.tell(rosen(START), rosen_der)
    with pytest.raises(OSError, match="no answer"):
        while not run.done:
            run.tell(rosen(run.x), fails)
    np.testing.assert_array_equal(run.x, START)
    with pytest.raises(ValueError, match=r"^g\(x\): shape \(2,\); expected \(4,\)"):
        run.tell(rosen(START), lambda x: x[:2])
    while not run.done:
        run.tell(rosen(run.x), rosen_der)
    assert run.success


def test_a_low_point_whose_gradient_is_not_finite_is_not_the_answer():
    run = st.LBFGS(np.zeros(2), line_search="exact", max_nfev=3)
    run.tell(1.0, np.array([1.0, 0.0]))
    for f in (0.5, 0.4):
        run.tell(f, lambda x: np.array([np.nan, 0.0]))
    assert run.done and run.f == 1.0 and np.isfinite(run.g).all()
    np.testing.assert_array_equal(run.best_x, 0)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "gd"])
def test_an_accepted_point_whose_gradient_is_nan_ends_the_run_as_not_finite(method, both):
    def jac(x):
        return 2 * x if abs(x[0]) > 1.5 else np.full(2, np.nan)

    def fun(x):
        return ((x**2).sum(), jac(x)) if both else (x**2).sum()

    options = {"method": method, "line_search": "armijo", "jac": both or jac}
    r = st.minimize(fun, np.array([2.0, 1.0]), **options)
    assert r.status == 3 and r.nit == 1 and np.isnan(r.jac).all()
    assert r.message == "the slope along the step is nan: the gradient is too large, or NaN"
