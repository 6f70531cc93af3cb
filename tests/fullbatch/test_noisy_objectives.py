"""Objectives with noise, of a simulator or of float32 within: differences see through it."""

from __future__ import annotations

import math

import array_api_strict as strict
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st
from problems.curves import noise_at
from steepest.fullbatch.differences import Differences

EPS = 2.0**-52

SCALES = np.geomspace(1, 100, 5)
HESS = {"hess": rosen_hess}


def bowl(x):
    """3 at its minimum, 0."""
    return 3 + 0.5 * float(x @ (SCALES * x))


def valley(x):
    """1 at its minimum, ones."""
    return 1 + float(rosen(x))


def noisy(fun, size):
    """fun with relative noise of this size, the same each time at the same x."""
    return lambda x: fun(x) * (1 + size * float(noise_at(np.asarray(x), 1)[0]))


START = np.array([1.0, -1.0, 2.0, 0.5, -0.3])
PROBLEMS = {"bowl": (bowl, START, 3), "valley": (valley, np.array([-1.2, 1.0]), 1)}


@pytest.mark.parametrize("jac", [None, "3-point"])
@pytest.mark.parametrize("size", [1e-13, 1e-11, 1e-9, 1e-7, 1e-5])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_f_comes_down_to_its_noise(name, method, size, jac):
    fun, start, least = PROBLEMS[name]
    res = st.minimize(noisy(fun, size), start, jac=jac, method=method)
    # gtol = 1e-5 itself leaves 1e-7 in the valley
    assert fun(res.x) - least <= 10 * size * least + 1e-7
    exact = st.minimize(fun, start, jac=jac, method=method)
    assert res.nfev <= 8 * exact.nfev
    assert res.success == ("gtol" in res.message) and res.status in (0, 2)


@pytest.mark.parametrize("method", ["gd", "newton"])
def test_other_methods_take_the_same_gradients(method):
    """In the median of nine starts: which noise a run meets at its end is chance."""
    further = {"hess": lambda x: np.diag(SCALES)} if method == "newton" else {}
    starts = START * (1 + 0.01 * np.random.default_rng(0).standard_normal((9, 5)))
    ends = [st.minimize(noisy(bowl, 1e-7), x0, method=method, **further).x for x0 in starts]
    assert np.median([bowl(x) for x in ends]) - 3 <= 5e-6


def test_what_is_found_is_told():
    res = st.minimize(noisy(bowl, 1e-6), START)
    assert res.status == 2 and not res.success
    said = f"no lower point: f = {res.fun:.6g} has noise, or kinks, of about "
    told = res.message.removeprefix(said)
    assert told.endswith(", which hide the rest")
    assert 3e-7 < float(told.split(",")[0]) < 3e-5  # 3e-6


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_float32_within(method):
    """All differences by float64's steps are 0: success at the start."""

    def fun(x):
        x = x.astype(np.float32)
        return float(np.sum(np.exp(x) - np.float32(2) * x))

    res = st.minimize(fun, np.array([0.3, -1.0, 2.0, 0.1]), method=method)
    np.testing.assert_allclose(res.x, np.log(2), atol=2e-3)
    assert res.nit > 1


@pytest.mark.parametrize("jac", [None, "3-point"])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_the_dtype_of_f_tells_no_more_than_its_values(method, jac):
    """Steps by the rounding unit of float32 hid the noise, which was then never looked for."""

    def run(as_told):
        def fun(x):
            return as_told(np.float32(1 + rosen(x.astype(np.float32))))

        return st.minimize(fun, np.array([-1.2, 1.0]), method=method, jac=jac)

    by_float, by_float32 = run(float), run(np.float32)
    np.testing.assert_array_equal(by_float.x, by_float32.x)
    assert by_float.nfev == by_float32.nfev and valley(by_float.x) < 1 + 1e-5


def test_looking_for_rounding_does_not_change_signs():
    """math.log raises below 0; at the minimum, 1e-3, differences are 0."""
    seen = []

    def fun(p):
        seen.append(p[0])
        return math.cosh(1e-6 * math.log(float(p[0]) / 1e-3))

    res = st.minimize(fun, [1e-3])
    assert res.success and res.nfev == 2 + 4 and max(seen) < 1.1e-3


