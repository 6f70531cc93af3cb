"""`st.line_search`, and the searches under it, against their conditions."""

import math

import array_api_strict as strict
import numpy as np
import pytest

import steepest as st
from steepest.fullbatch.search import ROUNDING, Trial
from steepest.fullbatch.searches.armijo import armijo
from steepest.fullbatch.searches.wolfe import cubic_minimizer, next_step, wolfe

U = 2.0**-53  # the unit roundoff


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


def mt3(a):  # eq. 5.3 and 5.4 with beta = 0.01, l = 39
    beta, wave = 0.01, 39 * np.pi / 2
    if abs(a - 1) >= beta:
        kink = abs(a - 1), np.sign(a - 1)
    else:
        kink = (a - 1) ** 2 / (2 * beta) + beta / 2, (a - 1) / beta
    return (
        kink[0] + (1 - beta) / wave * np.sin(wave * a),
        kink[1] + (1 - beta) * np.cos(wave * a),
    )


def yanai(b1, b2):  # eq. 5.5, of Yanai, Ozawa and Kaneko
    g1, g2 = (np.sqrt(1 + b * b) - b for b in (b1, b2))

    def phi(a):
        r1, r2 = np.hypot(1 - a, b2), np.hypot(a, b1)
        return g1 * r1 + g2 * r2, g2 * a / r2 - g1 * (1 - a) / r1

    return phi


mt4, mt5, mt6 = yanai(0.001, 0.001), yanai(0.01, 0.001), yanai(0.001, 0.01)


@pytest.mark.parametrize(
    ("phi", "c1", "c2", "step", "most"),
    [  # the counts of their tables I to VI
        (mt1, 1e-3, 0.1, 1e-3, 6),
        (mt1, 1e-3, 0.1, 1e-1, 3),
        (mt1, 1e-3, 0.1, 1e1, 1),
        (mt1, 1e-3, 0.1, 1e3, 4),
        (mt2, 0.1, 0.1, 1e-3, 12),
        (mt2, 0.1, 0.1, 1e-1, 8),
        (mt2, 0.1, 0.1, 1e1, 8),
        (mt2, 0.1, 0.1, 1e3, 11),
        (mt3, 0.1, 0.1, 1e-3, 12),
        (mt3, 0.1, 0.1, 1e-1, 12),
        (mt3, 0.1, 0.1, 1e1, 10),
        (mt3, 0.1, 0.1, 1e3, 13),
        (mt4, 1e-3, 1e-3, 1e-3, 4),
        (mt4, 1e-3, 1e-3, 1e-1, 1),
        (mt4, 1e-3, 1e-3, 1e1, 3),
        (mt4, 1e-3, 1e-3, 1e3, 4),
        (mt5, 1e-3, 1e-3, 1e-3, 6),
        (mt5, 1e-3, 1e-3, 1e-1, 3),
        (mt5, 1e-3, 1e-3, 1e1, 7),
        (mt5, 1e-3, 1e-3, 1e3, 8),
        (mt6, 1e-3, 1e-3, 1e-3, 13),
        (mt6, 1e-3, 1e-3, 1e-1, 11),
        (mt6, 1e-3, 1e-3, 1e1, 8),
        (mt6, 1e-3, 1e-3, 1e3, 11),
    ],
)
def test_wolfe_needs_no_more_trials_than_the_paper(phi, c1, c2, step, most):
    f0, slope0 = phi(0.0)
    trials, end = drive(wolfe(f0, slope0, step, c1=c1, c2=c2, roundoff=U), phi)
    assert end.failure is None and trials <= most
    f, slope = phi(end.step)
    assert f <= f0 + c1 * end.step * slope0 and abs(slope) <= c2 * abs(slope0)


@pytest.mark.parametrize("step", [30.0, 1e3])
def test_wolfe_goes_back_where_a_lower_trial_has_not_fallen_enough(step):
    """e^-a - 1 falls for ever: what has fallen enough lies before 1/c1."""
    trials, end = drive(
        wolfe(0.0, -1.0, step, c1=0.1, c2=0.5, roundoff=U), lambda a: (np.expm1(-a), -np.exp(-a))
    )
    assert end.failure is None and trials < 20
    assert np.expm1(-end.step) <= -0.1 * end.step and np.exp(-end.step) <= 0.5


def trials_of(phi, step, **limits):
    """The steps that are tried."""
    tried = []

    def recorded(a):
        tried.append(a)
        return phi(a)

    f0, slope0 = phi(0.0)
    drive(wolfe(f0, slope0, step, roundoff=U, **limits), recorded)
    return tried


