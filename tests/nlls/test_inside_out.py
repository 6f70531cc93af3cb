"""LeastSquares, normal equations, blocks of rows: the same fits as the loop's."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import steepest as st
from problems import mgh, nist

ROSENBROCK = mgh.PROBLEMS[0]
THURBER = nist.load("Thurber")


def test_told_step_by_step_it_is_the_loop():
    s = st.LeastSquares(THURBER.starts[0])
    while not s.done:
        s.tell(THURBER.residual(s.x), THURBER.jacobian)
    want = st.least_squares(THURBER.residual, THURBER.starts[0], THURBER.jacobian)
    got = s.result()
    np.testing.assert_array_equal(got.x, want.x)
    assert (got.nfev, got.njev, got.status) == (want.nfev, want.njev, want.status)


def test_told_both_arrays_it_asks_for_no_look_ahead():
    s = st.LeastSquares(ROSENBROCK.start)
    points = []
    while not s.done:
        points.append(s.x)
        s.tell(ROSENBROCK.residual(s.x), ROSENBROCK.jacobian(s.x))
    np.testing.assert_allclose(s.x, 1, rtol=1e-7)
    assert s.result().nfev == len(points)
    for yes in (True, np.True_):
        joint = st.least_squares(
            lambda x: (ROSENBROCK.residual(x), ROSENBROCK.jacobian(x)), ROSENBROCK.start, yes
        )
        assert joint.nfev == len(points)
        np.testing.assert_allclose(joint.x, 1, rtol=1e-7)


@pytest.mark.parametrize(
    "problem, start", [(ROSENBROCK, ROSENBROCK.start), (THURBER, THURBER.starts[1])]
)
def test_normal_equations(problem, start):
    s = st.LeastSquares(start)
    while not s.done:
        f, J = problem.residual(s.x), problem.jacobian(s.x)
        s.tell_normal(0.5 * f @ f, J.T @ J, J.T @ f)
    got = s.result()
    want = st.least_squares(problem.residual, start, problem.jacobian)
    np.testing.assert_allclose(got.x, want.x, rtol=1e-4)
    assert got.success and got.jac is None
    with pytest.raises(ValueError, match="normal equations do not give the number of residuals"):
        got.covariance()
    np.testing.assert_allclose(
        got.covariance(absolute_sigma=True), want.covariance(absolute_sigma=True), rtol=1e-3
    )


@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr"])
@pytest.mark.parametrize("loss", ["linear", "huber"])
@pytest.mark.parametrize("rows", [1, 5, 37])
def test_blocks_of_rows(rows, loss, linear_solver):
    def blocks(p):
        f, J = THURBER.residual(p), THURBER.jacobian(p)
        for i in range(0, f.size, rows):
            yield f[i : i + rows], J[i : i + rows]

    options = dict(loss=loss, f_scale=10.0, linear_solver=linear_solver)
    got = st.least_squares(blocks, THURBER.starts[1], True, **options)
    want = st.least_squares(THURBER.residual, THURBER.starts[1], THURBER.jacobian, **options)
    assert got.success and got.cost == pytest.approx(want.cost, rel=1e-7)
    np.testing.assert_allclose(got.x, want.x, rtol=1e-2)
    if loss == "linear":
        np.testing.assert_allclose(got.stderr(), want.stderr(), rtol=1e-2)


@pytest.mark.parametrize("blocks", [False, True])
def test_callbacks_see_fits_whose_jacobian_comes_along(blocks):
    def fun(x):
        pair = ROSENBROCK.residual(x), ROSENBROCK.jacobian(x)
        return iter([pair]) if blocks else pair

    def watch(intermediate_result):
        seen.append(intermediate_result.nit)
        assert (intermediate_result.fun is None) == blocks
        if len(seen) == most:
            raise StopIteration

    for most in (100, 2):
        seen: list[int] = []
        fit = st.least_squares(fun, ROSENBROCK.start, True, callback=watch)
        assert seen == list(range(1, len(seen) + 1)) and seen[-1] == fit.nit
        assert fit.status == (-2 if most == 2 else 1) and (len(seen) == 2) == (most == 2)


def test_a_generator_of_blocks_is_closed_where_it_is_left():
    closed, given = [], []

    def blocks(x):
        try:
            yield x - 3, np.eye(2)
            yield "no pair"
        finally:
            closed.append(x)

    def fun(x):
        given.append(blocks(x))
        return given[-1]

    with pytest.raises(TypeError, match="fun: a block of rows is a str; expected a pair"):
        st.least_squares(fun, [0.0, 0.0], True)
    assert len(given) == len(closed) == 1


def test_conjugate_gradients_need_all_rows():
    with pytest.raises(ValueError, match="itself; blocks take .auto., .cholesky., .qr.$"):
        st.least_squares(lambda x: iter([(x, np.eye(1))]), [1.0], True, linear_solver="cg")


def test_blocks_go_on_where_rounding_alone_makes_the_first_cost_more():
    """The gradient decides about such a point: it would be that of the first block."""
    s = st.LeastSquares([1e-10], gtol=None, damping=1e-9)
    first = np.ones(1), np.zeros((1, 1))
    s.tell_blocks([first, (s.x, np.ones((1, 1)))])
    while not s.done:
        told = iter([(first[0] + 2**-52, first[1]), (s.x, np.ones((1, 1)))])
        s.tell_blocks(told)
        assert next(told, None) is None
    np.testing.assert_allclose(s.result().covariance(absolute_sigma=True), [[1]])
    assert abs(s.x[0]) < 1e-15


def test_blocks_end_early_once_the_point_is_refused():
    taken, closed = [], []

    def blocks(x):
        try:
            for i in range(4):
                taken.append((float(x[0]), i))
                bad = x[0] > 5
                yield np.full(3, 1e6 if bad else np.exp(x[0]) - 20), np.full((3, 1), np.exp(x[0]))
        finally:
            closed.append(1)

    fit = st.least_squares(blocks, [0.0], True)
    assert fit.x[0] == pytest.approx(np.log(20))
    refused = [i for x, i in taken if x > 5]
    assert refused and max(refused) == 0
    assert len(closed) == fit.nfev


def test_misuse_is_named():
    s = st.LeastSquares([1.0, 2.0])
    with pytest.raises(ValueError, match="no point has been told completely yet"):
        s.result()
    s.tell(ROSENBROCK.residual(s.x), ROSENBROCK.jacobian)
    assert s.result().success is False and "Not done" in s.result().message
    with pytest.raises(ValueError, match=r"tell_normal: JtJ \(3, 3\), Jtf \(2,\)"):
        s.tell_normal(1.0, np.eye(3), np.ones(2))
    with pytest.raises(ValueError, match=r"tell_normal: JtJ \(2, 2\), Jtf \(3,\)"):
        s.tell_normal(1.0, [[1, 0], [0, 1]], [1, 1, 1])
    with pytest.raises(ValueError, match="'qr' needs J; expected 'auto' or 'cholesky'"):
        st.LeastSquares([1.0], linear_solver="qr").tell_normal(1.0, np.eye(1), [1.0])
    while not s.done:
        s.tell(ROSENBROCK.residual(s.x), ROSENBROCK.jacobian)
    with pytest.raises(ValueError, match="the solver waits for nothing: it is done"):
        s.tell_normal(1.0, np.eye(2), np.ones(2))
    for jac in (ROSENBROCK.jacobian, ROSENBROCK.jacobian(s.x)):
        with pytest.raises(ValueError, match="tell: the solver waits for nothing: it is done"):
            s.tell(ROSENBROCK.residual(s.x), jac)
    with pytest.raises(TypeError, match=r"fun: returned a tuple; expected \(f, J\) with jac=True"):
        st.least_squares(lambda x: (x, np.eye(1), 0), [1.0], True)
    with pytest.raises(TypeError, match=r"fun: returned an int; expected \(f, J\) with jac=True"):
        st.least_squares(lambda x: 3, [1.0], True)
    with pytest.raises(ValueError, match="a callable needs all residuals at once"):
        st.least_squares(lambda x: iter([]), [1.0], True, loss=lambda z: z)


def test_rows_that_are_none_or_other_than_before_are_named():
    rows = ROSENBROCK.residual(ROSENBROCK.start), ROSENBROCK.jacobian(ROSENBROCK.start)
    spent = iter([rows])
    next(spent)
    for none in ([], spent):
        s = st.LeastSquares(ROSENBROCK.start)
        with pytest.raises(ValueError, match="fun: gave no block of rows"):
            s.tell_blocks(none)
        s.tell_blocks([rows])  # and goes on
        with pytest.raises(ValueError, match="fun: gave no block of rows"):
            s.tell_blocks(none)
        with pytest.raises(ValueError, match="fun: 3 residuals, 2 at x0"):
            s.tell_blocks([(np.zeros(3), np.zeros((3, 2)))])
        with pytest.raises(TypeError, match=r"a block of rows is an ndarray; expected a pair"):
            s.tell_blocks(rows)
        assert s.nit == 0
        s.tell_blocks([(np.zeros(2), np.eye(2))])
        assert s.nit == 1
    with pytest.raises(ValueError, match="fun: gave no block of rows"):
        st.least_squares(lambda x: spent, ROSENBROCK.start, True)


@pytest.mark.parametrize("J", [np.empty((5, 2))[:0], np.empty((0, 2)), np.empty((2, 0)).T])
def test_a_start_without_rows_is_no_minimum(J):
    none = (np.empty(0), J)  # what slices past the last row give, or a machine that has no data
    s = st.LeastSquares([1.0, 2.0])
    with pytest.raises(ValueError, match=r"jac: an empty array of shape \(0, 3\)"):
        s.tell_blocks([(np.empty(0), np.empty((0, 3)))])
    with pytest.raises(ValueError, match="fun: no residuals; expected at least one"):
        s.tell_blocks([none, none])
    s.tell_blocks([none, (np.zeros(2), np.eye(2)), none])
    assert s.done and s.result().success


@pytest.mark.parametrize("form", ["whole", "normal"])
def test_a_start_that_was_refused_leaves_no_number_of_residuals(form):
    s = st.LeastSquares([1.0, 2.0])
    with pytest.raises(ValueError, match="not finite in the initial point"):
        s.tell_blocks([(np.full(3, np.nan), np.ones((3, 2)))])
    if form == "whole":
        s.tell(np.zeros(2), np.eye(2))
    else:
        s.tell_normal(0.0, np.eye(2), np.zeros(2))
        with pytest.raises(ValueError, match="do not give the number of residuals"):
            s.result().covariance()
    assert s.done


def test_normal_equations_that_are_none_are_named():
    s = st.LeastSquares(ROSENBROCK.start)
    with pytest.raises(ValueError, match="tell_normal: cost -1.0; expected"):
        s.tell_normal(-1.0, np.eye(2), np.ones(2))
    with pytest.raises(ValueError, match=r"tell_normal: cost \[1. 2.\]; expected .* a number, at"):
        s.tell_normal(np.array([1.0, 2.0]), np.eye(2), np.ones(2))
    for cost, error in (("a", ValueError), (np.array(1j), TypeError), ([[1], [1, 2]], ValueError)):
        with pytest.raises(error, match="tell_normal: cost: .*; expected real numbers"):
            s.tell_normal(cost, np.eye(2), np.ones(2))
    with pytest.raises(ValueError, match="tell_normal: JtJ has a negative diagonal"):
        s.tell_normal(1.0, np.diag([1.0, -1.0]), np.ones(2))
    half = np.array([[1.0, 0.5], [np.nan, 1.0]])  # the lower triangle
    with pytest.raises(ValueError, match="jac: not finite at x0"):
        s.tell_normal(1.0, half, np.ones(2))
    s.tell_normal(1.0, half.T, np.ones(2))
    x = s.x
    s.tell_normal(0.5, half, np.ones(2))  # a rejected step
    assert s.nit == 0 and 0 < np.linalg.norm(s.x - ROSENBROCK.start) < np.linalg.norm(
        x - ROSENBROCK.start
    )
    with pytest.raises(ValueError, match="loss: 'huber' needs residuals"):
        st.LeastSquares([1.0], loss="huber").tell_normal(1.0, [[1.0]], [1.0])


def test_an_error_leaves_the_solver_as_it_was():
    s = st.LeastSquares(ROSENBROCK.start)
    x = s.x
    with pytest.raises(ValueError, match="fun: residuals of shape"):
        s.tell(np.eye(2), ROSENBROCK.jacobian)
    np.testing.assert_array_equal(s.x, x)
    for bad in (np.eye(3), np.ones((2, 1)), "J", [[1, 2j], [3, 4]]):  # the residuals, too, are new
        with pytest.raises((TypeError, ValueError), match="^jac: "):
            s.tell([7.0, 7.0], bad)
        assert repr(s) == "LeastSquares(2 parameters, waits for the residuals at x)"
    with pytest.raises(ZeroDivisionError):
        s.tell(ROSENBROCK.residual(s.x), lambda x: 1 / 0)
    with pytest.raises(ValueError, match="no point has been told completely"):
        s.result()
    while not s.done:
        s.tell(ROSENBROCK.residual(s.x), ROSENBROCK.jacobian)
    np.testing.assert_allclose(s.x, 1, rtol=1e-7)


def test_its_repr_says_how_far_it_is():
    s = st.LeastSquares([3.0])
    seen, costs = [repr(s)], [s.cost]

    def jac(x):
        seen.append(repr(s))
        costs.append(s.cost)
        return [[1.0]]

    while not s.done:
        s.tell(s.x - 1, jac)
    assert seen[0] == "LeastSquares(1 parameter, waits for the residuals at x)"
    assert seen[1] == "LeastSquares(1 parameter, waits for the Jacobian at x)"
    assert seen[2].endswith("waits for the Jacobian at x, iteration 0, cost 2)")
    assert repr(s) == f"LeastSquares(1 parameter, done, iteration {s.nit}, cost {s.cost:.6g})"
    assert np.isnan(costs[:2]).all() and costs[2] == 2


@pytest.mark.parametrize("attempt", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_copied(attempt):
    """copy.copy gave two that shared one solver."""
    s = st.LeastSquares(ROSENBROCK.start)
    s.tell(ROSENBROCK.residual(s.x), ROSENBROCK.jacobian)
    asked = s.x
    with pytest.raises(TypeError, match="LeastSquares: its solver .* copied nor pickled; start"):
        attempt(s)
    np.testing.assert_array_equal(s.x, asked)


def test_a_result_shows_and_keeps_what_it_says():
    def blocks(x):
        return iter([(ROSENBROCK.residual(x), ROSENBROCK.jacobian(x))])

    fit = st.least_squares(blocks, ROSENBROCK.start, True)
    assert fit.jac is None and not [key for key in fit if key.startswith("_")]
    J = ROSENBROCK.jacobian(fit.x)
    for same in (fit, copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):
        np.testing.assert_allclose(same.covariance(True), np.linalg.inv(J.T @ J))


def points(problem, start, count, **options):
    """The first points that the solver asks for, Jacobians told with the residuals."""
    s = st.LeastSquares(start, **options)
    asked = []
    while len(asked) < count and not s.done:
        s.tell(problem.residual(s.x), problem.jacobian(s.x))
        asked.append(s.x)
    return np.array(asked)


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), ([-2, 0.9], [0.5, 9])])
@pytest.mark.parametrize("loss", ["linear", "soft_l1"])
@pytest.mark.parametrize("method", ["lm", "levenberg"])
def test_linear_solvers_take_the_same_steps(method, loss, bounds):
    options = dict(method=method, loss=loss, bounds=bounds, f_scale=3.0, damping=0.1)
    start = np.array([-1.2, 1.0])
    want = points(ROSENBROCK, start, 8, linear_solver="cholesky", **options)
    got = points(ROSENBROCK, start, 8, linear_solver="qr", **options)
    error = np.abs(got - want).max(axis=1)
    np.testing.assert_array_less(error, 1e-9 * np.abs(want).max(axis=1))  # one passes by zero
    first = points(ROSENBROCK, start, 1, linear_solver="cg", **options)[0]
    np.testing.assert_allclose(first - start, want[0] - start, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("n", [13, 14, 20])
def test_blocks_of_an_ill_conditioned_problem_change_to_qr(n):
    """JᵀJ is singular in double precision (20 columns), or its pivots keep few digits. By normal
    equations it took 63, 1045 and 491 evaluations."""
    A = np.vander(np.linspace(0, 1, 30), n)
    points = []

    def blocks(x):
        points.append(x)
        return ((A[i : i + 7] @ (x - 1), A[i : i + 7]) for i in range(0, 30, 7))

    fit = st.least_squares(blocks, np.zeros(n), True)
    assert fit.success and fit.nfev == len(points) < 20
    np.testing.assert_allclose(fit.x, 1, atol=1e-4)


def nearly_parallel():
    """Two columns: the second pivot of JᵀJ, about 1e-10, has some right digits."""
    a, b = np.random.default_rng(0).standard_normal((2, 20))
    return np.column_stack([a, a + 1e-5 * b])


def test_blocks_change_to_qr_after_a_step_by_cholesky():
    """Gauss-Newton's method has no other step at that point."""
    A = nearly_parallel()
    fit = st.least_squares(lambda x: iter([(A @ (x - 1), A)]), np.zeros(2), True, method="gn")
    assert fit.success and fit.nfev < 5
    np.testing.assert_allclose(fit.x, 1, atol=1e-8)


