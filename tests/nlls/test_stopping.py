"""When a fit ends: steps that are short, and steps whose effect is lost in rounding."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st


def test_short_steps_that_do_as_foretold_do_not_end_a_fit():
    """λ₀ makes the first 1e-12 long. Each later one may be twice as long, and gains little yet."""
    fit = st.least_squares(lambda x: x - 1, [0.0], lambda x: [[1.0]], damping=1e12)
    assert fit.success
    np.testing.assert_allclose(fit.x, 1)


def test_without_a_last_jacobian_a_step_must_lower_the_cost():
    """A step short enough for xtol that raises the cost by rounding alone: its gradient, which is
    no lower, decides. curve_fit's `lm` asks for no Jacobian after the last step else."""
    asked = []

    def at_end(a):
        return abs(a - 1) < 1e-8

    def model(t, a):
        asked.append(float(a))
        return np.array([1 + 1e-14 * at_end(a), 0.1 * (a - 1)])

    def jac(t, a):
        return np.array([[1e-7 * at_end(a)], [0.1]])

    popt, _ = st.curve_fit(model, [0.0, 1.0], [0.0, 0.0], [1.001], jac=jac, xtol=1e-5)
    assert at_end(asked[2]) and not at_end(popt[0])
    assert popt[0] == asked[1]


@pytest.mark.parametrize("ftol, ends", [(1e-8, False), (1e-5, True)])
def test_a_step_lost_in_rounding_ends_a_fit_if_it_promises_less_than_ftol(ftol, ends):
    """x is so large beside the residuals that 1e-6 of the cost is rounding. The gradient at the
    undamped step's end is no lower, and it is refused; a shorter step lowers the cost."""

    def beyond(x):
        return abs(x[0] - 1) < 3e-14

    def fun(x):
        return np.array([1 + 1e-6 * beyond(x), 1e10 * (x[0] - 1)])

    def jac(x):
        return np.array([[1e7 * beyond(x)], [1e10]])

    fit = st.least_squares(fun, [1 + 1e-7], jac, damping=1e-6, ftol=ftol, xtol=1e-15)
    assert fit.success
    assert (fit.nfev == 3) == ends == (fit.x[0] - 1 > 9e-14)


@pytest.mark.parametrize("method", ["lm", "levenberg"])
@pytest.mark.parametrize("linear_solver", ["cholesky", "qr"])
@pytest.mark.parametrize("offset", [0.01, 1.0])
def test_a_wrong_scale_that_holds_a_variable_fast_does_not_end_a_fit(method, linear_solver, offset):
    """The rate may move far, the constant hardly, and the steps that the rate can take are short
    for the constant: without the others' last steps the cost falls by less than ftol."""
    t = np.linspace(0, 4, 30)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + offset * 0.01 * np.cos(40 * t)

    def fun(p):
        return p[0] * np.exp(-p[1] * t) + p[2] - y

    def jac(p):
        e = np.exp(-p[1] * t)
        return np.stack([e, -t * p[0] * e, np.ones_like(t)], axis=1)

    for x_scale in [1e3, 1e5, 1e-8], [1e4, 1e6, 1e-7], [10, 1e4, 1e-8], [1e3, 1e4, 1e-6]:
        fit = st.least_squares(
            fun, np.ones(3), jac, x_scale=x_scale, method=method, linear_solver=linear_solver
        )
        assert fit.success
        np.testing.assert_allclose(fit.x, [2.5, 1.3, 0.5], rtol=0.02)


