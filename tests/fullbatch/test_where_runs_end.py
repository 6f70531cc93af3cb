"""Limits that fall inside a line search, and the conditions under which a point is taken."""

import numpy as np
import pytest
from fullbatch_methods import ALL, START, extra
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as st


@pytest.mark.parametrize("search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("method", ALL)
def test_wherever_a_run_is_cut_off_the_lowest_point_is_the_answer(method, search):
    for limit in range(1, 25):
        seen = []

        def fun(x, seen=seen):
            seen.append(rosen(x))
            return seen[-1]

        r = st.minimize(
            fun,
            START,
            jac=rosen_der,
            method=method,
            line_search=search,
            max_nfev=limit,
            **extra(method, rosen_hess),
        )
        assert len(seen) == r.nfev <= limit
        assert r.fun == min(seen) == rosen(r.x)
        np.testing.assert_array_equal(r.jac, rosen_der(r.x))


@pytest.mark.parametrize(
    ("f", "slope", "taken"),
    [
        (0.9, -0.2, True),
        (1 - 1e-6, -0.2, False),  # f fell by less than c1 of what the slope promised
        (0.9, -0.95, False),  # the slope is still more than c2 of what it was
        (0.9, 0.95, True),  # past a kink there may be no other
        (np.nan, -0.2, False),
        (0.9, np.nan, False),
    ],
)
@pytest.mark.parametrize("run", [st.LBFGS, st.BFGS, st.GradientDescent])
def test_a_point_is_taken_by_the_weak_wolfe_conditions(run, f, slope, taken):
    s = run(np.zeros(2))
    s.tell(1.0, np.array([1.0, 0.0]))
    np.testing.assert_array_equal(s.x, [-1, 0])  # φ(0) = 1, φ'(0) = -1
    s.tell(f, np.array([-slope, 0.0]))
    assert (s.nit, s.f) == ((1, f) if taken else (0, 1.0))


@pytest.mark.parametrize("run", [st.LBFGS, st.BFGS, st.GradientDescent])
def test_a_gradient_of_gtol_ends_a_run_and_one_above_does_not(run):
    for largest, done in ((1e-3, True), (1.01e-3, False)):
        s = run(np.zeros(9), gtol=1e-3)
        s.tell(1.0, np.ones(9))
        s.tell(0.5, np.full(9, largest))  # |g| = 3 gtol
        assert (s.done, s.success, s.nit) == (done, done, 1)


def test_no_trial_goes_where_another_has_found_no_value():
    trials = []

    def fun(x):
        trials.append(float(x[0]))
        return 0.1 * x[0] ** 2 - x[0] if x[0] < 3.9 else np.inf

    r = st.line_search(fun, lambda x: 0.2 * x - 1, [0.0], [1.0], step=4.0, c2=0.25)
    assert r.success and 3.75 <= r.step < 3.9
    outside = [x for x in trials if x >= 3.9]
    assert outside == sorted(outside, reverse=True) and len(set(outside)) == len(outside)


def test_where_rounding_hides_a_fall_the_slopes_decide():
    """Hager and Zhang's approximate condition; f rises here by four units in its last place."""
    r = st.line_search(
        lambda x: 1 + 8e-16 * x[0], lambda x: 1e-16 * (x - 1), [0.0], [1.0], rule="wolfe"
    )
    assert r.success and (r.step, r.nfev) == (1, 2)


def test_the_accuracy_of_brents_minimizer_is_that_of_f():
    r = st.line_search(lambda x: (x[0] - 0.7) ** 4 + 1, None, [0.0], [1.0], rule="exact")
    assert r.success and abs(r.step - 0.7) < 1e-3
    r = st.line_search(lambda x: -np.exp(-((x[0] - 2.5) ** 2)), None, [0.0], [1.0], rule="exact")
    assert abs(r.step - 2.5) < 1e-7


def test_a_rise_within_ftol_is_called_one():
    fit = st.minimize(
        lambda x: (0.5 * x @ ([1, 10] * x), [1, 10] * x), [1.0, 1.0], jac=True, method="gd",
        lr=0.21, ftol=0.5,
    )  # fmt: skip
    assert fit.success and fit.message.startswith("f rose by 0.862, which is at most ftol max(|f|")


@pytest.mark.parametrize("run", [st.LBFGS, st.BFGS, st.GradientDescent])
def test_ftol_is_relative_to_f_above_one(run):
    for f0, f, done in ((1e3, 999.5, True), (1e3, 998.5, False), (0.1, 0.0995, True)):
        s = run(np.zeros(2), ftol=1e-3)
        s.tell(f0, np.array([0.5, 0.0]))
        s.tell(f, np.array([0.1, 0.0]))
        assert (s.nit, s.done, s.success) == (1, done, done)


def test_a_run_told_from_outside_counts_what_it_is_told():
    for limit in (1, 2, 3):
        s = st.LBFGS(START, max_nfev=limit)
        for told in range(1, limit + 1):
            assert not s.done
            s.tell(rosen(s.x), rosen_der(s.x))
            assert s.nfev == told
        assert s.done and s.status == 1
        np.testing.assert_array_equal(s.x, s.best_x)


@pytest.mark.parametrize("run", [st.LBFGS, st.BFGS, st.Newton, st.GradientDescent])
def test_every_method_takes_the_shared_options(run):
    options = {"line_search": "exact", "gtol": 0.1, "ftol": 0.2, "maxiter": 3, "max_nfev": 4}
    s = run(START, **options)
    assert {name: getattr(s, name) for name in options} == options


@pytest.mark.parametrize("run", [st.LBFGS, st.BFGS])
def test_a_step_without_curvature_is_not_learned(run):
    s = run(np.zeros(2), line_search="armijo")
    s.tell(1.0, np.array([0.3, 0.0]))
    s.tell(0.5, np.array([2.0, 2.0]))  # steeper along the step than before
    np.testing.assert_allclose(s.x, [-0.3 - 0.5**0.5, -(0.5**0.5)])  # steepest descent again


@pytest.mark.parametrize("run", [st.LBFGS, st.BFGS, st.GradientDescent])
@pytest.mark.parametrize(
    ("g", "first"),
    [(0.1, 0.1), (10.0, 1.0), (1e-8, 1.0)],  # the last: rounding would hide what f falls by
)
def test_the_first_step_is_the_gradient_of_length_one_at_most(run, g, first):
    s = run(np.zeros(2), gtol=0)
    s.tell(1.0, np.array([g, 0.0]))
    np.testing.assert_allclose(s.x, [-first, 0], rtol=1e-12)


@pytest.mark.parametrize(("search", "times"), [("wolfe", 100 / 64), ("exact", 1), ("armijo", 2)])
def test_gradient_descent_searches_from_its_last_step(search, times):
    s = st.GradientDescent(np.zeros(2), line_search=search, max_nfev=100)
    s.tell(100.0, np.array([10.0, 0.0]))
    while s.nit == 0:
        at = s.x
        s.tell(*((91.0, np.array([8.0, 0.0])) if at[0] == -1 else (99.0, np.array([8.0, 0.0]))))
    np.testing.assert_allclose(s.best_x, [-1, 0])
    np.testing.assert_allclose(s.x, [-1 - times * 0.1 * float(s.g[0]), 0], rtol=1e-12)


def test_gradient_descent_is_not_held_to_a_first_step_that_was_short():
    """It took 59 evaluations: a Wolfe search takes the last step again wherever that is enough."""
    r = st.minimize(lambda x: (x @ x / 2, x), [3.0, 4.0], jac=True, method="gd")
    assert r.success and r.nfev < 10


def test_gradient_descent_tries_no_step_a_hundred_times_longer_than_the_last():
    s = st.GradientDescent(np.zeros(2))
    s.tell(100.0, np.array([10.0, 0.0]))
    s.tell(91.0, np.array([-1e-3, 0.0]))
    np.testing.assert_allclose(s.best_x, [-1, 0])
    np.testing.assert_allclose(s.x, [-1 + 100 * 0.1 * 1e-3, 0], rtol=1e-12)


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "gd"])
def test_no_value_but_at_the_start_is_named(method):
    r = st.minimize(lambda x: 1.0 if x[0] == 2 else np.inf, [2.0, 2.0], jac=np.ones_like,
                    method=method, line_search="armijo")  # fmt: skip
    assert (r.success, r.status, r.fun) == (False, 2, 1.0)
    assert "no trial point along the direction has a finite value" in r.message