@pytest.mark.parametrize("exponent", [-600, 600])
@pytest.mark.parametrize("phi", [mt1, mt2, mt4])
def test_wolfe_tries_the_same_steps_in_any_unit_of_f(phi, exponent):
    """A power of two, so to the last bit; products of slopes leave the range."""
    unit = 2.0**exponent
    for step in (1e-3, 1e3):
        want = trials_of(phi, step, c1=1e-3, c2=1e-3)
        got = trials_of(lambda a: tuple(unit * float(v) for v in phi(a)), step, c1=1e-3, c2=1e-3)
        assert got == want and len(want) > 1


def test_wolfe_goes_on_by_at_least_a_tenth_more_than_an_interval():
    """Though the secant of the slopes, exact here, asks for less: past the minimum it is safe."""
    first, second, third = trials_of(lambda a: ((a - 1.01) ** 2, 2 * (a - 1.01)), 1.0, c1=1e-4,
                                     c2=1e-3)  # fmt: skip
    assert (first, second) == (1.0, pytest.approx(2.1)) and third == pytest.approx(1.01)


def test_a_step_inside_a_bracket_stays_away_from_its_far_end():
    """By a third of the interval, also where cubic and secant have no minimizer at all."""
    low, new, far = Trial(1.0, 1.0, 1.0), Trial(0.5, 0.5, 1.0), Trial(0.0, 0.7, -1.0)
    assert next_step(low, far, new, True) == (pytest.approx(0.5 - 0.66 * 0.5), True)


def test_a_cubic_without_slopes_has_no_minimizer():
    assert math.isnan(cubic_minimizer(Trial(0.0, 1.0, 0.0), Trial(1.0, 1.0, 0.0)))


def test_wolfe_judges_a_trial_that_is_not_low_enough_by_what_is_asked_for():
    """By ψ = φ - c₁ α φ'(0), here α² - 1.4 α."""
    first, second, *_ = trials_of(lambda a: (a * a - 2 * a, 2 * a - 2), 1.9, c1=0.3, c2=0.5)
    assert first == 1.9 and second == pytest.approx(0.7)


@pytest.mark.parametrize("step", [1e-3, 10.0, 1e3])
def test_wolfe_goes_back_from_the_end_of_the_domain_by_the_part_beyond_the_best_step(step):
    def phi(a):
        return (-np.log(2 - a) - 3 * a, 1 / (2 - a) - 3) if a < 2 else (np.inf, np.nan)

    trials, end = drive(wolfe(*phi(0.0), step, c1=1e-3, c2=0.1, roundoff=U), phi)
    assert end.failure is None and trials < 12


def test_a_rise_that_rounding_hides_is_no_fall_where_the_slope_is_steep():
    """Along a projected path, whose slope may be above that of the start."""
    answers = iter([(1 + 2.0**-52, 0.9999), (1 - 1e-3, 0.1)])
    search = wolfe(1.0, -1.0, 1.0, c1=1e-4, c2=0.9, roundoff=U, weak=True)
    trials, end = drive(search, lambda a: next(answers))
    assert trials == 2 and end.failure is None


def test_slopes_decide_alone_where_rounding_hides_the_fall_that_is_due():
    """A sum of terms that cancel rounds by more than its value tells; a real rise is none of it."""
    search = wolfe(1.0, -1e-16, 1.0, c1=1e-4, c2=0.9, roundoff=U)
    assert drive(search, lambda a: (1 + 1e-14, 1e-18)) == (1, (1.0, None))
    search = wolfe(1.0, -1e-16, 1.0, c1=1e-4, c2=0.9, roundoff=U)
    assert drive(search, lambda a: (1 + 1e-12, 1e-18))[0] > 1


def test_a_search_without_a_lower_trial_ends_at_the_start():
    answers = iter([(1.0, -1.0)] + 99 * [(1.5, 1.0)])  # the first is the best, and no lower
    search = wolfe(1.0, -1.0, 1e-13, c1=1e-4, c2=0.9, roundoff=U)
    trials, end = drive(search, lambda a: next(answers))
    assert trials > 9 and end == (0.0, "no step met the Wolfe conditions")


@pytest.mark.parametrize(("phi", "trials"), [(mt1, 3), (lambda a: (-a, -1.0), 35)])
@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_of_steps_is_no_matter(unit, phi, trials):
    def scaled(a):
        return phi(a / unit)[0], phi(a / unit)[1] / unit

    n, end = drive(wolfe(*scaled(0.0), unit, c1=1e-4, c2=0.1, roundoff=U), scaled)
    assert n == trials and (end.failure is None) == (phi is mt1)


