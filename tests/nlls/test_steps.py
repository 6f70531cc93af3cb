"""Which steps are taken: from starts near zero, through curved valleys, at the ends."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from problems import boxes, curves, mgh, nist


@pytest.mark.parametrize("size", [0, 1e-12, 1e-6, 1e-3, 1])
def test_a_start_close_to_zero_says_nothing_of_the_answer(size):
    t = np.linspace(0, 1, 20)
    A = np.stack([np.ones(20), t], axis=1)
    fit = st.least_squares(lambda x: A @ x - (3 + 2 * t), [size, size], lambda x: A)
    np.testing.assert_allclose(fit.x, [3, 2], rtol=1e-9)
    assert fit.nfev <= 4


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("method", ["lm", "levenberg"])
def test_no_success_at_a_start_close_to_zero(size, method):
    """The first step fails, short ones do as foretold and change next to nothing."""
    problem = curves.problem("saturation", "ones", seed=0)
    start = size * problem.start
    fit = st.least_squares(problem.residual, start, problem.jacobian, method=method)
    assert problem.solved(fit.x) or not fit.success, fit


def test_a_first_step_beyond_the_start_is_taken_only_where_it_was_foretold():
    asked, T = [], np.linspace(0, 3, 40)

    def saturation(x):  # a straight line in x0, flat in x1 far out
        asked.append(x.copy())
        return x[0] * (1 - np.exp(-x[1] * T)) - 200 * (1 - np.exp(-0.5 * T))

    def trials(**options):
        asked.clear()
        fit = st.least_squares(saturation, [1.0, 1.0], **options)
        np.testing.assert_allclose(fit.x, [200, 0.5], rtol=1e-6)
        return [np.abs(x - 1).max() for x in asked if np.abs(x - 1).max() > 1e-3]

    first, second = trials()[:2]
    assert first > 100 and second < 5
    # f is weighed by where it was
    assert trials(loss="soft_l1", f_scale=1e3)[0] < 5


@pytest.mark.parametrize("x0", [2.0, -0.3])
def test_a_first_step_that_was_only_too_far_is_made_as_long_as_x(x0):
    """x² + 5 has its minimum at 0: SciPy's own tests ask for x within 1e-10 of it."""
    for size in (x0, np.array([x0])):
        fit = st.least_squares(lambda x: x**2 + 5, size)
        assert fit.status == 1 and abs(fit.x[0]) < 1e-10


def test_after_a_first_point_without_a_jacobian_the_step_is_shorter():
    asked = []

    def slope(x):
        asked.append(x[0])
        return [[np.inf if x[0] > 9 else 1.0]]

    st.least_squares(lambda x: x - 10, [8.0], slope, damping=1e-12)
    assert asked[1] > 9.9 and 8 < asked[2] < 9


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (-9, 9)])
def test_max_nfev_holds_in_a_curved_valley(bounds):
    """Where residuals are asked for ahead of a step, two evaluations make one."""
    start, calls = [-1.2, 1.0], 0

    def valley(x):
        nonlocal calls
        calls += 1
        return np.array([100 * (x[1] - x[0] ** 2), 1 - x[0]])

    def slope(x):
        return np.array([[-200 * x[0], 100], [-1, 0]])

    whole = st.least_squares(valley, start, slope, bounds=bounds)
    assert whole.success and whole.nfev > 10
    for limit in range(1, whole.nfev + 1):
        calls = 0
        fit = st.least_squares(valley, start, slope, max_nfev=limit, bounds=bounds)
        assert fit.nfev == calls <= limit
        assert fit.success == (limit == whole.nfev) or fit.status == 1
    assert fit.status == whole.status and fit.nfev == whole.nfev


def test_linear_solvers_take_the_same_way_through_a_curved_valley():
    """Second-order corrections of the step among it."""
    ways = {}
    for solver in ("cholesky", "qr", "auto"):
        way = ways[solver] = []

        def valley(x, way=way):
            way.append(np.array(x))
            return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

        st.least_squares(
            valley, [-1.2, 1.0], lambda x: np.array([[-20 * x[0], 10], [-1, 0]]),
            linear_solver=solver,
        )  # fmt: skip
    for way in ways.values():
        np.testing.assert_allclose(way[:12], ways["cholesky"][:12], rtol=1e-6)


