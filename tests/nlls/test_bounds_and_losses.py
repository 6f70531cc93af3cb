"""Bounds against SciPy's answers, losses against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import Bounds, lsq_linear
from scipy.optimize import least_squares as scipy_least_squares

import steepest as st
from problems import curves, mgh, peaks

ROSENBROCK = mgh.PROBLEMS[0]
BROYDEN = next(p for p in mgh.PROBLEMS if p.name == "Broyden tridiagonal")
LOSSES = ["linear", "soft_l1", "huber", "cauchy", "arctan"]


@pytest.mark.parametrize("linear_solver", ["auto", "qr", "cg"])
@pytest.mark.parametrize("seed", range(5))
def test_linear_problems_in_a_box(seed, linear_solver):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((12, 6)), rng.standard_normal(12)
    lower, upper = -0.2 * rng.random(6), 0.2 * rng.random(6)
    fit = st.least_squares(
        lambda x: A @ x - b,
        np.zeros(6),
        lambda x: A,
        bounds=(lower, upper),
        linear_solver=linear_solver,
    )
    want = scipy_least_squares(
        lambda x: A @ x - b, np.zeros(6), lambda x: A, bounds=(lower, upper), gtol=1e-14, xtol=1e-14
    )
    assert ((lower <= fit.x) & (fit.x <= upper)).all()
    assert fit.cost <= want.cost * (1 + 1e-6)
    np.testing.assert_array_equal(fit.active_mask == -1, fit.x == lower)
    np.testing.assert_array_equal(fit.active_mask == 1, fit.x == upper)
    assert fit.active_mask.any() and fit.optimality < 1e-4


@pytest.mark.parametrize(
    "x0, bounds",
    [
        ([-2.0, 1.0], ([-np.inf, -1.5], np.inf)),
        ([2.0, 2.0], ([-np.inf, 1.5], np.inf)),
        ([0.0, 2.0], ([-np.inf, 1.5], [1.0, np.inf])),
        ([1.0, 1.5], ([1.0, 1.5], [3.0, 3.0])),  # x0 on both bounds
        ([-1.2, 1.0], ([-50.0, 0.0], [0.5, 100])),
    ],
)
@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs", ROSENBROCK.jacobian])
def test_rosenbrock_in_a_box(x0, bounds, jac):
    lower, upper = (np.broadcast_to(b, 2) for b in bounds)

    def fun(x):
        assert (x.real >= lower).all() and (x.real <= upper).all()  # differences stay inside, too
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    fit = st.least_squares(fun, x0, jac, bounds=bounds)
    want = scipy_least_squares(fun, x0, ROSENBROCK.jacobian, bounds=bounds)
    assert fit.success and fit.cost <= want.cost + 1e-9


def kkt(A, b, x, lower, upper):
    """By how much x misses the conditions of the minimum of |Ax - b|² in the box."""
    return np.abs(x - np.clip(x - A.T @ (A @ x - b) / np.sum(A**2), lower, upper)).max()


@pytest.mark.parametrize("linear_solver", ["auto", "qr"])
def test_one_step_is_the_minimum_of_a_linear_problem_in_a_box(linear_solver):
    for seed in range(800):
        rng = np.random.default_rng(seed)
        A, b = rng.standard_normal((9, 6)), 10 * rng.standard_normal(9)
        if seed % 4:  # two columns are nearly equal
            A[:, 5] = A[:, 0] + 1e-8 * A[:, 5]
        x0 = rng.standard_normal(6)
        lower, upper = x0 - rng.uniform(0.01, 3, 6), x0 + rng.uniform(0.01, 3, 6)
        at = rng.integers(0, 6, 6)  # some start on a bound
        x0 = np.where(at == 0, lower, np.where(at == 1, upper, x0))
        s = st.LeastSquares(x0, bounds=(lower, upper), method="gn", linear_solver=linear_solver)
        s.tell(A @ x0 - b, A)
        assert kkt(A, b, s.x, lower, upper) < 1e-14, seed


@pytest.mark.parametrize("method", ["lm", "levenberg", "gn"])
def test_nearly_dependent_columns_in_a_box(method):
    """Steps cut off at bounds crept: `gn` took 4,588 evaluations, 4 fits all of 1,000."""
    n_eval = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 30))
        U = np.linalg.qr(rng.standard_normal((2 * n, n)))[0]
        V = np.linalg.qr(rng.standard_normal((n, n)))[0]
        A = U * np.geomspace(1, 1e-8, n) @ V
        b = A @ rng.standard_normal(n) + 1e-3 * rng.standard_normal(2 * n)
        fit = st.least_squares(
            lambda x, A=A, b=b: A @ x - b, rng.uniform(-0.9, 0.9, n), lambda x, A=A: A,
            bounds=(-1, 1), method=method, max_nfev=1000,
        )  # fmt: skip
        best = lsq_linear(A, b, (-1, 1), method="bvls", tol=1e-15, max_iter=1000)
        assert fit.success and fit.cost <= best.cost * (1 + 1e-9), seed
        n_eval += fit.nfev
    assert n_eval <= 12 * 4


def test_no_rounds_among_rounding_in_a_box():
    """Residuals without noise, answers on bounds: 91 evaluations."""
    n_eval = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        A, true = rng.standard_normal((120, 60)), rng.choice([-1, 0.3, 1], 60)
        b = A @ true
        fit = st.least_squares(
            lambda x, A=A, b=b: A @ x - b,
            rng.uniform(-0.9, 0.9, 60),
            lambda x, A=A: A,
            bounds=(-1, 1),
        )
        assert fit.success and np.abs(fit.x - true).max() < 1e-12, seed
        n_eval += fit.nfev
    assert n_eval <= 75


def test_nearly_equal_columns_in_a_box():
    for seed in [*range(50), 223, 826, 873, 2168, 2319, 2511]:
        rng = np.random.default_rng(seed)
        A, b = rng.standard_normal((6, 3)), 10 * rng.standard_normal(6)
        A[:, 2] = A[:, 0] + 1e-8 * rng.standard_normal(6)
        x0 = rng.standard_normal(3)
        bounds = x0 - rng.uniform(0.1, 3, 3), x0 + rng.uniform(0.1, 3, 3)
        fit = st.least_squares(lambda x, A=A, b=b: A @ x - b, x0, lambda x, A=A: A, bounds=bounds)
        assert fit.cost <= lsq_linear(A, b, bounds, method="bvls").cost * (1 + 1e-6), seed


# Without room on its way to the bounds a step of 1e8 once ended the fit at a cost of 23.2.
@pytest.mark.parametrize("linear_solver", ["auto", "qr", "cg"])
def test_a_variable_that_goes_to_its_bound_is_on_it(linear_solver):
    A, b = np.array([[0, -1.3e-8], [-0.8, -0.8 - 7e-9]]), np.array([4.0, 6])
    bounds = [-3.2, -0.3], [1.2, 3.3]
    fit = st.least_squares(
        lambda x: A @ x - b, [-0.2, 1.1], lambda x: A, bounds=bounds, linear_solver=linear_solver
    )
    assert fit.cost == pytest.approx(lsq_linear(A, b, bounds).cost, rel=1e-7)
    np.testing.assert_array_equal(fit.active_mask, [-1, -1])
    np.testing.assert_array_equal(fit.x, bounds[0])


# A Newton step of rounding errors alone, of a singular JᵀJ, is no minimum.
# At 1e-8 seed 13814 ends at 0.0006 or, by OpenBLAS without AVX2, at 0.0011.
@pytest.mark.parametrize(
    ("seed", "ftol"), [(759, 1e-8), (3776, 1e-8), (9724, 1e-8), (759, 1e-12), (13814, 1e-12)]
)
def test_equal_columns_in_a_box(seed, ftol):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((5, 1)).round(1), (10 * rng.standard_normal(5)).round()
    c, x0 = (0.3 * rng.standard_normal((5, 1))).round(1), rng.standard_normal(2).round(1)
    A, B = np.hstack([a, a]), np.hstack([c, c])
    bounds = x0 - rng.uniform(1, 3, 2).round(1), x0 + rng.uniform(1, 3, 2).round(1)
    fit = st.least_squares(
        lambda x: A @ x + np.sin(B @ x) - b,
        x0,
        lambda x: A + np.cos(B @ x)[:, None] * B,
        bounds=bounds,
        ftol=ftol,
    )
    assert fit.success and fit.optimality < 1e-3


@pytest.mark.parametrize("sign", [-1, 1])
def test_gtol_is_met_where_the_gradient_pushes_against_a_bound(sign):
    """Of the other variable alone; nothing else may end the fit."""
    fit = st.least_squares(
        lambda x: np.array([x[0] + 3 * sign, np.exp(x[1]) - 2, 1.0]), [0.5 * sign, 0.0],
        bounds=(-1, 1), ftol=None, xtol=None,
    )  # fmt: skip
    assert fit.status == 1 and fit.x[0] == -sign and fit.active_mask[0] == -sign
    assert fit.x[1] == pytest.approx(np.log(2), rel=1e-6)


def test_a_step_to_a_bound_ends_on_it():
    """x + (bound - x), rounded, may miss it."""
    rng = np.random.default_rng(0)
    x0, bound = rng.uniform(-3, 3, 50), rng.uniform(4, 9, 50)
    s = st.LeastSquares(x0, bounds=(-9, bound), method="gn")
    s.tell(x0 - 100, np.eye(50))
    np.testing.assert_array_equal(s.x, bound)


@pytest.mark.parametrize("shape", [lambda u: (u, 1 + 0 * u), lambda u: (np.exp(u), np.exp(u))])
def test_answers_on_bounds_without_a_multiplier(shape):
    """Residuals without noise; steps half of the way to bounds took 134 and 243 evaluations."""

    def fit(seed):
        rng = np.random.default_rng(seed)
        A, true = rng.standard_normal((40, 20)) / 4, np.maximum(rng.standard_normal(20), 0)
        y = shape(A @ true)[0]
        return st.least_squares(
            lambda x: shape(A @ x)[0] - y,
            np.full(20, 0.5),
            lambda x: shape(A @ x)[1][:, None] * A,
            bounds=(0, np.inf),
        )

    fits = [fit(seed) for seed in range(6)]
    assert all(fit.success and fit.cost < 1e-12 for fit in fits)
    assert sum(fit.nfev for fit in fits) <= 70


@pytest.mark.parametrize("method", ["lm", "levenberg"])
def test_a_tiny_step_that_was_exact_leads_to_no_bound_at_once(method):
    """Curves from far starts ended on bounds after three evaluations."""
    s = st.LeastSquares([1.0], bounds=(0, np.inf), method=method, damping=1e6)
    for most in (1, 0.9999995, 0.4999999):
        assert s.x[0] >= most - 1e-5
        s.tell(s.x + 5, np.eye(1))


# Bounds that the first steps led to, by models that were wrong so far away, held fits: of the 24 of
# each line 16, 22 and 19 arrived, of the curves 11 of 12.
@pytest.mark.parametrize("angle", peaks.ANGLES)
def test_an_angle_with_bounds_is_found(angle):
    def found(p):
        fit = st.least_squares(p.residual, p.start, p.jacobian, bounds=p.bounds)
        return fit.success and fit.cost <= 0.5 * np.sum(p.residual(p.true) ** 2)

    assert sum(found(peaks.problem(angle, seed)) for seed in range(24)) >= 23


@pytest.mark.parametrize("method", ["lm", "levenberg"])
@pytest.mark.parametrize("curve", ["exponential", "lorentzian", "logistic", "gompertz", "hill"])
def test_positive_parameters_from_ones(curve, method):
    for seed in range(12):
        p = curves.problem(curve, "ones", seed)
        bounds = (0, 10 * p.true)
        with np.errstate(all="ignore"):  # at 0
            fit = st.least_squares(p.residual, p.start, p.jacobian, bounds=bounds, method=method)
        assert p.solved(fit.x), seed


def test_a_bound_is_met_in_the_end_after_steps_that_stop_before_it():
    def fun(x):
        return np.array([np.exp(3 * x[0]), x[1] - np.sin(x[0]), 0.1])

    fit = st.least_squares(fun, [2.0, 0.0], bounds=([-1.5, -1], [3, 0.8]))
    assert fit.success and fit.x[0] == -1.5 and fit.active_mask.tolist() == [-1, 0]


def test_no_step_that_stops_before_a_bound_ends_a_fit():
    A, b = np.array([[2.0, 1.0], [-3.0, 1.0], [0.0, -3.0]]), [1.0, -3.0, 0.0]
    fit = st.least_squares(
        lambda x: np.exp(A @ x) - b, [0.5, 0.5], lambda x: np.exp(A @ x)[:, None] * A, bounds=(0, 1)
    )
    assert fit.success and fit.x[1] == 0 and fit.active_mask.tolist() == [0, -1]


def test_gn_goes_onto_any_bound_after_a_step_that_did_as_predicted():
    A, b = np.array([[3.0, 0.0], [0.0, -2.0], [-1.0, -3.0]]), [-1.0, 1.0, 2.0]
    fit = st.least_squares(
        lambda x: np.sinh(A @ x) - b,
        [0.5, 0.5],
        lambda x: np.cosh(A @ x)[:, None] * A,
        bounds=(0, 1),
        method="gn",
    )
    assert fit.nfev == 3 and fit.active_mask.tolist() == [-1, -1]


def test_scipys_bounds_object():
    fit = st.least_squares(lambda x: x, [2.0, 2.0], bounds=Bounds([0.5, -1], [3, 3]))
    np.testing.assert_allclose(fit.x, [0.5, 0], atol=1e-12)


@pytest.mark.parametrize("bounds", [Bounds(0.5, 3), Bounds(lb=0.5)])
def test_one_number_in_scipys_bounds_object_bounds_all(bounds):
    """It keeps an array (1,) of it."""
    fit = st.least_squares(lambda x: x, [2.0, 2.0], bounds=bounds)
    np.testing.assert_array_equal(fit.x, [0.5, 0.5])


def test_one_bound_alone():
    for sign, bounds in ((1, ([-np.inf, 1], np.inf)), (-1, (-np.inf, [np.inf, -1]))):
        fit = st.least_squares(lambda x: x, [5.0, 2.0 * sign], bounds=bounds)
        np.testing.assert_allclose(fit.x, [0, sign], atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_scipys(loss):
    rng = np.random.default_rng(3)
    t = np.linspace(0, 2, 60)
    y = 2 * np.exp(-t) + 0.05 * rng.standard_normal(60)
    y[::9] += 2

    def fun(p):
        return p[0] * np.exp(-p[1] * t) - y

    options = dict(loss=loss, f_scale=0.1)
    fit = st.least_squares(fun, [1.5, 0.7], **options)
    want = scipy_least_squares(fun, [1.5, 0.7], **options, ftol=1e-14, xtol=1e-14, gtol=1e-14)
    np.testing.assert_allclose(fit.x, want.x, rtol=1e-4)
    assert fit.cost == pytest.approx(want.cost, rel=1e-8)
    np.testing.assert_allclose(fit.jac, want.jac, rtol=1e-3, atol=1e-6)


# Far out the losses are flat or bent down: the model has no curvature there and bounds its steps by
# the box alone.
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("f_scale", [1.0, 0.1])
@pytest.mark.parametrize(
    "problem, x0, lower, upper",
    [
        (ROSENBROCK, [-2.0, 1.0], [-np.inf, -1.5], [np.inf, np.inf]),
        (ROSENBROCK, [-2.0, 1.0], [-50.0, -50.0], [0.5, 100.0]),
        (ROSENBROCK, [0.0, 1.0], [0.0, 0.0], [0.5, 2.0]),
        (BROYDEN, np.full(10, -1.0), np.full(10, -2.0), np.full(10, -0.6)),
        (BROYDEN, np.full(10, -1.0), np.full(10, -1.2), np.full(10, 1.0)),
    ],
)
def test_outliers_in_a_box(problem, x0, lower, upper, loss, f_scale):
    options = dict(bounds=(lower, upper), loss=loss, f_scale=f_scale)
    fit = st.least_squares(problem.residual, x0, problem.jacobian, **options)
    further = scipy_least_squares(problem.residual, fit.x, problem.jacobian, **options)
    assert fit.success and fit.cost <= further.cost * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", ["lm", "levenberg"])
def test_outliers_alone(loss, method):
    fit = st.least_squares(lambda x: x**2 + 5, 2.0, lambda x: 2 * x, loss=loss, method=method)
    np.testing.assert_allclose(fit.x, 0, atol=1e-11 if loss == "linear" else 1e-15)


def tukey(z):
    inside = z <= 1
    return np.stack(
        [
            np.where(inside, (1 - (1 - z) ** 3) / 3, 1 / 3),
            np.where(inside, (1 - z) ** 2, 0),
            np.where(inside, -2 * (1 - z), 0),
        ]
    )


def test_tukey_is_its_formula_and_a_callable_may_say_it():
    t = np.arange(20.0)
    y = 3 + 0.5 * t
    y[4] = 90

    def fun(p):
        return p[0] + p[1] * t - y

    start = [2.5, 0.6]
    fits = [st.least_squares(fun, start, loss=loss, f_scale=8.0) for loss in ("tukey", tukey)]
    for fit in fits:
        np.testing.assert_allclose(fit.x, [3, 0.5], atol=1e-6)
    assert fits[0].cost == pytest.approx(fits[1].cost)
    z = (fun(fits[0].x) / 8) ** 2
    assert fits[0].cost == pytest.approx(0.5 * 64 * tukey(z)[0].sum())


def cauchy(z):
    return np.stack([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])


@pytest.mark.parametrize("f_scale", [0.5, 8.0])
def test_a_callable_loss_is_handed_squares_over_f_scale(f_scale):
    t = np.arange(20.0)
    y = 3 + 0.5 * t + 2 * np.cos(7 * t)
    given, named = (
        st.least_squares(lambda p: p[0] + p[1] * t - y, [2.5, 0.6], loss=loss, f_scale=f_scale)
        for loss in (cauchy, "cauchy")
    )
    np.testing.assert_allclose(given.x, named.x, rtol=1e-6)
    assert given.cost == pytest.approx(named.cost)


def test_residuals_whose_squares_overflow_at_a_trial_are_no_warning():
    seen = []

    def fun(x):
        seen.append(x)
        return np.full(2, 1e200) if len(seen) == 2 else x - [1.0, 2.0]

    with np.errstate(over="raise"):  # a warning by default
        fit = st.least_squares(fun, [0.0, 0.0], lambda x: np.eye(2), loss=cauchy)
    assert fit.success
    np.testing.assert_allclose(fit.x, [1, 2], atol=1e-6)


def test_at_a_bound_that_holds_it_the_gradient_of_a_variable_does_not_count():
    fit = st.least_squares(lambda x: x - 2, [1.0, 1.0], bounds=(0, 1))
    assert (fit.status, fit.nfev, fit.optimality) == (1, 1, 0)
    np.testing.assert_array_equal(fit.active_mask, 1)


# The sizes are those at which J is read another way: by a loop or by LAPACK, in one or more chunks.
@pytest.mark.parametrize("linear_solver", ["auto", "qr", "cg"])
@pytest.mark.parametrize("loss", ["linear", "soft_l1"])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", [(9, 2), (150, 3), (40, 8), (2500, 8), (300, 20)])
def test_every_row_has_its_own_weight(shape, order, loss, linear_solver):
    rng = np.random.default_rng(5)
    J, f = np.asarray(rng.standard_normal(shape), order=order), 3 * rng.standard_normal(shape[0])
    s = st.LeastSquares(np.full(shape[1], 1e3), loss=loss, linear_solver=linear_solver)
    s.tell(f, J)
    first = np.ones(shape[0]) if loss == "linear" else 1 / np.sqrt(1 + f**2)  # ρ'
    kept = np.maximum(first**3, 0.75 * first)  # ρ' + 2zρ'' is its cube; far away most of ρ' is kept
    H, g = (kept * J.T) @ J, J.T @ (first * f)
    D2 = np.sum(J**2, axis=0)  # of the columns as they are
    step = np.linalg.solve(H + s._solver.damping * np.diag(D2), -g)
    rtol = 2e-3 if linear_solver == "cg" else 1e-8
    np.testing.assert_allclose(s.x - 1e3, step, rtol=rtol, atol=rtol * np.abs(step).max())


def test_a_loss_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"loss: returned shape \(2,\); expected \(3, 2\)"):
        st.least_squares(lambda x: x, [1.0, 2.0], loss=lambda z: z)


def far_out(x):
    return np.array([x[0] - 1, x[1] - 2, x[0] * x[1] - 1, 1e6 * (x[0] + x[1])])


def far_out_jac(x):
    return np.array([[1, 0], [0, 1], [x[1], x[0]], [1e6, 1e6]])


# With the columns' norms before weights a residual far out hid a gradient of 2e-4 from gtol.
@pytest.mark.parametrize("linear_solver", ["auto", "qr", "cg"])
@pytest.mark.parametrize("loss", ["soft_l1", "arctan"])
@pytest.mark.parametrize("max_nfev", [None, 1])  # 1: the last point, where no step follows
def test_gtol_sees_the_weighted_jacobian(max_nfev, loss, linear_solver):
    options = dict(loss=loss, linear_solver=linear_solver, max_nfev=max_nfev)
    fit = st.LeastSquares(np.array([0.4, 0.3]), **options)
    for _ in range(3):  # to the first Jacobian
        fit.tell(far_out(fit.x), far_out_jac)
        if fit._solver.cosine:
            break
    at = fit.result()
    norms = np.linalg.norm(at.jac, axis=0)
    if max_nfev is None:  # a step follows, of which little is known: most of ρ' is kept
        z = at.fun**2
        most = 0.75 / (np.sqrt(1 + z) if loss == "soft_l1" else 1 + z**2)
        squares = far_out_jac(at.x) ** 2
        curvature = (at.jac**2).sum(axis=1) / squares.sum(axis=1)
        norms = np.sqrt(np.maximum(curvature, most) @ squares)
    cosine = np.abs(at.grad / norms).max() / np.sqrt(2 * at.cost)
    assert fit._solver.cosine == pytest.approx(cosine, rel=1e-9)


def test_gtol_is_judged_by_the_curvature_of_the_cost():
    """What rows keep of ρ' at first makes the cosine 0.64 of 13.8."""
    options = dict(loss="arctan", method="gn", gtol=0.7)
    fit = st.least_squares(far_out, [0.4, 0.3], far_out_jac, **options)
    cosine = np.abs(fit.grad / np.linalg.norm(fit.jac, axis=0)) / np.sqrt(2 * fit.cost)
    assert fit.nfev > 1 and (fit.status != 1 or cosine.max() <= 0.7)