@pytest.mark.parametrize("method", ["lm", "gn"])
def test_normal_equations_stay_with_cholesky(method):
    """There are no rows that QR could take."""
    A, points = nearly_parallel(), {}
    for solver in ("auto", "cholesky"):
        s = st.LeastSquares(np.zeros(2), linear_solver=solver, method=method)
        points[solver] = [s.x]
        while not s.done:
            r = A @ (s.x - 1)
            s.tell_normal(0.5 * r @ r, A.T @ A, A.T @ r)
            points[solver].append(s.x)
    np.testing.assert_array_equal(points["auto"], points["cholesky"])
    np.testing.assert_allclose(s.x, 1, atol=1e-8)


def tell(s, f, J):
    s.tell(f, J)


def tell_normal(s, f, J):
    s.tell_normal(0.5 * f @ f, J.T @ J, J.T @ f)


def tell_blocks(s, f, J):
    s.tell_blocks([(f, J)])


@pytest.mark.parametrize("form", [tell, tell_normal, tell_blocks])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_solver_that_found_no_step_is_told_nothing_more(form, steps):
    """It took what was told for another accepted point, and was done where it stood."""
    s = st.LeastSquares([3.0, 5.0], method="gn")
    for _ in range(steps):
        form(s, s.x**2 - 2, np.diag(2 * s.x))
    x = s.x
    with pytest.raises(np.linalg.LinAlgError, match=f"singular at x .iteration {steps}.; use"):
        form(s, x**2 - 2, np.ones((2, 2)))
    for _ in range(2):
        with pytest.raises(ValueError, match="nothing: it found no step from x; make a new one$"):
            form(s, x**2 - 2, np.diag(2 * x))
    assert not s.done and (s.x == x).all()
    if form is tell and steps:
        assert (s.result().jac == 1).all()