def test_gauss_newton_that_finds_no_lower_point_is_no_success():
    """A Jacobian of the wrong sign: steps of 1, 1/2, ... until x stays. They ended by xtol."""
    for xtol in (0.3, 1e-3):
        fit = st.least_squares(
            lambda x: x, [1.0], lambda x: [[-1.0]], method="gn", xtol=xtol, ftol=None, gtol=None
        )
        assert (fit.status, fit.success, fit.nit) == (-3, False, 0)
        assert "lowers the cost" in fit.message and fit.nfev == 2 + 52


def test_shares_of_gauss_newtons_step_meet_no_tolerance():
    """NIST's MGH09 from afar, where 2^-30 of a step lowers the cost: that ended by ftol."""
    problem = nist.load("MGH09")
    fit = st.least_squares(
        problem.residual, problem.starts[0], problem.jacobian, method="gn", ftol=1e-3
    )
    assert (fit.status, fit.nfev) == (0, 400)


TRIGONOMETRIC = next(p for p in mgh.PROBLEMS if p.number == 26)  # its residuals end at zero


@pytest.mark.parametrize("problem", [nist.load("DanWood"), nist.load("Kirby2"), TRIGONOMETRIC])
def test_gauss_newton_ends_with_success_where_rounding_decides(problem):
    """Whole steps that meet no tolerance are halved to nothing: no failure at the minimum."""
    start = problem.start if problem is TRIGONOMETRIC else problem.starts[1]
    fit = st.least_squares(
        problem.residual, start, problem.jacobian, method="gn", ftol=None, xtol=None, gtol=2.3e-16
    )
    low = 1e-25 if problem is TRIGONOMETRIC else 0.5 * problem.rss * (1 + 1e-9)
    assert fit.success and fit.cost <= low


@pytest.mark.parametrize("options", [dict(method="gn"), dict(damping=1e-9, max_nfev=2)], ids=str)
def test_a_step_is_taken_that_gains_little_for_its_length(options):
    """By gn, which halves only where the cost does not fall, and where no other step follows."""
    s = st.LeastSquares([1.0], **options)
    s.tell([10.0], [[-1.0]])
    assert s.x == pytest.approx(11)
    s.tell([9.0], [[-1.0]])
    assert s.nit == 1


def test_max_nfev_counts_rejected_steps():
    """A Jacobian of the wrong sign: every step is rejected."""
    for limit in range(1, 8):
        fit = st.least_squares(
            lambda x: np.exp(x), [0.0], lambda x: -np.exp(x)[:, None], max_nfev=limit
        )
        assert (fit.nfev, fit.nit, fit.status, fit.success) == (limit, 0, 0, False)


@pytest.mark.parametrize("seed", range(6))
def test_a_rough_jacobian_is_not_followed_by_looking_ahead(seed):
    """A daily sine over seconds since 1970, by differences: the period's column is wrong by 1e-3,
    residuals ahead of a step multiply that, and 11 of 20 such fits ended at max_nfev."""
    rng = np.random.default_rng(seed)
    t = 1.7e9 + np.arange(0, 864_000, 3600.0)
    y = 15 + 6 * np.sin(2 * np.pi * t / 86_400 + 1) + 0.5 * rng.standard_normal(t.size)

    def residual(x):
        return x[0] + x[1] * np.sin(2 * np.pi * t / x[2] + x[3]) - y

    fit = st.least_squares(residual, [10.0, 1.0, 86_390 + rng.uniform(-5, 25), 0.0])
    assert fit.success and 2 * fit.cost / t.size < 0.5**2 * 1.3


@pytest.mark.parametrize(
    ("linear_solver", "jacobians"), [("cholesky", 60), ("qr", 60), ("cg", 400)]
)
def test_curved_valleys_in_a_box_are_followed_by_looking_ahead(linear_solver, jacobians):
    fun, x0, jac, lower, upper = boxes.faster_decays()
    asked = []

    def residual(x):
        asked.append(x.copy())
        return fun(x)

    options = {"bounds": (lower, upper), "linear_solver": linear_solver}
    fit = st.least_squares(residual, x0, jac, **options)
    assert np.min(asked) >= 0
    assert fit.success and fit.cost < 1e-15
    assert fit.njev < jacobians  # 39, 39, 169; without looking ahead 80, 80, 731


