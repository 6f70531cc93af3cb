"""`st.minimize` and the inside-out methods: against SciPy, on hard functions, and what they
refuse."""

import array_api_strict as strict
import numpy as np
import pytest
import scipy.interpolate
import scipy.linalg
import scipy.optimize
from array_api_compat import array_namespace
from fullbatch_methods import START, extra
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod

import steepest as st
from problems.mgh import PROBLEMS

NEWTON = {"method": "newton", "hess": rosen_hess}
METHODS = [
    {"method": "l-bfgs"},
    {"method": "l-bfgs", "history": 1},
    {"method": "l-bfgs", "line_search": "armijo"},
    {"method": "l-bfgs", "line_search": "exact"},
    {"method": "bfgs"},
    {"method": "bfgs", "line_search": "armijo"},
    {"method": "bfgs", "line_search": "exact"},
    NEWTON,
    {**NEWTON, "line_search": "armijo"},
    {"method": "newton", "hessp": rosen_hess_prod},
    {"method": "gd"},
    {"method": "gd", "line_search": "armijo"},
    {"method": "gd", "lr": 1e-3, "maxiter": 60_000},
]


def words(options):
    return "-".join(str(getattr(v, "__name__", v)) for v in options.values())


@pytest.mark.parametrize("options", METHODS, ids=words)
def test_every_method_finds_the_minimum_of_rosenbrock(options):
    r = st.minimize(rosen, np.array([-1.2, 1.0]), jac=rosen_der, **options)
    assert r.success and r.status == 0 and "gtol" in r.message
    assert np.abs(rosen_der(r.x)).max() <= 1e-5
    np.testing.assert_allclose(r.x, [1, 1], atol=2e-3 if options["method"] == "gd" else 1e-4)
    np.testing.assert_array_equal(r.jac, rosen_der(r.x))
    assert r.fun == rosen(r.x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "newton"])
def test_hilbert_quadratics(method, dtype):
    a = scipy.linalg.hilbert(8).astype(dtype) + dtype(1e-4) * np.eye(8, dtype=dtype)
    x_true = np.ones(8, dtype)

    def fun(x):
        e = x - x_true
        return 0.5 * float(e @ a @ e), a @ e

    hess = extra(method, lambda x: a)
    r = st.minimize(fun, np.zeros(8, dtype), jac=True, method=method, gtol=1e-6, **hess)
    assert r.success and r.x.dtype == dtype
    np.testing.assert_allclose(r.x, x_true, atol=1e-6 / 1e-4 * 2)


def test_newton_solves_a_linear_regression_in_one_step():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((50, 6)), rng.standard_normal(50)
    r = st.minimize(
        lambda w: 0.5 * float(((a @ w - b) ** 2).sum()),
        np.zeros(6),
        jac=lambda w: a.T @ (a @ w - b),
        hess=lambda w: a.T @ a,
        method="newton",
    )
    assert r.success and r.nit == 1 and r.nfev == 2 and r.nhev == 1
    np.testing.assert_allclose(r.x, np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-12)


@pytest.mark.parametrize("kind", ["hess", "hessp"])
def test_newton_leaves_a_region_of_negative_curvature(kind):
    def hess(x):  # of (x0^2 - 1)^2 + x1^2, indefinite at the start
        return np.diag([12 * x[0] ** 2 - 4, 2.0])

    curvature = {"hess": hess} if kind == "hess" else {"hessp": lambda x, p: hess(x) @ p}
    r = st.minimize(
        lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2,
        np.array([0.1, 1.0]),
        jac=lambda x: np.array([4 * x[0] * (x[0] ** 2 - 1), 2 * x[1]]),
        method="newton",
        **curvature,
    )
    assert r.success
    np.testing.assert_allclose(r.x, [1, 0], atol=1e-5)


def in_units(unit):
    """Rosenbrock's function of x/unit: value, gradient, Hessian."""
    return (
        lambda x: rosen(x / unit),
        lambda x: rosen_der(x / unit) / unit,
        lambda x: rosen_hess(x / unit) / np.outer(unit, unit),
    )


