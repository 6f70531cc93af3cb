"""Hard functions: each ends in a truthful status and message."""

import copy
import re
import warnings

import numpy as np
import pytest
from fullbatch_methods import ALL, START, extra
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st
from steepest.fullbatch.search import Trial, explain, explain_stall


def eye(x):
    return np.eye(x.size)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ALL)
def test_a_start_without_a_value_is_a_failure(method, value):
    r = st.minimize(lambda x: value, np.ones(2), jac=lambda x: x, method=method,
                    **extra(method, eye))  # fmt: skip
    assert not r.success and r.status == 3
    assert r.message == f"the objective is {value} at x0"
    np.testing.assert_array_equal(r.x, [1, 1])


@pytest.mark.parametrize("method", ALL)
def test_a_start_without_a_gradient_is_a_failure(method):
    r = st.minimize(lambda x: 1.0, np.ones(2), jac=lambda x: np.array([1.0, np.nan]),
                    method=method, **extra(method, eye))  # fmt: skip
    assert not r.success and r.status == 3 and r.message == "the gradient is not finite at x0"


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "gd"])
def test_minus_infinity_is_unbounded_below(method, line_search):
    with np.errstate(over="ignore"):
        r = st.minimize(lambda x: -np.exp(-x), np.zeros(1), jac=lambda x: np.exp(-x),
                        method=method, line_search=line_search)  # fmt: skip
    assert not r.success and r.status == 4 and r.fun == -np.inf
    assert r.x[0] < -709 and r.message.startswith("the objective falls without bound")


@pytest.mark.parametrize("scale", [1e-50, 1e50])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_the_first_step_suits_functions_of_any_size(method, scale):
    r = st.minimize(lambda x: scale * (x[0] - 1) ** 2, np.array([-1.0]), gtol=1e-8 * scale,
                    jac=lambda x: 2 * scale * (x - 1), method=method)  # fmt: skip
    assert r.success and r.nit <= 3
    np.testing.assert_allclose(r.x, 1)


@pytest.mark.parametrize("unit", [1e-20, 1e-8, 1e8])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_the_first_step_suits_variables_of_any_unit(method, unit):
    r = st.minimize(lambda x: rosen(x / unit), START * unit, gtol=1e-6 / unit,
                    jac=lambda x: rosen_der(x / unit) / unit, method=method)  # fmt: skip
    assert r.success and r.nfev < 150
    np.testing.assert_allclose(r.x / unit, 1, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-200, 1e-100, 1e100, 1e150])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_squares_that_leave_the_range_end_in_words(method, scale):
    """Products of gradients under- and overflow here: the run may fall short, not break."""
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        r = st.minimize(lambda x: scale * rosen(x), START, jac=lambda x: scale * rosen_der(x),
                        method=method, gtol=1e-5 * scale, maxiter=200)  # fmt: skip
    assert r.message and np.isfinite(r.x).all() and rosen(r.x) <= rosen(START)
    assert r.success or scale in (1e-200, 1e150)


def barrier(x):  # finite for x > 0 alone
    with np.errstate(all="ignore"), warnings.catch_warnings():
        return float((x - np.log(x)).sum()), 1 - 1 / x


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ALL)
def test_trials_outside_the_domain_are_rejected(method, line_search):
    r = st.minimize(barrier, np.array([30.0, 1e-4, 5.0]), jac=True, method=method, gtol=1e-4,
                    line_search=line_search, maxiter=60_000,
                    **extra(method, lambda x: np.diag(1 / x**2)))  # fmt: skip
    assert r.success, r.message
    np.testing.assert_allclose(r.x, 1, atol=0.1 if method == "gd" else 1e-3)


@pytest.mark.parametrize("method", ALL)
def test_a_gradient_that_is_nan_where_f_is_finite_rejects_the_trial(method):
    def fun(x):
        g = 2 * (x - 3)
        return float(((x - 3) ** 2).sum()), np.where(x > 4, np.nan, g)

    r = st.minimize(fun, np.array([-40.0]), jac=True, method=method,
                    **extra(method, lambda x: np.eye(1) / 4))  # fmt: skip
    assert r.success
    np.testing.assert_allclose(r.x, 3, atol=1e-4)