@pytest.mark.parametrize("loss", ["huber", "soft_l1", "cauchy", "arctan"])
def test_gauss_newton_reweights_where_nothing_damps(loss):
    """By the cost's own curvature steps were too long: 83 to 300 evaluations of a linear model."""
    t = np.linspace(0, 3, 20)
    A, y = np.stack([np.ones(20), t, t * t], axis=1), 1 - 2 * t + 0.5 * t * t
    y[3] += 2
    fit, damped = (
        st.least_squares(
            lambda x: A @ x - y, np.zeros(3), lambda x: A, method=m, loss=loss, f_scale=0.1
        )
        for m in ("gn", "lm")
    )
    assert fit.success and fit.nfev <= 8
    np.testing.assert_allclose(fit.cost, damped.cost, rtol=1e-6)

    def blocks(x):
        yield from zip(np.split(A @ x - y, 2), np.split(A, 2), strict=True)

    told = st.least_squares(blocks, np.zeros(3), True, method="gn", loss=loss, f_scale=0.1)
    assert told.success and told.nfev <= 12
    np.testing.assert_allclose(told.cost, damped.cost, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_variables_that_rest_on_bounds_cut_no_step_of_the_others(seed):
    """A linear problem whose scale is wrong: were they called cut, it took up to 114 evaluations,
    as then every step is taken for a singular system's."""
    rng, scale = np.random.default_rng(seed), np.array([1e-4, 1, 1e4])
    A, b = rng.standard_normal((4, 3)) / scale, 3 * rng.standard_normal(4)
    fit = st.least_squares(
        lambda x: A @ x - b, 0.1 * scale, lambda x: A, method="levenberg", bounds=(-scale, scale)
    )
    assert fit.success and fit.nfev < 12


@pytest.mark.parametrize(
    ("loss", "slope"),
    [
        ("huber", lambda z: np.fmin(1, z**-0.5)),
        ("soft_l1", lambda z: (1 + z) ** -0.5),
        ("cauchy", lambda z: 1 / (1 + z)),
        ("arctan", lambda z: 1 / (1 + z**2)),
    ],
)
def test_gauss_newtons_steps_are_those_of_reweighted_least_squares(loss, slope):
    A, y = np.vander(np.linspace(0, 3, 20), 3), np.cos(np.linspace(0, 9, 20)) + 1.5
    points = []

    def callback(intermediate_result):
        points.append(intermediate_result.x.copy())

    st.least_squares(
        lambda x: A @ x - y, np.zeros(3), lambda x: A, method="gn", loss=loss, callback=callback
    )
    w = np.sqrt(slope(y * y))
    np.testing.assert_allclose(
        points[0], np.linalg.lstsq(w[:, None] * A, w * y, rcond=None)[0], rtol=1e-9
    )


@pytest.mark.parametrize("loss", ["huber", "soft_l1", "cauchy", "arctan"])
def test_gauss_newton_meets_gtol_under_a_robust_loss(loss):
    """Which is judged by exact weights, where its steps are not by those."""
    t = np.linspace(0, 4, 40)
    y = 2 * np.exp(-0.7 * t) + 0.05 * np.sin(9 * t)
    y[::7] += 1

    def jac(p):
        return np.stack([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t)], axis=1)

    options = dict(method="gn", loss=loss, f_scale=0.1, ftol=None, xtol=None)
    fit = st.least_squares(lambda p: p[0] * np.exp(-p[1] * t) - y, [1.5, 0.5], jac, **options)
    assert fit.status == 1 and fit.nfev <= 16


def test_a_jacobian_that_vanishes_with_the_residual_prolongs_no_fit():
    """Its present columns make any rounding small; x went on to its last digit, 54 evaluations."""
    fit = st.least_squares(lambda x: (x - 1) ** 2, [3.0], lambda x: np.diag(2 * (x - 1)))
    assert fit.success and fit.nfev <= 35


@pytest.mark.parametrize("seed", range(12))
def test_peaks_do_not_vanish_on_their_bounds(seed):
    """At a height of 0 nothing tells of place and width, and the peak does not come back."""
    rng, x = np.random.default_rng(seed), np.linspace(0, 12, 180)
    places = np.sort(np.linspace(3, 9, 3) + 0.5 * rng.standard_normal(3))
    true = np.concatenate([rng.uniform(5, 50, 3), places, rng.uniform(0.8, 1.6, 3)])

    def peaks_of(p):
        heights, places, widths = p[:9].reshape(3, 3, 1)
        return (heights * np.exp(-(((x - places) / widths) ** 2) / 2)).sum(axis=0)

    y = peaks_of(true) + 0.5 * rng.standard_normal(180)
    low, high = np.repeat([0, 0, 0.3], 3), np.repeat([200, 0, 5.0], 3)
    low[3:6], high[3:6] = places - 2, places + 2
    start = true * np.repeat([1, 1, 0], 3) + np.repeat([0, 0, 1.5], 3)
    start[:3] *= rng.uniform(0.3, 2, 3)
    start[3:6] += 0.4 * rng.standard_normal(3)
    start = np.clip(start, low + 1e-3, high - 1e-3)
    fit = st.least_squares(lambda p: peaks_of(p) - y, start, "cs", bounds=(low, high))
    best = st.least_squares(lambda p: peaks_of(p) - y, true, "cs", bounds=(low, high))
    assert fit.success and fit.cost <= 1.001 * best.cost