def test_a_change_too_small_for_half_is_no_rounding_to_half():
    """Forward differences are 0 beside the minimum, and longer steps show the third derivative: 146
    evaluations, central differences of 0.0036, and an end 1.7e-9 above."""

    def fun(x):
        return np.cos(14.5 * x[0] - 0.3) + (x[0] + 0.2) * x[0]

    for start in np.random.default_rng(0).uniform(-1.5, 1.5, 100):
        res = st.minimize(fun, [start])
        assert res.success and res.nfev < 60
        assert abs(-14.5 * np.sin(14.5 * res.x[0] - 0.3) + 2 * res.x[0] + 0.2) < 2e-5


@pytest.mark.parametrize("bounds", [(1, 2), (0, 1)])
def test_looking_for_rounding_does_not_leave_the_box(bounds):
    asked = []

    def fun(x):
        asked.append(x[0])
        return 5 + math.cosh(x[0] - 1)

    assert st.minimize(fun, [1.0], bounds=[bounds]).success
    assert bounds[0] <= min(asked) and max(asked) <= bounds[1]


@pytest.mark.parametrize("fall", [1, 0])
def test_rounding_along_one_variable_is_found_where_a_search_takes_long_or_is_stuck(fall):
    def fun(x):
        return float(x[0] ** 2 + np.cosh(np.float32(x[1])))

    differences, x = Differences("2-point", EPS, None), np.array([1.0, 0.5])
    assert differences.gradient(fun, x, fun(x))[1] == 0
    assert differences.sharpen(fun, x, fun(x), fall)
    np.testing.assert_allclose(differences.gradient(fun, x, fun(x)), [2, np.sinh(0.5)], rtol=1e-3)


def test_noise_is_looked_for_again_only_where_f_changes_far_less():
    """Each look takes ten evaluations, amid a search."""
    differences, calls = Differences("2-point", EPS, None), []

    def fun(x):
        calls.append(x)
        return float(np.cosh(x).sum())

    for first, looks in ((1.0, True), (1.0, False), (1e-2, False), (1e-5, True)):
        x = np.array([first, 0])
        f = fun(x)
        differences.gradient(fun, x, f)
        calls.clear()
        assert not differences.sharpen(fun, x, f, fall=1)
        assert bool(calls) == looks


def test_noise_where_f_is_0():
    """It is no share of 0: "float division by zero"."""
    res = st.minimize(lambda x: round(float(np.sum((x - 1) ** 4)), 6), [3.0, 3.0])
    assert res.success and res.fun == 0


def test_a_start_at_a_minimum_is_one():
    """There no difference changes f, and longer steps tell that none should have."""
    res = st.minimize(lambda x: 5 + float(np.cosh(x).sum()), np.zeros(3))
    assert res.success and res.nit == 0 and res.nfev == 1 + 3 + 2


@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3])
def test_differences_stay_in_the_box(size):
    low, high = np.array([0.2, -1.0, -1.0, -1e-3, 0.5]), np.array([2.0, 2.0, 2.0, 1e-3, 0.5])
    asked = []

    def fun(x):
        asked.append(x.copy())
        return bowl(x)

    start = np.array([1.0, -1.0, 2.0, 1e-3, 0.5])
    res = st.minimize(noisy(fun, size), start, bounds=list(zip(low, high, strict=True)))
    assert (low <= asked).all() and (np.asarray(asked) <= high).all()
    least = bowl(np.clip(0, low, high))
    assert bowl(res.x) - least <= 10 * size * least
    assert np.isnan(res.jac[4])  # of equal bounds


def test_steps_shrink_where_they_leave_the_domain():
    """A maximum of likelihood near the edge, where -inf and NaN are."""
    data = np.random.default_rng(0).exponential(1e-3, 500)

    def fun(p):
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1e4 + data.size * float(np.log(p[0]) + data.mean() / p[0])

    res = st.minimize(noisy(fun, 1e-9), [2e-3])
    assert fun([data.mean()]) <= fun(res.x) <= fun([data.mean()]) + 1e-3


@pytest.mark.parametrize("wall", [1e-8, 1e-6, 1e-4])
@pytest.mark.parametrize("barrier", [lambda u: 1 / u, lambda u: -np.log(u)])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_line_from_a_pole_is_no_noise(method, barrier, wall):
    """Minima close to a wall. It said "noise" of functions without, or that the gradient is not
    finite, where ends of central differences came through the wall."""

    def fun(x):
        return float(3 + (x[0] - 1) + wall**2 * barrier(x[0] - 1)) if x[0] > 1 else np.inf

    res = st.minimize(fun, [1.5], method=method)
    assert np.isfinite(res.jac).all() and res.fun < 3 + 20 * wall
    assert "noise" not in res.message and "finite" not in res.message