def test_a_gradient_that_is_nan_where_a_bound_holds_rejects_the_trial():
    s = st.LBFGS(np.array([0.5, 0.5]), bounds=[(0.25, 1), (-9, 9)])
    s.tell(1.0, np.array([0.8, 0.6]))
    np.testing.assert_allclose(s.x, [0.25, -0.1])
    s.tell(0.1, np.array([np.nan, 0.0]))
    assert (s.nit, s.f) == (0, 1.0)


def test_a_corner_of_the_projected_path_is_passed():
    """The slope jumps there, from -1.9 to 2: no step meets the strong condition."""
    H = np.array([[-5.4, 2.5], [2.5, 0.5]])
    s = st.LBFGS(np.zeros(2), bounds=[(-1, 1), (-9, 9)])
    while s.nit == 0:
        x = s.x
        s.tell(0.5 * x @ H @ x - x.sum(), H @ x - 1)
    assert s.nfev < 15 and s.best_x[0] == 1


def test_slopes_are_those_of_the_projected_path():
    """The variable on its bound moves no more, so a gradient along it does not reject a trial."""
    s = st.LBFGS(np.array([0.5, 0.5]), bounds=[(0.25, 1), (-9, 9)])
    s.tell(1.0, np.array([0.8, 0.6]))
    s.tell(0.1, np.array([50.0, 0.0]))
    assert (s.nit, s.f) == (1, 0.1)