def test_newton_takes_the_same_way_in_any_units():
    """Powers of two, so to the last bit; the Hessian is indefinite on the way."""

    def way(unit):
        points, (fun, jac, hess) = [], in_units(unit)
        x0 = np.array([1.5, -1.0, 2.0, -0.3]) * unit
        st.minimize(fun, x0, jac=jac, hess=hess, method="newton", gtol=0, maxiter=15,
                    callback=lambda x: points.append(x / unit))  # fmt: skip
        assert (np.linalg.eigvalsh(rosen_hess(points[0])) < 0).any()
        return points

    np.testing.assert_array_equal(way(2.0 ** np.array([-13, 12, 3, -20])), way(np.ones(4)))


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("unit", [[2.8e-2, 8.7e-4, 9.4e3], [1e4, 1, 1e-4], [1e-3, 1e3, 1]])
def test_newton_ends_where_variables_differ_in_units(unit, bounded):
    unit = np.array(unit)
    fun, jac, hess = in_units(unit)
    x0 = np.array([1.5, -1.0, 2.0]) * unit
    bounds = [(-1.1 * u, 2.2 * u) for u in unit] if bounded else None
    r = st.minimize(fun, x0, jac=jac, hess=hess, method="newton", bounds=bounds,
                    gtol=1e-6 / unit.max(), maxiter=100)  # fmt: skip
    assert r.success, r.message
    np.testing.assert_allclose(r.x / unit, 1, rtol=1e-6)


def test_bfgs_keeps_the_inverse_hessian():
    a = np.diag([1.0, 4.0, 9.0]) + 0.5
    r = st.minimize(
        lambda x: 0.5 * x @ a @ x,
        np.array([1.0, -2, 3]),
        jac=lambda x: a @ x,
        method="bfgs",
        gtol=1e-12,
    )
    np.testing.assert_allclose(r.hess_inv, np.linalg.inv(a), atol=1e-2)
    np.testing.assert_array_equal(r.hess_inv, r.hess_inv.T)


@pytest.mark.parametrize("jac", [None, "given"])
def test_bfgs_keeps_the_inverse_hessian_where_it_ends_without_a_way_down(jac):
    """It was the identity: the search had started again along the gradient."""
    a = np.diag([1.0, 2.0, 4.0])
    s = st.BFGS(np.zeros(3), line_search="exact", gtol=0)
    r = st.minimize(lambda x: 0.5 * x @ a @ x - x.sum() + 3, np.zeros(3), method="bfgs",
                    jac=jac and (lambda x: a @ x - 1), line_search="exact", gtol=0)  # fmt: skip
    assert r.status == 2
    np.testing.assert_allclose(r.hess_inv, np.linalg.inv(a), atol=0.5)
    while not s.done:
        x = s.x
        s.tell(0.5 * x @ a @ x - x.sum(), a @ x - 1)
    assert s.status == 2
    loaded = st.BFGS(np.zeros(3), line_search="exact", gtol=0)
    loaded.load_state_dict(s.state_dict())
    for h in (s.inverse_hessian, loaded.inverse_hessian):
        assert (np.diag(h) != 1).all()
        np.testing.assert_array_equal(h, s.result().hess_inv)


def test_bfgs_follows_the_textbook_update():
    """Eq. 6.20 and 6.17 of Nocedal & Wright with Biggs's curvature and the enlarged start, from
    the accepted points alone."""
    s = st.BFGS(START)
    h, points, enlarged, ratios = None, [(START, rosen(START), rosen_der(START))], 0, []
    while s.nit < 12:
        nit = s.nit
        s.tell(rosen(s.x), rosen_der(s.x))
        if s.nit == nit:
            continue
        points.append((s.best_x, s.f, s.g))
        (x0, f0, g0), (x1, f1, g1) = points[-2:]
        step, y = x1 - x0, g1 - g0
        sy = step @ y
        if h is None:
            h = sy / (y @ y) * np.eye(4)
        elif s.nit <= 4:
            gamma = np.sqrt((step @ np.linalg.solve(h, step)) / (y @ h @ y))
            h, enlarged = max(1, gamma) * h, enlarged + (gamma > 1)
        cubic = scipy.interpolate.CubicHermiteSpline([0, 1], [f0, f1], [step @ g0, step @ g1])
        ratios.append(cubic(1, 2) / sy)
        ratio = max(ratios[-1], 0.5) if min(cubic([0, 1], 2)) > 0 else 1
        v = np.eye(4) - np.outer(y, step) / sy
        h = v.T @ h @ v + np.outer(step, step) / (ratio * sy)
    np.testing.assert_allclose(s.inverse_hessian, h, rtol=1e-7)
    assert enlarged == 2 and min(ratios) < 0.5 and max(ratios) > 1.1


@pytest.mark.parametrize("method", [st.BFGS, st.LBFGS])
def test_curvature_is_that_of_the_cubic_at_the_new_point(method):
    """So for a cubic in one variable the second iteration is Newton's, from one value more."""
    s = method(np.array([5.0]), line_search=None, gtol=1e-3)
    points = []
    while not s.done:
        points.append(float(s.x[0]))
        s.tell(points[-1] ** 3 / 3 - points[-1], np.array([points[-1] ** 2 - 1]))
    x = points[1]
    assert points[2] == pytest.approx(x - (x**2 - 1) / (2 * x), rel=1e-12)