@pytest.mark.parametrize("blocks", [None, 3])
def test_what_is_no_blocks_of_rows_is_named(blocks):
    solver = st.LeastSquares([5.0])
    with pytest.raises(
        TypeError, match=r"^blocks: got (None|an int); expected pairs \(f, J\), as from"
    ):
        solver.tell_blocks(blocks)
    while not solver.done:
        solver.tell_blocks([(solver.x - 1, np.eye(1))])
    assert solver.x == 1


def test_residuals_that_the_jacobians_conversion_resizes():
    """Rows beyond the Jacobian's end were read."""
    f = np.ones(3)

    class Jacobian:
        def __array__(self, dtype=None, copy=None):
            f.resize(1000, refcheck=False)
            return np.ones((3, 2))

    s = st.LeastSquares([1.0, 2.0])
    with pytest.raises(ValueError, match=r"jac: shape \(3, 2\); expected \(1000, 2\)"):
        s.tell_blocks([(f, Jacobian())])
    assert s.cost != s.cost  # nothing is told


@pytest.mark.parametrize("form", [tell, tell_normal, tell_blocks])
def test_blocks_that_tell_the_solver_themselves(form):
    """Their rows were mixed with those of the inner call, silently."""
    s = st.LeastSquares([1.0, 2.0])

    def blocks():
        yield np.ones(1), np.ones((1, 2))
        form(s, np.ones(2), np.eye(2))
        yield np.ones(1), np.ones((1, 2))

    with pytest.raises(
        ValueError, match=f"{form.__name__}: tell_blocks has not read all its blocks"
    ):
        s.tell_blocks(blocks())
    s.tell_blocks([(s.x, np.eye(2))])
    assert s.cost == 2.5


def test_only_one_thread_at_a_time_may_tell():
    """The other one comes while the first one's residuals become an array."""
    J = np.eye(3)[:, :2]

    class Slow:
        def __array__(self, dtype=None, copy=None):
            with ThreadPoolExecutor(1) as pool:
                other = pool.submit(s.tell, np.ones(3), lambda x: J)
            with pytest.raises(ValueError, match="another thread is inside this solver"):
                other.result()
            return np.ones(3)

    s = st.LeastSquares([1.0, 1.0])
    s.tell(Slow(), lambda x: J)
    assert s.cost == 1.5


def test_a_result_that_another_thread_asks_for_is_of_one_point():
    """Its J was that of the point before, or none, where the next one was being told."""
    A = np.random.default_rng(1).normal(size=(4000, 60))

    def tell_all(s):
        while not s.done:
            x = s.x
            s.tell(A @ (x + x * x / 2) - 1, A * (1 + x))

    with ThreadPoolExecutor(1) as pool:
        for _ in range(5):
            s = st.LeastSquares(np.ones(60))
            telling = pool.submit(tell_all, s)
            while not telling.done():
                if s.nit:
                    at = s.result()
                    np.testing.assert_array_equal(at.jac, A * (1 + at.x))
            telling.result()
