"""Gradients that are not exact: the run ends, and differences get sharper where they must."""

import functools

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import steepest as st

FAR = np.array([10.3, 20.7, 10.8, 1.9, -1.2])


def forward_differences(f, x):
    h = 1e-7 * np.maximum(1, np.abs(x))
    return np.array([(f(x + e) - f(x)) / e.max() for e in np.diag(h)])


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_run_ends_where_the_gradient_is_not_exact_enough(method):
    jac = functools.partial(forward_differences, rosen)
    res = st.minimize(rosen, FAR - 0.5, jac=jac, method=method, max_nfev=2000)
    assert res.status == 2
    assert res.nfev < 400  # it went on to maxiter, with 40 evaluations an iteration
    assert "the gradient is not exact enough for gtol" in res.message
    assert res.fun < 1e-8


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("line_search", ["wolfe", "armijo"])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_differences_become_central_where_forward_ones_end(method, line_search, dtype):
    gtol = 1e-6 if dtype == np.float64 else 1e-2
    for far in np.random.default_rng(5).uniform(-10, 10, (10, 4)).astype(dtype):
        res = st.minimize(rosen, far, method=method, line_search=line_search, gtol=gtol)
        assert res.success, res.message
        assert res.nit < 200  # one went on to maxiter by steps that shrank to 1e-10
        assert np.abs(rosen_der(res.x.astype(float))).max() < 100 * gtol


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_search_that_forward_differences_mislead_is_cut_short(method):
    """It took 40 trials for next to nothing, twice: 280 to 480 evaluations in all."""
    for start in ([1.26, -1.99], [0.92, -1.3], [1.15, -1.04]):
        res = st.minimize(rosen, start, method=method)
        assert res.success and res.nfev < 200 and res.fun < 1e-9


def test_a_fall_too_small_for_forward_differences_is_left_to_central_ones():
    """Likelihoods of a Gaussian process: near their minima forward differences took one search of
    up to twelve trials after the other, 5,053 evaluations in all; now 2,528."""
    nfev = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 5, (60, 3))
        y = np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=60)
        squares = (x[:, None] - x[None]) ** 2

        def fun(t, squares=squares, y=y):
            k = np.exp(2 * t[0] - 0.5 * (squares / np.exp(2 * t[1:4])).sum(-1))
            try:
                factor = np.linalg.cholesky(k + (np.exp(2 * t[4]) + 1e-10) * np.eye(60))
            except np.linalg.LinAlgError:
                return np.inf
            return 0.5 * (np.linalg.solve(factor, y) ** 2).sum() + np.log(np.diag(factor)).sum()

        res = st.minimize(fun, rng.normal(size=5) * 0.7)
        assert res.success, res.message
        nfev += res.nfev
    assert nfev < 3600


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_forward_differences_do_not_wander_where_rounding_hides_the_way_down(method):
    """Logistic regression over 5,000 rows, f = 1,400: a last bit of f is 1e-5 of a difference. It
    went on by steps that changed f by its last bits alone: 2,768 and 2,289 evaluations."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 6))
    y = np.where(X @ [1, -1, 0.5, 0, 0, 2] + rng.logistic(size=5000) > 0, 1.0, -1.0)
    nfev = 0
    for start in np.random.default_rng(1).normal(0, 0.5, (8, 6)):
        r = st.minimize(lambda w: np.logaddexp(0, -y * (X @ w)).sum(), start, method=method)
        slope = -X.T @ (y / (1 + np.exp(y * (X @ r.x))))
        assert r.success and np.abs(slope).max() < 1e-3, r.message
        nfev += r.nfev
    assert nfev < 1600


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_second_start_is_no_iteration_that_lowers_f_by_nothing(method):
    start = np.array([-1.2, 1, -0.5, 0.8])
    r = st.minimize(rosen, start, method=method, gtol=1e-9, ftol=1e-15)
    assert r.success and r.fun < 1e-14  # forward differences end at 5e-11


def test_a_second_start_is_counted_and_shown():
    seen, calls = [], []

    def fun(x):
        calls.append(x)
        return rosen(x)

    def callback(intermediate_result):
        seen.append(intermediate_result.nit)

    res = st.minimize(fun, FAR, callback=callback)
    assert seen == list(range(1, res.nit + 1))
    assert res.nfev == len(calls)


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "gd"])
def test_difference_steps_fit_the_precision_of_what_the_function_returns(method, scheme):
    """To steps for float64 a float32 f answers with 0: success at the start, 0.57 off."""
    A = np.diag(np.float32([1, 4, 9])) + np.float32(0.1)
    b = np.float32([1, 2, 3])

    def fun(x):
        x = x.astype(np.float32)
        return np.float32(0.5) * (x @ (A @ x)) - b @ x

    assert fun(np.ones(3)).dtype == np.float32
    res = st.minimize(fun, np.zeros(3), method=method, jac=scheme, gtol=1e-3)
    assert res.success, res.message
    np.testing.assert_allclose(res.x, np.linalg.solve(A.astype(float), b), rtol=0, atol=2e-3)
