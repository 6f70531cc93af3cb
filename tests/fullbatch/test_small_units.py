"""Parameters far below 1 by their unit: differences take steps that fit them, or that fit 1 where
they are small by chance."""

import numpy as np
import pytest
from scipy.optimize import brentq, rosen, rosen_der
from scipy.special import gammaln, psi

import steepest as st
from steepest.fullbatch.differences import Differences

EPS = 2.0**-52

T = np.linspace(0, 4, 50)
DATA = 2.5 * np.exp(-1.3 * T)
SCALES = np.array([1.0, 3, 10, 30])


def decay(unit):
    """Half the squares of a decay off its data; the rate is 1.3 units."""

    def fun(p):
        with np.errstate(over="ignore", invalid="ignore"):
            return 0.5 * float(((p[0] * np.exp(-p[1] / unit * T) - DATA) ** 2).sum())

    return fun


@pytest.mark.parametrize("unit", [1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize("jac", [None, "3-point"])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_rate_per_second_where_one_is_due_per_year(method, jac, unit):
    """It ended at x0 and said that the gradient there is not finite."""
    res = st.minimize(decay(unit), [1.0, unit], method=method, jac=jac)
    np.testing.assert_allclose(res.x, [2.5, 1.3 * unit], rtol=1e-4)
    assert res.nfev < 2000


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize("x0", [[0.1, 0.2], [0.01, 0.3]])
def test_a_step_out_of_the_domain_is_taken_again_in_proportion_to_x(x0, scheme):
    """One that fits the unit seen so far leads below 0, while x falls to 1e-6."""

    def fun(x):
        return np.nan if (x < 0).any() else ((np.sqrt(x) - 1e-3) ** 2).sum()

    res = st.minimize(fun, x0, jac=scheme)
    assert res.success
    np.testing.assert_allclose(res.x, 1e-6, rtol=1e-3)


def test_a_unit_that_the_start_does_not_show():
    res = st.minimize(decay(1e-7), [1.0, 0.0])
    np.testing.assert_allclose(res.x, [2.5, 1.3e-7], rtol=1e-4)


@pytest.mark.parametrize("by_chance", [1e-3, 1e-5, 1e-7, 1e-12, 1e-300, 5e-324])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_start_that_is_small_by_chance(method, by_chance):
    for start in ([-1.2, by_chance], [by_chance, 1.0], [by_chance, by_chance]):
        res = st.minimize(rosen, np.array(start), method=method)
        assert res.success and res.fun < 1e-9 and res.nfev < 200


def test_small_variables_at_a_minimum_cost_one_evaluation_more_once():
    """No difference of theirs changes f; another, of the usual length, says that none should."""

    def fun(x):
        return 3 + 0.5 * float(x @ x)

    res = st.minimize(fun, np.array([1e-9, 2.0, -1e-9]))
    looked = 2  # for rounding, where no difference changes f
    assert res.success and res.nfev == res.njev * 4 + 2 + looked


def test_the_longer_step_is_not_taken_out_of_the_domain():
    """The gradient of the small variable is 0, and f is inf one usual step off."""
    seen = []

    def fun(x):
        seen.append(x[1])
        edge = np.inf if abs(x[1]) > 1e-8 else 0.0
        return 3 + float(x[0] ** 2) + (1e-9 - x[1]) ** 2 + edge

    res = st.minimize(fun, np.array([1.0, 1e-9]))
    assert res.success and abs(res.x[0]) < 1e-4 and np.isfinite(res.jac).all()


@pytest.mark.parametrize("side", [1, -1])
def test_at_an_edge_of_the_domain_a_central_step_goes_to_the_side_that_is_in_it(side):
    def fun(x):
        return np.exp(x[0]) if side * x[0] >= 0 else np.inf

    g = Differences("3-point", EPS, None).gradient(fun, np.zeros(1), 1.0)
    np.testing.assert_allclose(g, 1, rtol=1e-4)
    g = Differences("2-point", EPS, None).gradient(fun, np.zeros(1), 1.0)
    assert np.isfinite(g[0]) == (side == 1)  # not 0


def test_near_an_edge_of_the_domain_steps_are_shorter_than_at_the_start():
    differences = Differences("3-point", EPS, None)
    for x in (3.0, 1e-7):
        f = x - np.log(x)
        g = differences.gradient(
            lambda x: x[0] - np.log(x[0]) if x[0] > 0 else np.inf, np.array([x]), f
        )
        np.testing.assert_allclose(g, 1 - 1 / x, rtol=1e-6)


def test_steps_stay_in_a_small_box():
    asked = []

    def fun(x):
        asked.append(x.copy())
        return decay(1e-7)(x)

    low, high = np.array([0.5, 1.2e-7]), np.array([5.0, 2e-7])
    res = st.minimize(fun, [1.0, 2e-7], bounds=list(zip(low, high, strict=True)))
    assert (low <= asked).all() and (np.asarray(asked) <= high).all()
    assert res.success and res.x[1] == 1.2e-7  # a slope of 1e-7 units is below gtol


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
@pytest.mark.parametrize("seed", range(8))
def test_the_likelihood_of_times_in_seconds(seed, method):
    """Trials far out, where |f| is a thousand times as large, made steps half as long as x: off the
    minimum by 3 to 33 in three of eight, "the gradient is not finite at x, the best point"."""
    times = np.random.default_rng(seed).gamma(3, 2e-6, 200)
    mean, logs = times.mean(), np.log(times).mean()

    def fun(p):
        if min(p) <= 0:
            return np.inf
        return 200 * (gammaln(p[0]) + p[0] * np.log(p[1]) - (p[0] - 1) * logs + mean / p[1])

    k = brentq(lambda k: np.log(k) - psi(k) - np.log(mean) + logs, 0.1, 100)
    res = st.minimize(fun, [1.0, mean], method=method)
    assert res.fun < fun([k, mean / k]) + 1e-4, res.message


def value_and_gradient(p, unit):
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(-p[1] / unit * T)
        r = p[0] * e - DATA
        return 0.5 * float(r @ r), np.array([r @ e, r @ (-p[0] * e * T) / unit])


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize("unit", [1, 1e-4, 1e-7, 1e-12])
def test_hessians_by_differences_fit_too(unit, scheme):
    """At 1e-9 it took 21,655 gradients, or said that the Hessian is not finite."""
    res = st.minimize(
        value_and_gradient, [1.0, unit], (unit,), jac=True, method="newton", hess=scheme
    )
    np.testing.assert_allclose(res.x, [2.5, 1.3 * unit], rtol=1e-4)
    assert res.success and res.nfev < 50


@pytest.mark.parametrize(
    ("x1", "coupled"),
    [(x1, 0) for x1 in (1e-5, 1e-9, 1e-14, 1e-300)]
    + [(x1, 1) for x1 in (1e6, 1e-5, 1e-11, 1e-12, 1e-14, 1e-300)],
)
def test_hessians_where_variables_are_small_by_chance_or_large(x1, coupled):
    """Where all variables are in each element of the gradient, its rounding hides a short step."""
    h = np.diag(SCALES) + coupled
    start = np.array([1, x1, 1, x1])
    res = st.minimize(
        lambda x: (3 + 0.5 * float(x @ h @ x), h @ x), start, jac=True, method="newton",
        hess="2-point",
    )  # fmt: skip
    assert res.success and res.nit == 1 and res.nfev <= 2 + 4 + (2 if x1 < 1e-5 else 0)


def test_complex_steps_fit_too():
    def fun(p):
        with np.errstate(over="ignore", invalid="ignore"):
            return 0.5 * ((p[0] * np.exp(-p[1] / 1e-7 * T) - DATA) ** 2).sum()

    res = st.minimize(fun, [1.0, 1e-7], jac="cs")
    np.testing.assert_allclose(res.x, [2.5, 1.3e-7], rtol=1e-6)


@pytest.mark.parametrize("x0", [0.0, 5e-324])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_complex_steps_from_0_in_the_precision_of_x(dtype, x0):
    def fun(x):
        assert x.dtype in (dtype, np.result_type(dtype, np.complex64))
        return ((x - 1) ** 2).sum()

    res = st.minimize(fun, np.array([x0, 2.0], dtype), jac="cs")
    assert res.success and abs(res.x - 1).max() < 1e-4


def test_what_is_not_finite_later_is_not_said_to_be_so_at_x0():
    s = st.BFGS(np.array([-1.2, 1.0]))
    while s.nit < 3:
        x = s.x
        s.tell(rosen(x), rosen_der(x))
    s._resume()  # as after Ctrl-C, or with better differences
    s.tell(np.inf, np.ones(2))
    assert s.status == 3 and s.message == "the objective is inf at x, the best point"


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("method", ["bfgs", "l-bfgs"])
@pytest.mark.parametrize("jac", [None, "3-point"])
@pytest.mark.parametrize("seed", range(12))
def test_what_a_far_larger_f_rounds_away_is_no_float32(method, jac, seed):
    """A trial far out, where f is 1e27, shows no change along slow variables: at the best point it
    passed for a function that is rounded to float32, and the run ended in that noise."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    scale = 10 ** rng.uniform(-3, 3, n)
    start = rng.uniform(-3, 3, n) / scale
    r = st.minimize(lambda x: np.sum(np.cosh(scale * x) - 1), start, method=method, jac=jac)
    assert r.fun < 1e-4, r.message


def test_a_long_exact_search_is_not_in_vain_where_f_is_lower():
    """Near 0 the rounding of cosh(x) - 1 is noise; the search was cut off at a gradient of 1e-3."""
    scale = np.array([6.88872833e-02, 3.99183887e02, 5.25354008e01, 1.35700985e-02])
    start = np.array([1.20152627e01, -4.61404660e-03, 2.70070730e-02, 7.98050199e01])
    options = {"jac": "3-point", "line_search": "exact"}
    r = st.minimize(lambda x: np.sum(np.cosh(scale * x) - 1), start, **options)
    assert r.success and r.fun < 1e-10


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_differences_that_end_on_a_bound_do_not_cross_it(scheme):
    """By rounding, in a box that is narrower than their step."""
    lower, upper, x = -1.321048632913019e-11, 1.2573022109339331e-11, -1.2154045128967481e-11
    assert x + (upper - x) > upper
    points = []

    def fun(p):
        points.append(p[0])
        return 1 + 1e-3 * p[0]

    st.minimize(fun, [x], jac=scheme, bounds=[(lower, upper)])
    assert lower <= min(points) and max(points) == upper
