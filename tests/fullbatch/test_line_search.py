"""`st.line_search`, and the searches under it, against their conditions."""

import array_api_strict as strict
import numpy as np
import pytest

import steepest as st
from steepest.fullbatch.wolfe import wolfe

EPS = 2.0**-53


def drive(search, phi):
    """How many trials a search takes, and where it ends."""
    step, trials = next(search), 0
    while True:
        trials += 1
        try:
            step = search.send(phi(step))
        except StopIteration as stop:
            return trials, stop.value


def mt1(a):  # Moré & Thuente (1994), eq. 5.1 with beta = 2
    return -a / (a**2 + 2), (a**2 - 2) / (a**2 + 2) ** 2


def mt2(a):  # eq. 5.2 with beta = 0.004
    return (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4, 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3


@pytest.mark.parametrize(
    ("phi", "c1", "c2", "step", "most"),
    [  # the counts of their tables I and II
        (mt1, 1e-3, 0.1, 1e-3, 6),
        (mt1, 1e-3, 0.1, 1e-1, 3),
        (mt1, 1e-3, 0.1, 1e1, 1),
        (mt1, 1e-3, 0.1, 1e3, 4),
        (mt2, 0.1, 0.1, 1e-3, 12),
        (mt2, 0.1, 0.1, 1e-1, 8),
        (mt2, 0.1, 0.1, 1e1, 8),
        (mt2, 0.1, 0.1, 1e3, 11),
    ],
)
def test_wolfe_needs_no_more_trials_than_the_paper(phi, c1, c2, step, most):
    f0, slope0 = phi(0.0)
    trials, end = drive(wolfe(f0, slope0, step, c1=c1, c2=c2, eps=EPS), phi)
    assert end.failure is None and trials <= most
    f, slope = phi(end.step)
    assert f <= f0 + c1 * end.step * slope0 and abs(slope) <= c2 * abs(slope0)


@pytest.mark.parametrize("step", [30.0, 1e3])
def test_wolfe_goes_back_where_a_lower_trial_has_not_fallen_enough(step):
    """e^-a - 1 falls for ever: what has fallen enough lies before 1/c1."""
    trials, end = drive(
        wolfe(0.0, -1.0, step, c1=0.1, c2=0.5, eps=EPS), lambda a: (np.expm1(-a), -np.exp(-a))
    )
    assert end.failure is None and trials < 20
    assert np.expm1(-end.step) <= -0.1 * end.step and np.exp(-end.step) <= 0.5


def quartic(x):
    return ((x - 1) ** 4).sum() + (x**2).sum()


def quartic_gradient(x):
    return 4 * (x - 1) ** 3 + 2 * x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [1e-6, 1e-2, 1.0, 50.0])
@pytest.mark.parametrize("rule", ["wolfe", "armijo", "exact"])
def test_the_conditions_hold_at_the_step(rule, step, dtype):
    x = np.array([3.0, -2.0, 0.5], dtype)
    d = -quartic_gradient(x)
    r = st.line_search(quartic, quartic_gradient, x, d, rule=rule, step=step, c2=0.2)
    assert r.success and r.step > 0 and r.message == "the conditions hold"
    slope0 = quartic_gradient(x) @ d
    end = x + dtype(r.step) * d
    assert r.fun == pytest.approx(quartic(end), rel=1e-6)
    assert r.fun <= quartic(x) + 1e-4 * r.step * slope0
    if rule == "wolfe":
        assert abs(quartic_gradient(end) @ d) <= 0.2 * abs(slope0) * (1 + 1e-5)
        np.testing.assert_allclose(r.jac, quartic_gradient(end), rtol=1e-5)
    if rule == "exact":
        assert abs(quartic_gradient(end) @ d) <= 2e-3 * abs(slope0)
        assert r.jac is None


def test_the_domain_ends_before_the_first_step():
    def fun(x):
        return float(-np.log(2 - x[0]) - 3 * x[0]) if x[0] < 2 else np.nan

    def jac(x):
        return 1 / (2 - x) - 3

    for rule in ("wolfe", "armijo", "exact"):
        r = st.line_search(fun, jac, np.zeros(1), np.ones(1), rule=rule, step=1e3)
        assert r.success and 0 < r.step < 2 and r.fun < fun(np.zeros(1))


def test_known_values_are_not_evaluated_again():
    calls = []

    def fun(x):
        calls.append(x)
        return float(x @ x)

    x = np.array([1.0, 2.0])
    r = st.line_search(fun, None, x, -x, rule="armijo", f0=5.0, g0=2 * x)
    assert r.nfev == len(calls) == 1 and r.njev == 0 and r.step == 1.0
    r = st.line_search(fun, None, x, -x, rule="exact", f0=5.0)
    assert r.success and r.step == pytest.approx(1.0, abs=1e-6)


def test_the_direction_is_checked_where_its_slope_is_known():
    with pytest.raises(ValueError, match="the slope along it is 2; allowed is a direction of desc"):
        st.line_search(f, None, X[:1], X[:1], rule="exact", g0=2 * X[:1])