@pytest.mark.parametrize("method", ALL)
def test_a_flat_function_is_at_its_minimum(method):
    r = st.minimize(lambda x: 7.0, np.ones(3), jac=np.zeros_like, method=method,
                    **extra(method, eye))  # fmt: skip
    assert r.success and r.nit == 0 and r.nfev == 1


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("power", [1, 2])
def test_a_function_without_a_minimum_is_a_failure(method, power):
    r = st.minimize(
        lambda x: -float((x**power).sum()), np.ones(2), jac=lambda x: -power * x ** (power - 1),
        method=method, **extra(method, lambda x: np.zeros((2, 2))),
    )  # fmt: skip
    assert not r.success and r.status == 4 and np.isfinite(r.fun)
    assert r.message.startswith("the objective falls without bound along the direction: -")


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ALL)
def test_a_wrong_gradient_is_named(method, line_search):
    r = st.minimize(rosen, START, jac=lambda x: -rosen_der(x), method=method,
                    line_search=line_search, **extra(method, eye))  # fmt: skip
    assert not r.success and r.status == 2 and r.fun == rosen(START)
    assert "check the gradient" in r.message and "unless f is not smooth there" in r.message


def test_a_gradient_wrong_in_one_component_is_named():
    def jac(x):
        g = rosen_der(x)
        g[1] += 50.0
        return g

    r = st.minimize(rosen, START, jac=jac)
    assert not r.success and r.status == 2 and "check the gradient" in r.message


@pytest.mark.parametrize(
    ("told", "eps", "message"),
    [
        (
            [(0.5, 6.0), (0.25, 5.5)],
            1e-16,
            "0.25 f changes by 0.5 where the gradient predicts -0.5:",
        ),
        ([(0.5, 105.0)], 1e-16, "over a step of 0.5 f changes by 100 where"),  # too steep to tell
        ([(1.0, 5.0)], 1e-16, "over a step of 1 f changes by 0 where"),
        ([(1.0, 5.0), (2.0, 6.0)], 1e-16, "over a step of 2 f changes by 1 where"),
        ([(4.0, 9.0), (0.1, 5.01)], 1e-3, "over a step of 4 f changes by 4 where"),  # 0.1 is noise
        ([(0.1, 5.01)], 1e-3, "at step 0.1 f = 5 changes by no more than rounding"),
        ([(1.0, np.nan), (0.2, np.inf)], 1e-16, "no trial point along the direction has a finite"),
    ],
)
def test_a_search_in_vain_is_explained(told, eps, message):
    """From f = 5, along a slope of -2."""
    assert message in explain([Trial(*at, 0.0) for at in told], 5.0, -2.0, eps)


@pytest.mark.parametrize(
    ("at", "slope0", "lowest", "eps", "message"),
    [
        (
            (2.0, 10.0, -1.0),
            -4.0,
            5.0,
            1e-16,
            "changes by 5 where the gradients at both ends predict",
        ),
        ((2.0, 10.0, 2.0), -4.0, 5.0, 1e-16, "not fallen for 12 iterations: too long"),
        ((1.0, 6.0, -1.0), -1.0, -10.0, 1e-3, "not fallen for 12 iterations: too long"),  # is noise
        ((0.1, 5.0, 1.0), -2.0, 5.0, 1e-3, "the last iterations have hardly lowered f"),
        ((3.0, 5.0, 1.0), -2.0, 5.0, 1e-3, "not fallen for 12 iterations: too long"),
    ],
)
def test_a_stall_is_explained(at, slope0, lowest, eps, message):
    """After a full step from f = 5."""
    stall = (at[1], lowest, Trial(*at), 5.0, slope0, eps, 12)
    assert message in explain_stall(*stall, "too long")
    assert "the last iterations have hardly lowered f" in explain_stall(*stall, None)


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_the_limit_of_precision_is_not_called_a_wrong_gradient(method):
    r = st.minimize(lambda x: rosen(x) + 1e6, START, jac=rosen_der, method=method, gtol=1e-14)
    assert r.status in (0, 2) and "check the gradient" not in r.message
    assert r.fun - 1e6 == pytest.approx(0, abs=1e-8)


def test_float32_stops_where_float32_ends():
    x0 = START.astype(np.float32)
    r = st.minimize(rosen, x0, jac=rosen_der, gtol=0.0, maxiter=500)
    assert r.x.dtype == np.float32 and r.nit < 200 and r.status in (0, 2)
    np.testing.assert_allclose(r.x, 1, atol=2e-3)