@pytest.mark.parametrize("unit", [1e-4, 1e-5, 1e-8, 1e-10])
@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-4])
def test_long_steps_come_back_into_the_domain(size, unit):
    """Those through noise begin at a tenth, or a thousandth: "the gradient is not finite". They
    come back to x at once: by eighths alone runs ended at f = 6."""

    def fun(x):
        return 3 + float(x[0] / unit - np.log(x[0] / unit)) if x[0] > 0 else np.inf

    for start in np.linspace(5, 7, 10):
        res = st.minimize(noisy(fun, size), [start * unit])
        assert np.isfinite(res.jac).all() and "finite" not in res.message
        assert fun(res.x) - 4 <= (40 if start == 5 else 200) * size, res.message


def test_other_namespaces_see_it():
    res = st.minimize(noisy(lambda x: bowl(np.asarray(x)), 1e-7), strict.asarray(START))
    assert bowl(np.asarray(res.x)) - 3 <= 3e-6 and "noise" in res.message


def test_hessians_are_checked_as_without():
    skew = np.diag(SCALES)
    skew[0, 1] = 1e-4
    with pytest.raises(ValueError, match="hess: not symmetric"):
        evaluations = iter([np.diag(SCALES)] * 4 + [skew] * 100)
        st.minimize(
            noisy(bowl, 1e-4), START, method="newton", hess=lambda x: next(evaluations), gtol=0
        )


def test_without_noise_a_run_is_as_it_was():
    """An ordinary one, whose searches are short, takes no evaluation more."""
    res = st.minimize(bowl, START)
    assert res.success and res.nfev == res.njev * 6


@pytest.mark.parametrize("size", [1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("options", [{"method": "gd", "lr": 0.1}, {"line_search": None}])
def test_full_steps_end_in_the_noise(options, size):
    rng = np.random.default_rng(0)
    fit = st.minimize(lambda x: x @ x + size * rng.standard_normal(), np.ones(3), **options)
    assert fit.nit < 100 and fit.x @ fit.x < 100 * size


@pytest.mark.parametrize("seed", range(3))
def test_full_steps_that_noise_has_led_up_go_on_from_the_lowest_point(seed):
    """Else these went up to f = 2e5, until no evaluation was left."""
    rng = np.random.default_rng(seed)

    def fun(x):
        return np.logaddexp.reduce(np.append(x, -x.sum()))

    fit = st.minimize(
        lambda x: fun(x) + 1e-3 * rng.standard_normal(), rng.normal(size=3) * 2,
        method="gd", lr=0.3, max_nfev=3000,
    )  # fmt: skip
    assert fit.status == 2 and fun(fit.x) < np.log(4) + 0.01


def test_full_steps_that_are_too_long_are_named_in_noise():
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 50])

    def fun(x):
        return 0.5 * scale @ x**2 + 1e-8 * rng.standard_normal()

    fit = st.minimize(fun, np.ones(2), method="gd", lr=0.05)
    assert "the steps are too long; lower lr" in fit.message


@pytest.mark.parametrize(("method", "extra"), [("l-bfgs", {}), ("bfgs", {}), ("newton", HESS)])
def test_values_that_round_by_more_than_their_size_tells_do_not_hide_the_minimum(method, extra):
    """As log-likelihoods do, whose terms cancel: gradients are exact, and gtol is met."""
    for seed in range(20):
        x0 = np.random.default_rng(seed).normal(size=4)
        r = st.minimize(noisy(valley, 1e-15), x0, jac=rosen_der, method=method, gtol=1e-8, **extra)
        assert r.success


@pytest.mark.parametrize("wall", [1e6, 1e16])
@pytest.mark.parametrize("distance", [1e-9, 1e-7])
def test_a_penalty_outside_the_domain_is_no_noise(distance, wall):
    """A run would take points that are higher by a tenth for its noise."""

    def fun(x):
        return 3 + float(x @ x) if x[0] < 1 + distance else wall

    differences, x = Differences("2-point", EPS, None), np.array([1.0, 0.5])
    differences.gradient(fun, x, fun(x))
    differences.sharpen(fun, x, fun(x), 0.0)
    assert differences.noise == 0