def test_a_low_point_without_a_gradient_is_not_the_answer():
    s = st.LBFGS(np.zeros(2), max_nfev=2)
    s.tell(1.0, np.array([1.0, 0.0]))
    s.tell(0.5, np.array([np.nan, 0.0]))
    assert s.done and s.f == 1.0 and np.isfinite(s.g).all()
    np.testing.assert_array_equal(s.best_x, 0)


@pytest.mark.parametrize("method", ["gd", "bfgs", "l-bfgs"])
def test_a_lowest_trial_without_a_gradient_is_passed_by(method):
    """The search by values alone learns of it at its end."""

    def g(x):
        return 2 * (x - [3, 1]) if x[0] <= 1 else np.full(2, np.nan)

    def f(x):
        return float((x[0] - 3) ** 2 + (x[1] - 1) ** 2)

    apart = st.minimize(f, [-4.0, 0], jac=g, method=method, line_search="exact")
    together = st.minimize(
        lambda x: (f(x), g(x)), [-4.0, 0], jac=True, method=method, line_search="exact"
    )
    assert apart.fun == together.fun < 10 and apart.nit == together.nit


@pytest.mark.parametrize("search", ["wolfe", "armijo", "exact"])
def test_newton_goes_on_with_the_hessian_of_the_point_that_it_took(search):
    """Which need not be the last: told in a buffer, the way is that of a function of x."""
    buffer, ways = np.empty((4, 4)), []

    def filled(x):
        buffer[:] = rosen_hess(x)
        return buffer

    for told in (filled, lambda x: rosen_hess):
        s, way = st.Newton(START, line_search=search), []
        while not s.done:
            x = s.x
            way.append(x)
            s.tell(rosen(x), rosen_der(x), told(x))
        assert s.success
        ways.append(way)
    np.testing.assert_array_equal(*ways)


def test_newton_asks_for_no_more_products_than_its_step_is_worth():
    """Far from the minimum |r| <= |g| / 2 will do."""
    h = np.arange(1.0, 101)
    s = st.Newton(np.zeros(100))
    s.tell(0.0, -np.ones(100), hessp=lambda x, p: h * p)
    assert 1 < s.nhev < 30
    assert np.linalg.norm(h * s.x - 1) <= 5


def test_newton_takes_the_gradient_where_products_show_no_curvature():
    r = st.minimize(
        lambda x: (x**4).sum(),
        np.ones(3),
        jac=lambda x: 4 * x**3,
        hessp=lambda x, p: 0 * p,
        method="newton",
        gtol=1e-3,
    )
    assert r.success and r.nhev == r.nit  # a product an iteration


def test_newton_goes_on_along_negative_curvature_that_products_show():
    """The second conjugate direction p has it: 0.6 p is added to the first step."""
    seen = []

    def hessp(x, p):
        seen.append(x.copy())
        product = np.array([1.0, -1.0]) * p
        x[:] = p[:] = np.nan  # copies of its own
        return product

    s = st.Newton(np.zeros(2))
    s.tell(0.0, np.array([1.0, 0.5]), hessp=hessp)
    np.testing.assert_array_equal(seen, np.zeros((2, 2)))
    np.testing.assert_allclose(s.x, [-7 / 3, -13 / 6])


def test_newton_by_products_does_not_creep_beside_negative_curvature():
    """Its steps left out the direction that has it: 544 evaluations in all, now 66."""
    s, nfev = np.geomspace(1, 1000, 4), 0
    for x0 in ([1.0, 2, 1, 3], [3.0, 1, 2, 1], [2.0, -1, 0.5, 0.1]):
        r = st.minimize(
            lambda x: np.log1p(s * x * x).sum(),
            np.array(x0),
            jac=lambda x: 2 * s * x / (1 + s * x * x),
            hessp=lambda x, p: 2 * s * (1 - s * x * x) / (1 + s * x * x) ** 2 * p,
            method="newton",
        )
        nfev += r.nfev
        assert r.success
    assert nfev < 100


def test_newton_by_products_follows_a_valley_whatever_the_unit_of_f():
    """Where |g| is above 1/4, half of it was left: steepest descent, 4,098 evaluations, now 220."""

    def fun(x):
        return 1e4 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    def jac(x):
        return np.array([4e4 * x[0] * (x[0] ** 2 - x[1]) + 2 * x[0] - 2, 2e4 * (x[1] - x[0] ** 2)])

    def hessp(x, p):
        mixed = -4e4 * x[0]
        return np.array([(12e4 * x[0] ** 2 - 4e4 * x[1] + 2) * p[0] + mixed * p[1],
                         mixed * p[0] + 2e4 * p[1]])  # fmt: skip

    r = st.minimize(fun, np.array([-1.2, 1.0]), jac=jac, hessp=hessp, method="newton")
    assert r.success and r.nfev < 400 and r.nhev < 400


