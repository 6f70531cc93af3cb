"""Newton's method: its steps, and where the user's hess or hessp raise: the run stays as it was,
and goes on."""

import array_api_strict as strict
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess
from scipy.special import logsumexp, softmax

import steepest as st
from steepest.fullbatch.factor import newton_step

START = np.array([-1.2, 1.0])


def test_newton_is_not_slowed_by_the_curvature_of_other_variables():
    """x0 = 0 is a maximum along x0: a shift of H by that curvature took 20 evaluations."""
    r = st.minimize(
        lambda x: (x[0] ** 2 - 1) ** 2 + x[1:] @ x[1:] / 2,
        np.array([0.0, 3.0, -2.0]),
        jac=lambda x: np.append(4 * x[0] * (x[0] ** 2 - 1), x[1:]),
        hess=lambda x: np.diag([12 * x[0] ** 2 - 4, 1.0, 1.0]),
        method="newton",
    )
    assert r.success and r.nfev == 2


def test_newton_steps_stay_near_where_curvature_is_nearly_none():
    """Log-sum-exp far from its minimum: 275 evaluations by whole steps."""
    nfev = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        a, b, x0 = rng.normal(size=(30, 8)), rng.normal(size=30), rng.normal(size=8)

        def jac(x, a=a, b=b):
            return a.T @ softmax(5 * (a @ x + b))

        def hess(x, a=a, b=b):
            root = np.sqrt(softmax(5 * (a @ x + b)))[:, None] * (a - jac(x))
            return 5 * root.T @ root

        r = st.minimize(lambda x, a=a, b=b: logsumexp(5 * (a @ x + b)) / 5, x0, jac=jac,
                        hess=hess, method="newton")  # fmt: skip
        assert r.success
        nfev += r.nfev
    assert nfev < 200


@pytest.mark.parametrize("xp", [np, strict])
@pytest.mark.parametrize("h", [[[0, 1], [1, 0]], [[0, 0], [0, -2]], [[1e-9, 3], [3, 2]]])
def test_the_step_of_an_indefinite_hessian_is_one_of_descent(xp, h):
    """By |H|, whose lowest eigenvalue is the size of H's in units where |h_ii| is 1."""
    h, g = np.array(h, dtype=float), np.array([1.0, 2.0])
    x, definite = newton_step(xp.asarray(h), xp.asarray(g))
    x = np.asarray(np.from_dlpack(x))
    size = np.abs(np.diag(h))
    scales = np.sqrt(np.where(size > 0, size, np.abs(h).max()))
    w, v = np.linalg.eigh(h / np.outer(scales, scales))
    absolute = np.outer(scales, scales) * ((v * np.maximum(np.abs(w), -w[0])) @ v.T)
    assert not definite and x @ g > 0
    np.testing.assert_allclose(absolute @ x, g, rtol=1e-6)


@pytest.mark.parametrize("xp", [np, strict])
@pytest.mark.parametrize(
    "h", [np.diag([4.0, 1e-9]), np.diag([4.0, -1e-9]), np.ones((2, 2)), [[1, 0.97], [0.97, 1]]]
)
def test_a_newton_step_is_cut_to_a_length_in_any_units(xp, h):
    """10 times D^-1 g or |(0.5, 0)|, whichever is longer, in units where D is the identity."""
    scales = np.sqrt(np.abs(np.diag(h)))
    for unit, g, last in (
        ([1.0, 1.0], [2.0, -3.0], [0.5, 0]),
        ([8.0, 2.0**-9], [1e-3, -1e-4], [0.5, 0]),
        ([8.0, 2.0**-9], [1e-3, -1e-4], None),
    ):
        units = np.array(unit)
        most = None if last is None else xp.asarray(last * units)
        x, _ = newton_step(
            xp.asarray(h / np.outer(units, units)), xp.asarray(g / units), most, 10.0
        )
        x = np.asarray(np.from_dlpack(x)) / units
        longest = max(10 * np.linalg.norm(g / scales), np.linalg.norm((last or 0) * scales))
        shortest = min(np.linalg.norm(newton_step(np.array(h), np.array(g))[0] * scales), longest)
        assert 0.99 * shortest <= np.linalg.norm(x * scales) <= 1.1 * longest and x @ g > 0


def test_a_hessian_at_the_end_of_the_range_gives_a_step():
    h = np.array([[1e-13, 1], [1, 1e-13]], dtype=np.float32) * np.float32(3.3e38)
    g = strict.ones(2, dtype=strict.float32)
    x, definite = newton_step(strict.asarray(h), g)
    x = np.asarray(np.from_dlpack(x))
    assert not definite and np.isfinite(x).all() and (x > 0).all()


def test_without_a_hessian_the_step_is_the_gradient():
    x, definite = newton_step(np.zeros((2, 2)), np.array([3.0, -4.0]))
    np.testing.assert_array_equal(x, [3, -4])
    assert not definite


def test_full_steps_are_not_cut():
    h = np.array([[1, 1 - 1e-9], [1 - 1e-9, 1]])
    r = st.minimize(
        lambda x: x @ h @ x / 2, [1e3, -1e3], jac=lambda x: h @ x, hess=lambda x: h,
        method="newton", line_search=None, gtol=1e-9,
    )  # fmt: skip
    assert r.success and r.nit == 1


def test_products_without_curvature_along_a_later_direction():
    """x0²/2 + x1 + x1⁴/4, from where x1 has none: the second direction is along x1."""
    r = st.minimize(
        lambda x: x[0] ** 2 / 2 + x[1] + x[1] ** 4 / 4,
        [1.0, 0.0],
        jac=lambda x: np.array([x[0], 1 + x[1] ** 3]),
        hessp=lambda x, p: np.array([1, 3 * x[1] ** 2]) * p,
        method="newton",
    )
    assert r.success