@pytest.mark.parametrize(
    "loss", ["huber", lambda z: np.stack([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])]
)
def test_the_jacobian_of_a_result_has_the_curvature_of_the_cost(loss):
    """Also where the fit ends far away."""
    rng = np.random.default_rng(1)
    J, y = rng.standard_normal((40, 3)), 5 * rng.standard_normal(40)
    fit = st.least_squares(
        lambda x: J @ x - y,
        np.ones(3),
        lambda x: J,
        loss=loss,
        f_scale=0.5,
        callback=lambda x: True,
    )
    assert fit.nit == 1
    z = (fit.fun / 0.5) ** 2
    curvature = np.where(z <= 1, 1, 0) if loss == "huber" else (1 - z) / (1 + z) ** 2
    weights = np.sqrt(np.maximum(curvature, np.finfo(float).eps))
    np.testing.assert_allclose(fit.jac, weights[:, None] * J, rtol=1e-12)


@pytest.mark.parametrize("loss", ["cauchy", "arctan", "tukey"])
def test_more_fits_come_to_the_least_cost_from_a_fit_by_soft_l1(loss):
    """As the docs advise where many data are outliers, here a third."""
    t, at_once, by_two = np.linspace(0, 4, 60), 0, 0
    for seed in range(50):
        r = np.random.default_rng(seed)
        true = r.uniform([1, 0.3, -1], [4, 2, 1])
        y = true[0] * np.exp(-true[1] * t) + true[2] + 0.05 * r.normal(size=60)
        y[r.choice(60, 20, replace=False)] += r.uniform(-10, 10, 20)

        def fit(x0, loss, y=y):
            return st.least_squares(
                lambda p: p[0] * np.exp(-p[1] * t) + p[2] - y, x0, "3-point", loss=loss, f_scale=0.1
            )

        x0 = r.uniform([0, 0, -2], [6, 3, 2])
        starts = true, x0, fit(x0, "soft_l1").x
        least, one, two = (fit(start, loss).cost for start in starts)
        least = min(least, one, two) * (1 + 1e-6)
        at_once, by_two = at_once + (one <= least), by_two + (two <= least)
    assert by_two >= 42 and by_two >= at_once + (0 if loss == "cauchy" else 10)