def test_short_steps_are_no_creeping_where_f_falls():
    """As where a Hessian is far too small."""
    r = st.minimize(rosen, START, jac=rosen_der, method="newton",
                    hess=lambda x: 1e-5 * rosen_hess(x))  # fmt: skip
    assert r.success and r.nit > 2


def test_a_run_that_is_taken_up_again_asks_for_its_best_point():
    """As `minimize` does, once central differences take over."""
    s = st.LBFGS(START)
    for _ in range(9):
        s.tell(rosen(s.x), rosen_der(s.x))
    s._stop(2, "stuck")
    best = s.x
    s._resume()
    np.testing.assert_array_equal(s.x, best)
    while not s.done:
        s.tell(rosen(s.x), rosen_der(s.x))
    assert s.success


@pytest.mark.parametrize("method", ["l-bfgs", "newton"])
def test_the_last_evaluation_that_is_left_may_be_the_one_that_converges(method):
    options = {"jac": rosen_der, "method": method, **extra(method, rosen_hess)}
    nfev = st.minimize(rosen, START, **options).nfev
    assert st.minimize(rosen, START, max_nfev=nfev, **options).success


@pytest.mark.parametrize("start", [1.0, 0.9995])  # near counts as at the bound, and goes there
@pytest.mark.parametrize("product", [False, True])
def test_newton_in_a_box_takes_the_curvature_of_the_free_variables(product, start):
    H = np.array([[4.0, 1, 0], [1, 3, 1], [0, 1, 2]])
    r = st.minimize(
        lambda x: 0.5 * (x - 2) @ H @ (x - 2),
        [0.0, 0.0, start],
        jac=lambda x: H @ (x - 2),
        **({"hessp": lambda x, p: H @ p} if product else {"hess": lambda x: H}),
        method="newton",
        bounds=[(None, None), (None, None), (None, 1)],
    )
    assert r.success and r.nit <= (4 if product else 1) + (start < 1)
    np.testing.assert_allclose(r.x, [*np.linalg.solve(H[:2, :2], [10, 9]), 1], atol=1e-5)


def test_what_ends_a_run_in_float32_is_its_precision_not_the_gradient():
    """The squares that cancel round by more than f, which is near zero, tells."""
    starts = (np.random.default_rng(seed).normal(size=4).astype("f4") for seed in range(20))
    runs = [st.minimize(rosen, x0, jac=rosen_der) for x0 in starts]
    stuck = [run for run in runs if not run.success]
    told = ("the precision of f is reached", "rounding hides the rest")
    assert stuck and all(any(why in run.message for why in told) for run in stuck)


def test_who_gave_no_gradient_is_not_told_to_check_it():
    def penalty(x):
        return (x**2).sum() + 1e6 * max(0.0, 1 - x.sum()) ** 2

    run = st.minimize(penalty, np.zeros(2))
    assert not run.success
    assert run.message.endswith("differences are not exact enough, give jac")


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "newton"])
def test_a_run_that_goes_up_and_down_by_rounding_ends(method):
    """Each fall was taken for progress, up to maxiter."""
    for seed in range(60):
        draw = np.random.default_rng(seed)
        root, b, c, x0 = (draw.normal(size=k).astype("f4") for k in ((3, 3), 3, 1, 3))
        h = (root[:, :, None] * root[:, None, :]).sum(0) / 3 + np.diag(np.float32([1, 10, 100]))

        def fun(x, h=h, b=b, c=c):
            hx = (h * x).sum(1)
            return (x * (hx / 2 - 100 * b)).sum() + 10 * c[0], hx - 100 * b

        r = st.minimize(fun, 3 * x0, jac=True, method=method, gtol=1e-7, max_nfev=1000,
                        hess=(lambda x, h=h: h) if method == "newton" else None)  # fmt: skip
        assert r.status in (0, 2) and r.nfev < 300, (seed, r)


@pytest.mark.parametrize("bounds", [None, [(-2, 2)]])
@pytest.mark.parametrize("method", ["gd", "l-bfgs"])
def test_a_stationary_point_as_high_as_the_start_is_no_answer(method, bounds):
    """The first step from 1 leads to 0, a maximum at which f is 0 as well: a success."""
    run = st.minimize(
        lambda x: float((x**4 - x**2).sum()),
        [1.0],
        jac=lambda x: 4 * x**3 - 2 * x,
        method=method,
        bounds=bounds,
    )
    assert run.success and run.fun == pytest.approx(-0.25)