def test_a_full_step_out_of_the_domain_is_a_failure():
    def fun(x):
        with np.errstate(over="ignore"):
            return float((x**4).sum()), 4 * x**3

    r = st.minimize(fun, np.full(2, 1e50), jac=True, method="gd", lr=1.0)
    assert not r.success and r.status == 3 and "after a full step" in r.message


def test_a_learning_rate_that_is_too_high_is_named():
    r = st.minimize(lambda x: (x @ x, 2 * x), np.ones(2), jac=True, method="gd", lr=10.0)
    assert not r.success and r.status == 2 and "the steps are too long; lower lr" in r.message


@pytest.mark.parametrize("kind", ["hess", "hessp"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_hessian_of_the_wrong_sign_is_named(kind, sign):
    hess = {"hess": lambda x: sign * rosen_hess(x)}
    if kind == "hessp":
        hess = {"hessp": lambda x, p: sign * rosen_hess(x) @ p}
    r = st.minimize(rosen, START, jac=rosen_der, method="newton", maxiter=20, gtol=1e-30, **hess)
    end = "; the Hessian has not been positive definite for 20 iterations: check it, and its sign"
    assert r.status in (1, 2) and r.message.endswith(end) == (sign < 0)


def test_newton_checks_its_products():
    with pytest.raises(ValueError, match=r"hessp\(x, p\): shape \(1,\); expected \(4,\)"):
        st.minimize(rosen, START, jac=rosen_der, method="newton", hessp=lambda x, p: p[:1])
    r = st.minimize(rosen, START, jac=rosen_der, method="newton", hessp=lambda x, p: p * np.nan)
    assert r.status == 3 and r.message == "the Hessian's product with a vector is not finite"


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("workspace", "a", TypeError, "state_dict['workspace']: got a str; expected an array"),
        ("x", 2, ValueError, "state_dict['x']: 2 is not allowed; expected a whole number, "),
        ("d", 3, ValueError, "state_dict['d']: 3 is not allowed; expected a whole number, "),
        ("nit", 1.5, TypeError, "state_dict['nit']: 1.5 is a float; expected a whole number"),
        ("f", "a", TypeError, "state_dict['f']: 'a' is a str; expected a real number"),
        ("done", 0, TypeError, "state_dict['done']: 0 is an int; expected True or False"),
        ("message", 0, TypeError, "state_dict['message']: got an int; expected a str"),
        ("told", 0, TypeError, "state_dict['told']: got an int; expected a list"),
        ("told", [(1, 2)], ValueError, "state_dict['told'][0]: (1, 2); expected step, f and s"),
        ("lowest", 1.0, ValueError, "state_dict['lowest']: 1.0; expected step, f and slope"),
        ("memory", (1, [0], [0], np.zeros(3)), ValueError, "state_dict['memory']: expected that"),
    ],
)
def test_a_state_that_no_run_has_is_refused_and_changes_nothing(key, value, error, message):
    run = st.LBFGS(START)
    for _ in range(5):
        x = run.x
        run.tell(rosen(x), rosen_der(x))
    twin = copy.deepcopy(run)
    with pytest.raises(error, match="^" + re.escape(message)):
        run.load_state_dict({**st.LBFGS(2 * START).state_dict(), key: value})
    while not run.done:
        x = run.x
        np.testing.assert_array_equal(x, twin.x)
        for each in (run, twin):
            each.tell(rosen(x), rosen_der(x))
    assert twin.done


def test_a_tiny_hessian_where_numpy_is_told_to_raise():
    scale, s = 1e-300, st.Newton(np.array([3.0, 1.0]), gtol=0, maxiter=3)
    while not s.done:
        x = s.x
        told = scale * (x @ x), 2 * scale * x, 2 * scale * np.eye(2)
        with np.errstate(all="raise"):
            s.tell(*told)
    np.testing.assert_allclose(s.x, 0, atol=1e-12)


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_runs_go_down_along_a_kink(method):
    """Lewis and Overton's 8 |x₁ - x₀²| + (1 - x₀)²: the strong conditions do not hold past it."""

    def fun(x):
        off, left = x[1] - x[0] ** 2, 1 - x[0]
        g = [-16 * x[0] * np.sign(off) - 2 * left, 8 * np.sign(off)]
        return 8 * abs(off) + left**2, np.array(g)

    for start in ([-1.2, 1.0], [2.0, 2.0], [-1.0, 1.3]):
        r = st.minimize(fun, np.array(start), jac=True, method=method)
        assert r.success and r.fun < 1e-9 and r.nfev < 1000  # by the strong ones 0.2 to 4