@pytest.mark.parametrize("method", ["bfgs", "l-bfgs"])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_forgotten_factor_of_the_gradient_costs_little(method, factor):
    """The cubic through such values is not convex, so it is not believed."""
    r = st.minimize(
        lambda x: (x[0] - 1) ** 2, [-1.0], jac=lambda x: factor * 2 * (x - 1), method=method
    )
    assert r.success and r.nit <= 3
    np.testing.assert_allclose(r.x, 1)


def test_a_curvature_that_rounding_hides_is_the_secant():
    """Far above the minimum value the cubic would be noise."""
    runs = []
    for shift in (0.0, 1e15):
        s = st.LBFGS(np.array([5.0]), line_search=None)
        for _ in range(2):
            x = s.x
            s.tell(float(x[0] ** 3 / 3 - x[0]) + shift, x**2 - 1)
        runs.append(float(s.x[0]))
    x0, x1 = 5.0, 4.0
    assert runs[1] == pytest.approx(x1 - (x1**2 - 1) * (x1 - x0) / (x1**2 - x0**2), rel=1e-12)
    assert runs[0] != pytest.approx(runs[1], rel=1e-3)


def test_lbfgs_with_enough_pairs_is_bfgs_on_a_quadratic():
    a = np.diag(np.arange(1.0, 7.0))
    runs = [
        st.minimize(lambda x: 0.5 * x @ a @ x, np.ones(6), jac=lambda x: a @ x, method=m,
                    line_search="exact", gtol=1e-8)
        for m in ("bfgs", "l-bfgs")
    ]  # fmt: skip
    assert runs[0].nit <= 8 and runs[1].nit <= 8


@pytest.mark.parametrize("difference", [None, "2-point", "3-point", "cs"])
def test_gradients_by_differences(difference):
    def fun(x):  # analytic, for the complex step
        return ((x - np.array([1.0, 2.0, 3.0])) ** 2).sum() + (x[0] * x[1]) ** 2

    exact = st.minimize(fun, np.ones(3), jac="cs", gtol=1e-9)
    r = st.minimize(fun, np.ones(3), jac=difference)
    np.testing.assert_allclose(r.x, exact.x, atol=1e-5)
    assert r.nfev == r.njev * (1 + 3 * (2 if difference == "3-point" else 1))


@pytest.mark.parametrize("difference", [None, "3-point", "cs"])
def test_differences_of_a_function_that_overwrites_its_argument(difference):
    def fun(x):
        x -= np.array([1.0, 2.0, 3.0])
        x *= x
        return x.sum()

    r = st.minimize(fun, np.full(3, 1.5), jac=difference)
    assert r.success
    np.testing.assert_allclose(r.x, [1, 2, 3], atol=1e-5)


def test_difference_steps_stay_inside_the_bounds():
    def fun(x):
        assert (x >= 0).all() and (x <= 1).all()
        return ((x - np.array([2.0, 0.5, -1.0, 0.3])) ** 2).sum()

    for difference in ("2-point", "3-point"):
        bounds = [(0, 1), (0, 1), (0, 1), (0.2, 0.2)]
        r = st.minimize(fun, np.array([1.0, 1.0, 0.0, 0.2]), jac=difference, bounds=bounds)
        np.testing.assert_allclose(r.x, [1, 0.5, 0, 0.2], atol=1e-5)