def test_a_corner_without_such_a_step_ends_at_the_lowest_trial():
    """|x - 1| has no step of a small slope; the gradient handed back is that of the answer."""

    def sides(x):
        asked.append(float(x[0]))
        assert abs(x[0]) < 50  # no gradient is asked for where there is no value
        return np.where(x < 1, -1, 1)

    for dtype, step in ((np.float32, 0.9), (np.float64, 3.0), (np.float64, 100.0)):
        asked: list[float] = []
        r = st.line_search(
            lambda x: abs(float(x[0]) - 1) if x[0] < 50 else np.inf,
            sides,
            np.zeros(1, dtype),
            np.ones(1, dtype),
            step=step,
        )
        assert not r.success and r.message == "no step met the Wolfe conditions"
        at = float(dtype(r.step))
        assert r.njev == len(asked) and at in asked
        assert r.fun == abs(at - 1) < 1e-6 and r.jac == (-1 if at < 1 else 1)
        if dtype is np.float32:  # the interval is down to rounding
            assert r.nfev < 35


def test_steps_that_promise_less_than_rounding_end_a_search():
    """Whatever f does there: this one has noise far above its rounding."""
    values = iter([1.0] + 50 * [1 + 1e-12, 1 + 3e-12, 1 + 2e-12])
    r = st.line_search(lambda x: next(values), lambda x: -1e-9 + 0 * x, [0.0], [1e-9])
    assert not r.success and r.step == 0 and r.nfev <= 5


@pytest.mark.parametrize("step", [0.01, 1.0, 30.0])
def test_parabolas_find_a_smooth_minimum_in_a_third_of_the_golden_sections(step):
    for phi in (lambda a: (a - 0.7) ** 2, lambda a: -1 / (1 + (a - 2.5) ** 2)):  # without libm
        r = st.line_search(lambda x, phi=phi: phi(x[0]), None, [0.0], [1.0], rule="exact",
                           step=step)  # fmt: skip
        assert r.success and r.nfev < 30  # 41 to 48 by golden sections alone


def test_no_slope_is_no_matter_where_nothing_is_lower():
    r = st.line_search(f, None, 0 * X, X, rule="exact")
    assert not r.success and r.step == 0 and r.message == "no step lowers the objective"


def test_a_wrong_gradient_is_named():
    x = np.array([1.0, 2.0])
    for rule in ("wolfe", "armijo"):
        r = st.line_search(lambda x: float(x @ x), lambda x: -2 * x, x, 2 * x, rule=rule)
        assert not r.success and r.step == 0 and r.fun == 5.0
        assert "check the gradient" in r.message


def test_a_function_without_a_minimum_is_named():
    for rule in ("wolfe", "exact"):
        r = st.line_search(
            lambda x: -float(x[0]), lambda x: -np.ones(1), np.zeros(1), np.ones(1), rule=rule
        )
        assert not r.success and r.step > 1e9
        assert r.message == "the objective falls without bound along the direction"


def test_other_namespaces_and_functions_that_write_to_x():
    x = strict.asarray([1.0, 2.0])

    def fun(x):
        f = float(strict.sum(x * x))
        x[...] = 0.0
        return f

    r = st.line_search(fun, lambda x: 2 * x, x, -2 * x)
    assert r.success and r.step == pytest.approx(0.5, rel=1e-3)
    np.testing.assert_array_equal(np.from_dlpack(x), [1.0, 2.0])


X, D = np.ones(2), -np.ones(2)


def f(x):
    return float(x @ x)


def g(x):
    return 2 * x


def test_c2_is_no_matter_of_armijo():
    r = st.line_search(f, g, X, D, rule="armijo", c1=0.95, c2=0.9)
    assert r.success and r.fun <= f(X) + 0.95 * r.step * (g(X) @ D)


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((None, g, X, D), {}, TypeError, "fun: None is a NoneType; allowed is a callable"),
        ((f, 3, X, D), {}, TypeError, "jac: 3 is a int; allowed is a callable, None"),
        ((f, g, X * 1j, D), {}, TypeError, "x: dtype complex128; allowed is float32, float64"),
        ((f, g, X, np.ones(3)), {}, ValueError, r"direction: shape \(3,\); allowed is \(2,\)"),
        ((f, g, X, D), {"rule": "goldstein"}, ValueError, "rule: 'goldstein' is not allowed"),
        ((f, g, X, D), {"step": 0.0}, ValueError, "step: 0.0 is not allowed; allowed is a number"),
        ((f, g, X, D), {"c1": 0.5, "c2": 0.1}, ValueError, "c2: 0.1 is not allowed; .* above 0.5"),
        (
            (f, None, X, D * np.nan),
            {"rule": "exact"},
            ValueError,
            "direction: an element is not fi",
        ),
        ((f, g, X, -D), {}, ValueError, "direction: the slope along it is 4; allowed is"),
        ((f, None, X, D), {}, ValueError, "jac, g0: rule 'wolfe' needs the gradient at x"),
        ((f, None, X, D), {"g0": X}, ValueError, "jac: rule 'wolfe' needs slopes"),
        ((f, g, X, D), {"f0": np.inf}, ValueError, "f0: the objective is inf at x"),
        ((lambda x: x, g, X, D), {}, ValueError, r"fun\(x\): shape \(2,\); allowed is a scalar"),
        ((lambda x: 1j, g, X, D), {}, TypeError, r"fun\(x\): 1j is complex; allowed is a real"),
        ((f, lambda x: x[:1], X, D), {}, ValueError, r"jac\(x\): shape \(1,\); allowed is \(2,\)"),
    ],
)
def test_what_is_refused(args, options, error, message):
    with pytest.raises(error, match=message):
        st.line_search(*args, **options)