def test_noise_around_a_point_that_is_lower_by_chance():
    """It is no wall: f has come down from 3."""
    here = np.array([1.0, 0.5])

    def fun(x):
        return 1e-13 if (x == here).all() else 1e-9 * (2 + math.sin(1e12 * float(x.sum())))

    differences = Differences("2-point", EPS, None)
    for x, f in ((np.ones(2), 3.0), (here, fun(here))):
        differences.gradient(fun, x, f)
    differences.sharpen(fun, here, fun(here), 0.0)
    assert 1e-11 < differences.noise < 1e-8


def test_the_edge_of_a_penalty_is_no_rounding():
    def fun(x):
        return 3 + float(x @ x) if x[0] < 0.999 else 1e16

    differences = Differences("2-point", EPS, None)
    differences.gradient(fun, np.array([1.0, 0.5]), 1e16)
    assert differences.noise == 0


@pytest.mark.parametrize(("search", "unit"), [("wolfe", 1e-3), ("exact", 1.0), ("exact", 1e4)])
def test_rounding_around_a_zero_of_f_is_no_noise(search, unit):
    """From 0, where a quadratic is 0, a long first search took for noise what was rounding of its
    values there, and later steps were as short as that noise allowed."""
    d = np.geomspace(0.1, 10, 6)
    r = st.minimize(lambda x: unit * float(0.5 * d @ x**2 - x.sum()), 0 * d, line_search=search)
    np.testing.assert_allclose(r.x, 1 / d, atol=0.15)
    assert r.fun < unit * -0.5 * (1 / d).sum() * (1 - 1e-3)


def test_a_step_of_a_far_plateau_is_no_rounding():
    def fun(x):
        return 3 + float(x @ x) if x[0] < 1 else 1e200 * (4 + float(x[0] > 2))

    differences, x = Differences("2-point", EPS, None), np.array([0.5, 0.5])
    differences.gradient(fun, x, fun(x))
    x = np.array([1.99, 0.5])  # a trial
    differences.gradient(fun, x, fun(x))
    assert differences.noise == 0


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_gradient_from_before_noise_was_found_is_taken_anew(method):
    """From 0, where float32 is exact, the first trial had a gradient of rounding alone; the search
    then took it for the far end of its bracket, and the run ended there."""
    d, turn = np.geomspace(0.2, 8, 7), np.linalg.qr(np.vander(np.linspace(-1, 1, 7)))[0]
    k, b = np.float32((turn * d) @ turn.T), np.float32(np.cos(np.arange(7.0) + 4))

    def fun(x):
        x = x.astype(np.float32)
        return np.float32(0.5) * (x @ k @ x) - b @ x

    r = st.minimize(fun, np.zeros(7), method=method)
    np.testing.assert_allclose(r.x, np.linalg.solve(k, b), atol=1e-3)


@pytest.mark.parametrize("bounds", [None, [(None, 0), (None, None), (None, None)]])
def test_rounding_to_float_is_found_beside_a_bound_and_a_symmetry(bounds):
    """Steps changed f for a variable that its bound holds alone; or f was the same over longer
    ones, too, in all variables by alike. The start was a success."""
    push = 0.0 if bounds is None else 50.0

    def fun(x):
        return float(np.float32(3 - push * x[0] + np.cosh(x[1] - 1) + np.cosh(x[2] + 1)))

    r = st.minimize(fun, np.zeros(3), bounds=bounds)
    assert r.success
    np.testing.assert_allclose(r.x[1:], [1, -1], atol=1e-3)


def test_a_variable_that_is_flat_at_a_trial_alone_is_not_rounded():
    """A trial on a bound has one variable at its minimum, where it does not change f. That it does
    at the best point, over longer steps, was taken for rounding to float inside the function."""
    d, c = np.array([1.8, 0.7, 0.3, 9.2]), np.array([1.61, -1.87, -1.07, -0.27])
    bounds = [(0.13, 0.63), (-2.27, -1.23), (-1.07, None), (-0.94, -0.11)]
    r = st.minimize(lambda x: float(d @ (x - c) ** 4), np.zeros(4), bounds=bounds)
    assert r.success and r.nfev < 110