@pytest.mark.parametrize(("scheme", "calls"), [("2-point", 4), ("3-point", 8)])
@pytest.mark.parametrize("joint", [False, True])
def test_hessians_by_differences_of_gradients(scheme, calls, joint):
    g = np.empty(4)  # one buffer for every answer

    def gradient(x):
        g[:] = rosen_der(x)
        x[:] = np.nan  # x is the function's own
        return g

    start = np.array([-1.2, 1, -0.5, 2])
    newton = {"method": "newton", "gtol": 1e-8}
    exact = st.minimize(rosen, start, jac=rosen_der, hess=rosen_hess, **newton)
    if joint:
        r = st.minimize(lambda x: (rosen(x), gradient(x)), start, jac=True, hess=scheme, **newton)
    else:
        r = st.minimize(rosen, start, jac=gradient, hess=scheme, **newton)
    assert r.success and (r.nit, r.nhev) == (exact.nit, exact.nhev)
    np.testing.assert_allclose(r.x, exact.x, rtol=1e-9)
    assert r.njev == exact.njev + calls * exact.nhev
    assert r.nfev == (r.njev if joint else exact.nfev)


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_difference_steps_of_gradients_stay_inside_the_bounds(scheme):
    a, b = np.diag([1.0, 2.0, 3.0, 4.0]) + 1, np.array([2.0, 1.0, -3.0, 1.2])

    def jac(x):
        assert (x >= 0).all() and (x <= 1).all()
        return a @ x - b

    bounds = [(0, 1), (0, 1), (0, 1), (0.2, 0.2)]
    by, exact = (
        st.minimize(lambda x: x @ a @ x / 2 - b @ x, np.array([1.0, 1.0, 0.0, 0.2]), jac=jac,
                    hess=hess, method="newton", bounds=bounds)
        for hess in (scheme, lambda x: a)
    )  # fmt: skip
    assert by.success and by.nit == exact.nit
    np.testing.assert_allclose(by.x, exact.x, atol=1e-7)


def test_differences_of_gradients_of_less_precision():
    """From 20 starts 1.03 times the iterations; 1.42 times by float64's steps."""

    def jac(x):
        return rosen_der(x).astype(np.float32)  # float64's steps would not show

    def iterations(hess):
        runs = [
            st.minimize(rosen, start, jac=jac, hess=hess, method="newton", gtol=1e-3)
            for start in np.random.default_rng(0).uniform(-2, 2, (20, 4))
        ]
        assert all(run.success for run in runs)
        return sum(run.nit for run in runs)

    assert iterations("2-point") < 1.2 * iterations(rosen_hess)


BOUNDED = [{"method": "l-bfgs"}, {"method": "l-bfgs", "line_search": "armijo"}, NEWTON,
           {"method": "newton", "hessp": rosen_hess_prod}, {"method": "gd"}]  # fmt: skip


@pytest.mark.parametrize("options", BOUNDED, ids=words)
@pytest.mark.parametrize("high", [0.5, 0.9, 3.0])
def test_bounds_agree_with_scipy(options, high):
    bounds = scipy.optimize.Bounds(np.array([-2.0, -0.5]), np.array([high, 2.0]))
    x0 = np.array([-0.5, 1.0])
    want = scipy.optimize.minimize(
        rosen, x0, jac=rosen_der, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9}
    )
    r = st.minimize(rosen, x0, jac=rosen_der, bounds=bounds, gtol=1e-6, **options)
    assert r.success, r.message
    assert (r.x >= bounds.lb).all() and (r.x <= bounds.ub).all()
    np.testing.assert_allclose(r.x, want.x, atol=1e-4)


def test_many_bounds_hold_at_the_minimum():
    rng = np.random.default_rng(3)
    root = rng.standard_normal((60, 60))
    a, b = root @ root.T / 60 + 0.1 * np.eye(60), rng.standard_normal(60)
    calls = []

    def fun(x):
        calls.append(((x >= 0) & (x <= 1)).all())
        return 0.5 * x @ a @ x - b @ x, a @ x - b

    r = st.minimize(fun, np.full(60, 0.5), jac=True, bounds=[(0, 1)] * 60, gtol=1e-7)
    want = scipy.optimize.minimize(
        fun,
        np.full(60, 0.5),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 1)] * 60,
        options={"gtol": 1e-10, "ftol": 0},
    )
    assert r.success and all(calls) and r.nfev <= 2 * want.nfev
    assert ((r.x == 0) | (r.x == 1)).sum() == ((want.x == 0) | (want.x == 1)).sum() > 10
    np.testing.assert_allclose(r.x, want.x, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "differences"),
    [("l-bfgs", None), ("bfgs", None), ("gd", None), ("newton", None), ("newton", "3-point")],
)
def test_other_namespaces_give_the_same_answer(method, differences):
    def fun(x):
        xp = array_namespace(x)
        scale = xp.asarray([1.0, 5.0, 20.0])
        e = x - xp.asarray([1.0, -1.0, 2.0])
        return 0.5 * float(xp.sum(scale * e * e)) + float(xp.sum(e**4)), scale * e + 4 * e**3

    def hess(x):
        xp = array_namespace(x)
        e = x - xp.asarray([1.0, -1.0, 2.0])
        return xp.eye(3) * (xp.asarray([1.0, 5.0, 20.0]) + 12 * e * e)

    further = extra(method, differences or hess)
    r = st.minimize(fun, strict.zeros(3), jac=True, method=method, **further)
    want = st.minimize(fun, np.zeros(3), jac=True, method=method, **further)
    assert r.success and type(r.x) is type(strict.zeros(3))
    assert (r.nit, r.nfev) == (want.nit, want.nfev)
    np.testing.assert_allclose(np.from_dlpack(r.x), want.x, rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"method": "newton", "hessp": lambda x, p: 2 * p}])