@pytest.mark.parametrize("unit", [1.0, 7.0, 1e160, 1e-170])
@pytest.mark.parametrize(
    ("c3", "c2", "due"), [(0, 2, [0.25]), (200, 0, [0.1, 600**-0.5]), (150, 20, [0.1, 0.0203439])]
)
def test_armijo_goes_back_to_the_minimizer_of_a_parabola_and_then_of_a_cubic(c3, c2, due, unit):
    """As far as this lies within 0.1 and 0.5 of the last step; squares of steps may overflow."""
    tried = []

    def phi(a):
        tried.append(a / unit)
        return 5 + 3 * (((c3 * tried[-1] + c2) * tried[-1] - 1) * tried[-1]), math.nan

    drive(armijo(5.0, -3 / unit, unit, c1=1e-4, roundoff=U), phi)
    np.testing.assert_allclose(tried, [1, *due], rtol=1e-6)


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_armijo_leaves_a_plateau(method):
    """Where nothing is learned, each step was as short as the gradient: 71 evaluations, now 15."""
    r = st.minimize(lambda x: -np.exp(-(x @ x) / 2), np.array([3.0, 2.0]), method=method,
                    jac=lambda x: x * np.exp(-(x @ x) / 2), line_search="armijo")  # fmt: skip
    assert r.success and r.nfev < 20 and r.fun < -1 + 1e-9


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


def test_no_number_is_left_before_the_end_of_the_domain():
    """f falls up to the edge, and bisection comes to it: a ZeroDivisionError."""

    def fun(x):
        return float(x[0]) if x[0] >= 1 else np.inf

    one = np.ones(1)
    r = st.line_search(fun, lambda x: one, 2 * one, -one)
    assert r.step == 1 and r.fun == 1
    res = st.minimize(fun, [2.0], jac=lambda x: one)
    assert res.x == 1 and res.status == 2


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


@pytest.mark.parametrize(
    ("phi", "most"),
    [
        (lambda a: np.cosh(a - 0.7), 110),
        (lambda a: (a - 1.3) ** 4, 140),
        (lambda a: abs(a - 0.6), 170),
    ],
)
def test_exact_searches_take_few_trials(phi, most):
    """A parabola that helps no more, or an interval that stays wide, made it twice as many."""
    nfev = 0
    for step in (1e-3, 0.1, 0.3, 1.7, 20.0):
        asked = []

        def fun(x, asked=asked):
            asked.append(x[0])
            return phi(x[0])

        r = st.line_search(fun, None, np.zeros(1), np.ones(1), rule="exact", step=step)
        assert r.success and (phi(step) < phi(0) or max(asked) == step)  # the end of the bracket
        nfev += r.nfev
    assert nfev <= most


def test_the_direction_is_checked_where_its_slope_is_known():
    with pytest.raises(ValueError, match="the slope along it is 2; expected a direction of desc"):
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
    r = st.line_search(lambda x: 1.0, lambda x: 1e-20 + 0 * x, [0.0], [-1.0])
    assert r.step == 0 and "the precision of f is reached, or step is too small" in r.message


def test_trials_that_rounding_hides_end_a_search_at_the_lowest():
    """Three in a row do."""
    falls = iter([0.0, 2.0**-53, 2.0**-53])
    trials, end = drive(
        wolfe(1.0, -1.0, 1e-14, c1=1e-4, c2=0.9, roundoff=U), lambda a: (1 - next(falls), -1.0)
    )
    assert trials == 3 and 1e-14 < end.step < 1e-12 and end.failure == ROUNDING
    rises = iter(20 * [0.0, 0.5])
    trials, _ = drive(
        wolfe(1.0, -1.0, 1.0, c1=1e-4, c2=0.9, roundoff=U), lambda a: (1 + next(rises), 1.0)
    )
    assert trials > 9


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
    r = st.line_search(lambda x: abs(float(x[0])), lambda x: -np.ones(1), [0.0], [1.0],
                       rule="armijo")  # fmt: skip
    assert r.step == 0 and "check the gradient" in r.message  # no rounding ends it where f is 0


def test_a_function_without_a_minimum_is_named():
    for rule in ("wolfe", "exact"):
        r = st.line_search(
            lambda x: -float(x[0]), lambda x: -np.ones(1), np.zeros(1), np.ones(1), rule=rule
        )
        assert not r.success and (r.step == 1e20 if rule == "wolfe" else r.step > 1e9)
        assert r.message == "the objective falls without bound along the direction"
        assert r.nfev < 110