@pytest.mark.parametrize("method", ["lm", "levenberg"])
def test_exact_weights_stay_where_they_do_as_predicted(method):
    """A polynomial with outliers: full steps by weights that are not exact were a quarter of the
    way, and held back every other step, by exact weights; 26 evaluations."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 30)
    A = np.vstack([np.vander(t, 8), 1e-3 * np.eye(8)])
    b = np.append(np.sin(5 * t) + 10 * (rng.random(30) < 0.2), np.zeros(8))
    options = {"loss": "soft_l1", "f_scale": 0.1, "method": method}
    fit = st.least_squares(lambda x: A @ x - b, np.ones(8), lambda x: A, **options)
    assert fit.success and fit.nfev <= 13


@pytest.mark.parametrize("jac", ["2-point", "cs"])
@pytest.mark.parametrize("method", ["lm", "levenberg", "gn"])
@pytest.mark.parametrize("error", [None, ZeroDivisionError, ValueError])
@pytest.mark.parametrize("answer", ["inside", "on it"])
def test_a_bound_on_which_nothing_is_finite_is_tried_once(answer, error, method, jac):
    t, tried = np.linspace(0.1, 4, 30), []

    def fun(p):
        if p[1] == 0:
            tried.append(p)
            if error:
                raise error
            return np.full(30, np.nan)
        if answer == "inside":
            return p[0] * np.log(1 + t / p[1]) - 2 * np.log(1 + t / 0.05)
        return p[0] - 1 + (1 + p[1]) * t

    fit = st.least_squares(fun, [5, 5], jac, bounds=(0, 10), method=method)
    assert fit.success and fit.nfev < 45 and len(tried) == 1
    np.testing.assert_allclose(fit.x, [2, 0.05] if answer == "inside" else [0, 0], atol=1e-6)


@pytest.mark.parametrize("jac", ["2-point", "cs"])
@pytest.mark.parametrize("error, below", [(ValueError, 3), (TypeError, 0)])
def test_other_errors_are_the_users(error, below, jac):
    def fun(p):
        if p[0].real <= below:
            raise error("of the user's")
        return p + [1, 0]

    with pytest.raises(error, match="of the user's"):
        st.least_squares(fun, [5, 5], jac, bounds=(0, 10))


@pytest.mark.parametrize("loss", ["linear", lambda z: np.array([z, np.ones_like(z), 0 * z])])
def test_an_error_on_a_bound_that_rounding_leads_to(loss):
    """The bound is a rounding unit away, the step a little more than half of one."""
    start, bound = np.nextafter(1.5, 0), 1.5

    def fun(x):
        if x[0] == bound:
            raise ValueError("math domain error")
        return [-0.50001 * (bound - start)]

    fit = st.least_squares(
        fun, [start], lambda x: [[1.0]], method="gn", bounds=(0, bound), loss=loss
    )
    assert fit.status == -1 and fit.x == start


def test_a_short_first_step_that_damping_bends_is_tried_without():
    """An extended Antoine equation, from 3 % off: the full step is short, the one with the initial
    damping fails, and the fit ended at 1,309, as a success."""
    T, critical, start = np.linspace(208.15, 288.15, 10), 298.97, 203.15

    def pressure(p):
        x = np.maximum((T - start) / critical, 0)
        return 10 ** (p[0] - p[1] / (T + p[2]) + 0.43429 * x ** p[3] + p[4] * x**8 + p[5] * x**12)

    y = pressure(np.array([9.2214, 707.396, -23.31, 2.79148, 70.243, 2833.0]))
    near = [8.9, 650.0, -23.0, 2.5, 63.0, -2130.0]
    fit = st.least_squares(lambda p: pressure(p) - y, near, "cs")
    assert fit.success and fit.cost < 1e-12 and fit.nfev < 15