def test_bounds_in_other_namespaces(options):
    def fun(x):
        xp = array_namespace(x)
        return float(xp.sum((x - 1) ** 2)), 2 * (x - 1)

    r = st.minimize(
        fun, strict.zeros(3), jac=True, bounds=[(None, 0.5), (-1, 3), (0, 0)], **options
    )
    np.testing.assert_allclose(np.from_dlpack(r.x), [0.5, 1, 0], atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["l-bfgs", "bfgs", "gd"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cupy_arrays(method, dtype):
    cupy = pytest.importorskip("cupy")
    scale = cupy.linspace(1, 20, 1000, dtype=dtype)

    def fun(x):
        e = x - 1
        return 0.5 * (scale * e * e).sum(), scale * e

    r = st.minimize(fun, cupy.zeros(1000, dtype), jac=True, method=method, gtol=1e-4)
    assert r.success and isinstance(r.x, cupy.ndarray) and r.x.dtype == dtype
    cupy.testing.assert_allclose(r.x, cupy.ones(1000), atol=2e-4)
    bounded = st.minimize(fun, cupy.zeros(1000, dtype), jac=True, bounds=[(0, 0.5)] * 1000)
    cupy.testing.assert_array_equal(bounded.x, cupy.full(1000, 0.5, dtype))
    h = cupy.diag(scale)
    newton = st.minimize(fun, cupy.zeros(1000, dtype), jac=True, method="newton", hess=lambda x: h)
    assert newton.success and newton.nit == 1


class Counted(st.LBFGS):
    compiled = 0

    def _fast_direction(self, f, g):
        direction = super()._fast_direction(f, g)
        self.compiled += direction is not None
        return direction


def box_around(x):
    """Bounds of which some are met soon, some never, and one pair is equal."""
    near, far = np.maximum(np.abs(x), 1) * [[0.3], [9.0]]
    low = np.where(np.arange(x.size) % 3 == 0, x - near, -np.inf)
    high = np.where(np.arange(x.size) % 3 == 1, x + near, x + far)
    low[5::7] = high[5::7]
    return scipy.optimize.Bounds(low, high)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("line_search", "bounded"), [("wolfe", False), ("wolfe", True), ("armijo", True)]
)
def test_the_compiled_iteration_takes_the_path_of_the_long_way(line_search, bounded, dtype):
    compiled = 0
    for p in PROBLEMS:
        options = {"line_search": line_search, "history": 3, "gtol": 1e-6, "maxiter": 60}
        if bounded:
            options["bounds"] = box_around(p.start.astype(float))
        runs = [Counted(p.start.astype(dtype), **options) for _ in range(2)]
        runs[1]._compiled = False
        while not runs[0].done:
            x, long_way = runs[0].x, runs[1].x
            np.testing.assert_array_equal(x, long_way, err_msg=p.name)
            with np.errstate(all="ignore"):
                f, g = p.value(x), p.gradient(x).astype(dtype)
            for run in runs:
                run.tell(f, g)
        ours, other = (run.state_dict() for run in runs)
        for name, value in ours.items():
            np.testing.assert_equal(value, other[name], err_msg=f"{p.name}: {name}")
        assert runs[1].compiled == 0
        compiled += runs[0].compiled
    assert compiled > 500 if line_search == "wolfe" else compiled == 0


def test_the_repr_of_a_method_says_how_far_it_is():
    run = st.LBFGS(np.array([1.0]))
    assert repr(run) == "LBFGS(1 parameter, waits for f and g at x)"
    run.tell(0.5, np.array([1.0]))
    assert repr(run) == "LBFGS(1 parameter, waits for f and g at x, iteration 0, f 0.5)"
    while not run.done:
        x = run.x
        run.tell(0.5 * x @ x, x)
    assert repr(run) == f"LBFGS(1 parameter, done, iteration {run.nit}, f {run.f:.6g})"


def test_a_step_without_curvature_grows_where_pairs_are_known():
    """From far out Bard's problem took 468 evaluations, in steps that grew by the old pairs."""
    bard = PROBLEMS[7]
    options = {"jac": bard.gradient, "method": "l-bfgs", "line_search": "armijo"}
    r = st.minimize(bard.value, bard.scaled_start(10), **options)
    assert r.success and r.nfev < 100