def test_other_namespaces_and_functions_that_write_to_x():
    x = strict.asarray([1.0, 2.0])

    def fun(x):
        f = float(strict.sum(x * x))
        x[...] = 0.0
        return f

    r = st.line_search(fun, lambda x: 2 * x, x, -2 * x)
    assert r.success and r.step == pytest.approx(0.5, rel=1e-3)
    np.testing.assert_array_equal(np.from_dlpack(x), [1.0, 2.0])


def test_gradients_may_come_in_one_buffer():
    buffer = np.empty(3)

    def jac(x):
        buffer[:] = quartic_gradient(x)
        return buffer

    x = np.array([3.0, -2.0, 0.5])
    r = st.line_search(quartic, jac, x, -quartic_gradient(x), step=1e-6, c2=0.2)
    buffer[:] = np.nan
    np.testing.assert_allclose(r.jac, quartic_gradient(x - r.step * quartic_gradient(x)))


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
        ((None, g, X, D), {}, TypeError, "fun: got None; expected a callable"),
        ((f, 3, X, D), {}, TypeError, "jac: 3 is an int; expected a callable or None"),
        ((f, g, X * 1j, D), {}, TypeError, "x: dtype complex128; expected real numbers"),
        ((f, g, X, np.ones(3)), {}, ValueError, r"direction: shape \(3,\); expected \(2,\)"),
        ((f, g, X, D), {"rule": "goldstein"}, ValueError, "rule: 'goldstein' is not allowed"),
        (
            (f, g, X, D),
            {"step": 0.0},
            ValueError,
            "step: 0.0 is not allowed; expected a finite number",
        ),
        ((f, g, X, D), {"c1": 0.9}, ValueError, "c1, c2: 0.9, 0.9; expected c1 < c2"),
        ((f, g, X, D), {"c2": 1.0}, ValueError, "c2: 1.0 is not allowed; .* below 1"),
        ((f, g, X, D), {"c1": 0.0}, ValueError, "c1: 0.0 is not allowed; .* above 0"),
        ((f, g, X, D), {"c1": 1.0, "rule": "armijo"}, ValueError, "c1: 1.0 is not allowed"),
        ((f, g, X, D), {"f0": "2"}, TypeError, "f0: '2' is a str; expected a real number"),
        ((f, g, X, D), {"g0": np.ones(3)}, ValueError, r"g0: shape \(3,\); expected \(2,\)"),
        (
            (f, None, X, [-1.0, np.nan]),
            {"rule": "exact"},
            ValueError,
            "direction: an element is not fi",
        ),
        ((f, g, X, -D), {}, ValueError, "direction: the slope along it is 4; expected"),
        ((f, g, X, 0 * D), {}, ValueError, "direction: the slope along it is 0; expected"),
        ((f, g, X, D), {"g0": [np.inf, 1.0]}, ValueError, "direction: the slope along it is -inf"),
        ((f, g, X, -D), {"rule": "exact"}, ValueError, "direction: the slope along it is 4; exp"),
        ((f, None, X, D), {}, ValueError, "jac, g0: rule 'wolfe' needs the gradient at x"),
        ((f, None, X, D), {"g0": X}, ValueError, "jac: rule 'wolfe' needs slopes"),
        ((f, g, X, D), {"f0": np.inf}, ValueError, "f0: the objective is inf at x"),
        ((lambda x: x, g, X, D), {}, ValueError, r"fun\(x\): shape \(2,\); expected a scalar"),
        ((lambda x: 1j, g, X, D), {}, TypeError, r"fun\(x\): 1j is complex; expected a real"),
        ((f, lambda x: x[:1], X, D), {}, ValueError, r"jac\(x\): shape \(1,\); expected \(2,\)"),
    ],
)
def test_what_is_refused(args, options, error, message):
    with pytest.raises(error, match=message):
        st.line_search(*args, **options)


@pytest.mark.parametrize("rule", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("of", ["fun", "jac"])
def test_stop_iteration_of_a_function_comes_through(rule, of):
    error = StopIteration("no more data")

    def until_the_first_trial(x):
        if (x == X).all():
            return f(x) if of == "fun" else g(x)
        raise error

    functions = (until_the_first_trial, g) if of == "fun" else (f, until_the_first_trial)
    if of == "jac" and rule != "wolfe":  # which take its gradient at the start alone
        assert st.line_search(*functions, X, D, rule=rule).success
        return
    with pytest.raises(StopIteration) as caught:
        st.line_search(*functions, X, D, rule=rule)
    assert caught.value is error