@pytest.mark.parametrize("size", [1e-120, 1e-172, 1e-300])
def test_a_singular_hessian_beside_a_gradient_of_next_to_nothing(size):
    x, _ = newton_step(np.diag([0.0, 2.0]), np.full(2, size), None, 1e3)
    assert np.isfinite(x).all() and (x > 0).all()


class Failing:
    """rosen's Hessian, but an error at the call ``at``."""

    def __init__(self, at, error):
        self.left, self.error = at, error

    def hess(self, x):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return rosen_hess(x)

    def hessp(self, x, p):
        return self.hess(x) @ p


def run(solver, **hessian):
    """The points of a run, in which a point whose Hessian fails is told again."""
    points, errors = [], 0
    while not solver.done:
        x = solver.x
        try:
            solver.tell(rosen(x), rosen_der(x), **hessian)
            points.append(x)
        except (ZeroDivisionError, FloatingPointError, KeyboardInterrupt):
            errors += 1
            np.testing.assert_array_equal(solver.x, x)
    return np.array(points), errors


@pytest.mark.parametrize("line_search", ["wolfe", "armijo", "exact"])
@pytest.mark.parametrize("bounds", [None, [(-2, 2), (-2, 2)]])
@pytest.mark.parametrize("name", ["hess", "hessp"])
@pytest.mark.parametrize("at", [1, 2, 3, 9])
def test_a_run_goes_on_as_if_the_error_had_not_been(at, name, bounds, line_search):
    options = {"bounds": bounds, "line_search": line_search}
    error = KeyboardInterrupt if at == 2 else ZeroDivisionError("no Hessian")
    failing, whole = st.Newton(START, **options), st.Newton(START, **options)
    points, errors = run(failing, **{name: getattr(Failing(at, error), name)})
    want, none = run(whole, **{name: getattr(Failing(0, error), name)})
    assert (errors, none) == (1, 0)
    np.testing.assert_array_equal(points, want)
    counts = [(s.nit, s.nfev, s.nhev, s.status, s.f) for s in (failing, whole)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["hess", "hessp"])
@pytest.mark.parametrize("at", [1, 3])
def test_a_floating_point_error_of_the_users_is_no_end_of_the_run(at, name):
    error = FloatingPointError("overflow encountered in exp")
    with pytest.raises(FloatingPointError) as caught:
        functions = {name: getattr(Failing(at, error), name)}
        st.minimize(rosen, START, method="newton", jac=rosen_der, **functions)
    assert caught.value is error


@pytest.mark.parametrize("start", [START, np.zeros(2)])
def test_a_hessian_that_is_none_is_refused_at_the_point(start):
    solver = st.Newton(start)
    with pytest.raises(ValueError, match="hess: not symmetric"):
        solver.tell(rosen(start), rosen_der(start), lambda x: np.array([[1.0, 2.0], [0.0, 1.0]]))
    assert (solver.nfev, solver.nhev, solver.nit) == (0, 0, 0)
    np.testing.assert_array_equal(solver.x, start)


@pytest.mark.parametrize("start", [0.0, 1e-12, 1.0])
@pytest.mark.parametrize("told", ["array", "callable"])
@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_a_hessian_that_cancels_to_rounding_is_not_called_asymmetric(unit, told, start):
    """Softmax's, s (AᵀWA - ggᵀ), where one term rules; one that is wrong is still refused."""
    rng, s = np.random.default_rng(1), 20
    a, b, x0 = rng.normal(size=(30, 8)), 3 * rng.normal(size=30), rng.normal(size=8)

    def hess(x, wrong):
        w = softmax(s * (a @ x / unit + b))
        h = s * (a.T @ (w[:, None] * a) - np.outer(a.T @ w, a.T @ w)) / unit**2
        h[0, 1] += wrong
        return h

    def run(wrong):
        solver = st.Newton(x0 * start * unit, gtol=1e-5 / unit)
        while not solver.done:
            x = solver.x
            z = s * (a @ x / unit + b)
            given = hess(x, wrong) if told == "array" else lambda x: hess(x, wrong)
            solver.tell(logsumexp(z) / s, a.T @ softmax(z) / unit, given)
        return solver

    assert run(0).success
    with pytest.raises(ValueError, match="hess: not symmetric"):
        run(1e-6 / unit**2)


@pytest.mark.parametrize("told", ["array", "callable", "minimize"])
def test_a_hessian_in_float32_is_symmetric_to_that(told):
    """As of models of JAX, where x is float64: "not symmetric" by 4e-9 ended the run."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40, 6))

    def fun(x):
        return float(np.logaddexp(0, a @ x).sum() + x @ x)

    def jac(x):
        return a.T @ (1 / (1 + np.exp(-a @ x))) + 2 * x

    def hess(x, wrong=0.0):
        w = 1 / (2 + 2 * np.cosh(a @ x))
        h = (a.T @ (w[:, None] * a) + 2 * np.eye(6)).astype(np.float32)
        h[0, 1] += wrong + 1e-6
        return h

    def run(wrong):
        if told == "minimize":
            return st.minimize(
                fun, np.ones(6), method="newton", jac=jac, hess=lambda x: hess(x, wrong)
            )
        s = st.Newton(np.ones(6))
        while not s.done:
            x = s.x
            given = hess(x, wrong) if told == "array" else lambda x: hess(x, wrong)
            s.tell(fun(x), jac(x), given)
        return s

    assert run(0.0).success
    with pytest.raises(ValueError, match="hess: not symmetric"):
        run(0.1)