@pytest.mark.parametrize("x_scale", ["jac", 1.0, [1e6, 1.0]], ids=["jac", "1", "given"])
@pytest.mark.parametrize("options", [{}, dict.fromkeys(("ftol", "xtol", "gtol"), 1e-15)])
@pytest.mark.parametrize("difference", [0, 1e-3, 1e-5, 1e-7])
def test_a_start_at_the_minimum_ends_soon(difference, options, x_scale):
    """Rounding makes gains there, again and again, and of nearly dependent columns long steps."""

    def fit(A, y, start):
        return st.least_squares(
            lambda x: A @ x - y, start, lambda x: A.copy(), x_scale=x_scale, **options
        )

    t = np.linspace(-1, 1, 21)
    columns = np.c_[1 + difference * t, 1 - difference * t]
    for seed in range(15):
        order = np.random.default_rng(seed).permutation(t.size)
        A, bend = columns[order], (t**2 - np.mean(t**2))[order]
        for size in (1, 1e3, 1e6):
            y = A @ [3.0, 2.0] + size * bend
            for away in (0, 1e-9, 1e-4, 1e-2):
                result = fit(A, y, [3 + away, 2 - away])
                assert result.success and result.nfev <= 40


@pytest.mark.parametrize("seed", range(4))
def test_beside_a_large_offset_no_change_of_the_rest_is_short(seed):
    """xtol compares whole vectors: 1e-8 of an offset of 1e8 is more than all else may change by."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 5, 60)
    y = 1e8 + 2.5 * np.exp(-1.3 * t) + 0.01 * rng.standard_normal(60)

    def jac(t, a, b, c):
        e = np.exp(-b * t)
        return np.stack([e, -a * t * e, np.ones(60)], axis=1)

    start = [1.0, 1.0, y.mean()]
    popt, _ = st.curve_fit(lambda t, a, b, c: a * np.exp(-b * t) + c, t, y, start, jac=jac)
    np.testing.assert_allclose(popt, [2.5, 1.3, 1e8], rtol=0.02)


def test_no_success_before_a_step_was_taken():
    """Michaelis and Menten's curve in molar units, from ones. The first step leads to b = -9e9, all
    shorter ones raise a cost of 1e7 a little: within ftol, at a cosine of 0.89."""
    s = np.array([1, 2, 5, 10, 20, 50, 100, 200]) * 1e-9
    y = 3e3 * s / (2.3e-8 + s)

    def jac(x):
        return np.stack([s / (x[1] + s), -x[0] * s / (x[1] + s) ** 2], axis=1)

    fit = st.least_squares(lambda x: x[0] * s / (x[1] + s) - y, [1.0, 1.0], jac)
    assert fit.success
    np.testing.assert_allclose(fit.x, [3e3, 2.3e-8], rtol=1e-6)


@pytest.mark.parametrize("jac", ["callable", "2-point", "3-point", "cs"])
@pytest.mark.parametrize("method", ["lm", "gn"])
def test_the_unit_of_x_does_not_matter_to_xtol(method, jac):
    """An x below 1e-16 counted as zero: fits in such a unit ended by xtol after two steps."""
    t = np.linspace(0, 4, 50)
    y = 2.5 * np.exp(-1.3 * t) + 0.01 * np.cos(40 * t)

    def fit(unit):
        def fun(p):
            return p[0] / unit * np.exp(-p[1] / unit * t) - y

        def exact(p):
            e = np.exp(-p[1] / unit * t)
            return np.stack([e, -p[0] / unit * t * e], axis=1) / unit

        given = exact if jac == "callable" else jac
        return st.least_squares(fun, [unit, unit], given, method=method)

    want, small = fit(1.0), fit(2.0**-100)
    assert (small.status, small.nfev) == (want.status, want.nfev)
    np.testing.assert_allclose(small.x * 2.0**100, want.x, rtol=1e-12)


@pytest.mark.parametrize("method", ["lm", "gn"])
@pytest.mark.parametrize(
    ("units", "weights"), [([1, 2.0**-100], [1, 1]), ([2.0**-100, 2.0**-100], [1e6, 1e-6])]
)
def test_a_variable_in_small_units_or_of_little_influence_is_not_left_on_its_way(
    units, weights, method
):
    """The other one is where it belongs after a step, and the cost hardly changes."""

    def fun(x):
        a, b = x / units
        return np.append(weights * np.array([a - 1, np.exp(b) - 5]), 99)

    def jac(x):
        slopes = weights * np.array([1, np.exp(x[1] / units[1])]) / units
        return np.vstack([np.diag(slopes), np.zeros(2)])

    fit = st.least_squares(fun, 2 * np.array(units), jac, method=method, ftol=None, gtol=None)
    assert fit.status == 3
    np.testing.assert_allclose(fit.x / units, [1, np.log(5)], rtol=1e-9)


@pytest.mark.parametrize("loss", ["linear", "cauchy"])
def test_nor_does_it_from_a_start_of_zero(loss):
    """Where x tells no size, the step does."""
    t = np.linspace(0, 4, 20)
    y = np.exp(-1.3 * t) + 0.1 * (t > 3)

    def fit(unit):
        def jac(p):
            return (-t / unit * np.exp(-p[0] / unit * t))[:, None]

        return st.least_squares(
            lambda p: np.exp(-p[0] / unit * t) - y, [0.0], jac, method="gn", loss=loss
        )

    want, small = fit(1.0), fit(2.0**-100)
    assert (small.status, small.nfev) == (want.status, want.nfev)
    np.testing.assert_allclose(small.x * 2.0**100, want.x, rtol=1e-12)


def test_an_answer_of_zero_is_still_reached():
    """Relative to x alone, no step towards zero is short."""
    fit = st.least_squares(lambda x: x**2, [1.0], lambda x: np.diag(2 * x), gtol=None)
    assert fit.success and fit.x[0] < 1e-8


def test_near_an_answer_of_zero_xtol_is_met_though_the_cost_halves():
    fit = st.least_squares(lambda x: x**2, [1.0], lambda x: np.diag(2 * x), xtol=1e-2, gtol=None)
    assert fit.status == 3 and fit.nfev < 20  # else x goes on down to 1e-16


def test_steps_from_zero_that_all_fail_end_a_fit():
    """The first one tells how short the others are."""
    fit = st.least_squares(lambda x: x - 1, [0.0], lambda x: [[-1.0]])
    assert fit.nfev < 40 and fit.x[0] == 0 and "jac" in fit.message


def test_a_plateau_at_the_start_does_not_end_a_fit():
    """Hock and Schittkowski's problem 25 begins where all derivatives are below 1e-8. The first
    step leaves the plateau; in units of columns 1e10 times as large, the next was too short."""
    i = np.arange(1, 100)
    u = 25 + (-50 * np.log(0.01 * i)) ** (2 / 3)

    def jac(p):
        d = np.abs(u - p[1])
        part = np.exp(-(d ** p[2]) / p[0]) * d ** p[2] / p[0]
        return part[:, None] * np.stack([1 / p[0] + 0 * d, p[2] / (u - p[1]), -np.log(d)], 1)

    fit = st.least_squares(
        lambda p: np.exp(-(np.abs(u - p[1]) ** p[2]) / p[0]) - 0.01 * i,
        [100, 12.5, 3],
        jac,
        bounds=([0.1, 0, 0], [100, 25.6, 5]),
    )
    np.testing.assert_allclose(fit.x, [50, 25, 1.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "truth", "x0"),
    [
        ("linear", [1.5, 5, 1], [1.07, 16.96, 0.276, 0]),
        ("soft_l1", [4.35, 3, 0.5], [4.76, -19.3, 0.8, 0]),
    ],
)
def test_nor_does_one_that_is_left_after_failed_steps(loss, truth, x0):
    t = np.linspace(0, 10, 60)
    y = truth[0] / (1 + np.exp(-(t - truth[1]) / truth[2])) + 0.05 * np.cos(40 * t)

    def residuals(p):
        with np.errstate(over="ignore"):
            return p[0] / (1 + np.exp(-(t - p[1]) / p[2])) + p[3] - y

    bounds = [0, -50, 0.02, -5], [50, 50, 10, 5]
    fit = st.least_squares(residuals, x0, "3-point", bounds=bounds, loss=loss)
    np.testing.assert_allclose(fit.x, [*truth, 0], rtol=0.05, atol=0.05)
