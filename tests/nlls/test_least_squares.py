"""What least_squares finds, whatever the method, the linear solver, and the form of J."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import least_squares as scipy_least_squares

import steepest as st

T = np.linspace(0, 3, 40)
TRUE = np.array([2.0, 1.5, 0.5])
Y = TRUE[0] * np.exp(-TRUE[1] * T) + TRUE[2] + 0.05 * np.random.default_rng(1).standard_normal(40)


def fun(p):
    return p[0] * np.exp(-p[1] * T) + p[2] - Y


def jac(p):
    e = np.exp(-p[1] * T)
    return np.stack([e, -p[0] * T * e, np.ones_like(T)], axis=1)


X0 = np.array([1.0, 1.0, 0.0])
BEST = scipy_least_squares(fun, X0, jac, ftol=1e-15, xtol=1e-15, gtol=1e-15).x


@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr", "cg"])
@pytest.mark.parametrize("method", ["lm", "levenberg", "gn"])
def test_every_method_and_solver(method, linear_solver):
    if (method, linear_solver) == ("gn", "cg"):
        with pytest.raises(ValueError, match="linear_solver: 'cg' needs damping"):
            st.least_squares(fun, X0, jac, method=method, linear_solver=linear_solver)
        return
    fit = st.least_squares(fun, X0, jac, method=method, linear_solver=linear_solver)
    np.testing.assert_allclose(fit.x, BEST, rtol=1e-5)
    assert fit.success and fit.status in (1, 2, 3, 4)
    np.testing.assert_allclose(fit.fun, fun(fit.x))
    np.testing.assert_allclose(fit.jac, jac(fit.x))
    np.testing.assert_allclose(fit.grad, jac(fit.x).T @ fun(fit.x), atol=1e-12)
    assert fit.cost == pytest.approx(0.5 * fun(fit.x) @ fun(fit.x), rel=1e-14)


@pytest.mark.parametrize("n", [30, 70])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr", "cg"])
def test_lapack_sizes_and_both_orders(n, order, linear_solver):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((5 * n, n))
    b = rng.standard_normal(5 * n)
    J = np.asarray(A, order=order)
    fit = st.least_squares(
        lambda x: A @ x - b, np.ones(n), lambda x: J, linear_solver=linear_solver
    )
    best = np.linalg.lstsq(A, b, rcond=None)[0]
    rtol = 1e-4 if linear_solver == "cg" else 1e-6
    np.testing.assert_allclose(fit.x, best, rtol=rtol, atol=1e-5)
    assert fit.jac is not J  # a copy: J is also the caller's


@pytest.mark.parametrize("how", ["rows", "columns"])
def test_strided_jacobians(how):
    def strided(p):
        J = jac(p)
        if how == "rows":
            wide = np.zeros((40, 7))
            wide[:, :3] = J
            return wide[:, :3]
        return np.repeat(J, 2, axis=1)[:, ::2]

    np.testing.assert_allclose(st.least_squares(fun, X0, strided).x, BEST, rtol=1e-6)


@pytest.mark.parametrize("jacobian", [jac, "2-point", "3-point"])
def test_residuals_that_are_a_view_with_gaps(jacobian):
    def strided(p):
        wide = np.full(2 * len(T), 99.0)
        wide[::2] = fun(p)
        return wide[::2]

    np.testing.assert_array_equal(
        st.least_squares(strided, X0, jacobian).x, st.least_squares(fun, X0, jacobian).x
    )


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
def test_differences(scheme):
    fit = st.least_squares(fun, X0, scheme)
    np.testing.assert_allclose(fit.x, BEST, rtol=1e-5)
    assert fit.nfev < 20  # differences do not count


def test_first_step_has_the_damping_that_was_asked_for():
    J, f = jac(X0), fun(X0)
    for method, D2, unit in (
        ("lm", np.sum(J**2, axis=0), 1.0),
        ("levenberg", np.ones(3), np.max(np.sum(J**2, axis=0))),
    ):
        s = st.LeastSquares(X0, method=method, damping=10.0)
        s.tell(f, J)
        step = np.linalg.solve(J.T @ J + 10 * unit * np.diag(D2), -J.T @ f)
        np.testing.assert_allclose(s.x - X0, step, rtol=1e-10)


@pytest.mark.parametrize("x_scale", [[1e6, 1e6, 1e6], [1e-3, 2.0, 50.0]])
def test_first_step_has_the_damping_that_was_asked_for_in_any_scale(x_scale):
    J, f, D = jac(X0), fun(X0), 1 / np.array(x_scale)
    for method, unit in (("lm", 1.0), ("levenberg", np.max(np.sum((J / D) ** 2, axis=0)))):
        damping = 10.0 * np.max(np.sum((J / D) ** 2, axis=0)) / unit
        s = st.LeastSquares(X0, method=method, damping=damping, x_scale=x_scale)
        s.tell(f, J)
        step = np.linalg.solve(J.T @ J + damping * unit * np.diag(D**2), -J.T @ f)
        np.testing.assert_allclose(s.x - X0, step, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("n", [2, 9])  # the own factorization and LAPACK's
def test_nearly_dependent_columns_are_solved_as_exactly_as_by_qr(n):
    """Pivots of the normal equations are rounding there; their step would be wrong by 1."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((40, n))
        A[:, 1] = A[:, 0] + 1e-9 * A[:, 1]
        true = rng.standard_normal(n)
        s = st.LeastSquares(np.zeros(n), method="gn")
        s.tell(-A @ true, A)
        np.testing.assert_allclose(s.x, true, atol=1e-4)
        s = st.LeastSquares(np.zeros(n), method="gn", linear_solver="cholesky")
        with pytest.raises(np.linalg.LinAlgError, match="is singular"):  # asked for, it stays
            s.tell(-A @ true, A)


@pytest.mark.parametrize("degree", range(7, 16))
def test_a_polynomial_by_powers_takes_few_steps(degree):
    """Whose pivots come close to rounding, in the normal equations."""
    t = np.linspace(0, 1, 40)
    A = np.vander(t, degree + 1)
    fit = st.least_squares(lambda c: A @ c - np.cos(3 * t), np.zeros(degree + 1), lambda c: A)
    assert fit.success and fit.nfev <= 20 and abs(fit.fun).max() < 1e-5


@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr"])
@pytest.mark.parametrize(("m", "n"), [(40, 3), (1000, 3), (40, 9)])
def test_gauss_newton_names_a_singular_system(m, n, linear_solver):
    for seed in range(8):
        A = np.random.default_rng(seed).integers(-9, 10, (m, n)).astype(float)
        A[:, -1] = A[:, 0] - A[:, 1] if seed else 0
        with pytest.raises(np.linalg.LinAlgError, match="is singular at x"):
            st.least_squares(
                lambda x, A=A: A @ x - 1, np.zeros(n), lambda x, A=A: A,
                method="gn", linear_solver=linear_solver,
            )  # fmt: skip


def test_args_and_kwargs():
    fit = st.least_squares(lambda x, a, b=0.0: x - a - b, 1.0, args=(2.0,), kwargs={"b": 0.5})
    np.testing.assert_allclose(fit.x, 2.5)


@pytest.mark.parametrize("args", [[0.0], np.zeros(1), np.zeros(2)], ids=repr)
@pytest.mark.parametrize("jac", ["2-point", lambda x, a, *b: [[1.0 + a]]])
def test_further_arguments_in_an_array_or_list(jac, args):
    """Whose own truth, of an array of zeros say, does not count."""
    fit = st.least_squares(lambda x, a, *b: x - 3 - a, 1.0, jac, args=args)
    np.testing.assert_allclose(fit.x, [3.0])


def test_callback_sees_each_iteration_and_stops():
    seen = []

    def watch(intermediate_result):
        seen.append(intermediate_result)
        if intermediate_result.nit == 2:
            raise StopIteration

    fit = st.least_squares(fun, X0, jac, callback=watch)
    assert [r.nit for r in seen] == [1, 2]
    assert fit.status == -2 and not fit.success and "callback" in fit.message
    np.testing.assert_array_equal(fit.x, seen[-1].x)
    for yes in (True, np.True_):
        assert st.least_squares(fun, X0, jac, callback=lambda x, yes=yes: yes).nit == 1
    assert st.least_squares(fun, X0, jac, callback=lambda x: False).success
    fit = st.least_squares(fun, X0, jac, callback=max)  # which has no signature to be read
    assert fit.success and fit.nit > 1
    with pytest.raises(TypeError, match="callback: 5 is an int; expected a callable"):
        st.least_squares(fun, X0, jac, callback=5)


@pytest.mark.parametrize(
    ("jac", "loss"),
    [
        *((jac, "linear") for jac in (jac, "2-point", "3-point", "cs")),
        *((jac, lambda z: np.stack([z, 1 + 0 * z, 0 * z])) for jac in (jac, "2-point")),
    ],
)
def test_callbacks_are_called_once_an_iteration_whatever_the_jacobian(jac, loss, capsys):
    seen = []
    fit = st.least_squares(fun, X0, jac, loss=loss, callback=lambda x: seen.append(x), verbose=2)
    assert fit.success and len(seen) == fit.nit > 1
    np.testing.assert_array_equal(seen[-1], fit.x)
    assert f"{fit.cost:.6e}" in capsys.readouterr().out
    stopped = st.least_squares(fun, X0, jac, loss=loss, callback=lambda x: True)
    assert (stopped.nit, stopped.status) == (1, -2)


@pytest.mark.parametrize("method", ["lm", "levenberg"])
def test_the_damping_of_a_result_can_be_given_to_the_next(method):
    fit = st.least_squares(fun, X0, jac, method=method)
    assert fit.damping == 0 < fit.nit  # the last steps were Gauss-Newton's
    again = st.least_squares(fun, fit.x, jac, method=method, damping=fit.damping)
    assert again.success and again.nit <= 1
    none, least = (st.least_squares(fun, X0, jac, method=method, damping=d) for d in (0, 1e-300))
    np.testing.assert_array_equal(none.x, least.x)


def test_verbose_prints_the_iterations(capsys):
    fit = st.least_squares(fun, X0, jac, verbose=2)
    printed = capsys.readouterr().out
    assert "optimality" in printed and fit.message in printed
    assert f"{fit.cost:.6e}" in printed
    heads, *_ = rows = printed[: printed.index(fit.message)].splitlines()
    assert len(rows) == fit.nit + 2 and {*map(len, rows)} == {len(heads)}
    st.least_squares(fun, X0, jac, verbose=1)
    assert capsys.readouterr().out == printed[printed.index(fit.message) :]
    st.least_squares(fun, X0, jac)
    assert capsys.readouterr().out == ""


def test_verbose_prints_the_steps_that_were_taken(capsys):
    points = [X0]
    fit = st.least_squares(fun, X0, jac, callback=lambda x: points.append(x), verbose=2)
    rows = [row.split() for row in capsys.readouterr().out.splitlines()[2 : fit.nit + 2]]
    costs = [0.5 * fun(x) @ fun(x) for x in points]
    steps = [np.linalg.norm(b - a) for a, b in itertools.pairwise(points)]
    falls, atol = -np.diff(costs), 1e-12 * costs[0]
    np.testing.assert_allclose([float(row[3]) for row in rows], falls, rtol=6e-3, atol=atol)
    np.testing.assert_allclose([float(row[4]) for row in rows], steps, rtol=6e-3)


@pytest.mark.parametrize("joint", [False, True])
def test_verbose_prints_a_row_an_iteration(joint, capsys):
    """Also where the first steps are rejected."""

    def f(x):
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    def J(x):
        return np.array([[-20 * x[0], 10], [-1, 0]])

    both = (lambda x: (f(x), J(x))) if joint else f
    fit = st.least_squares(both, [-1.2, 1.0], joint or J, method="gn", verbose=2)
    printed = capsys.readouterr().out
    _, *rows = printed[: printed.index(fit.message)].splitlines()
    nit, nfev = np.array([row.split()[:2] for row in rows], dtype=int).T
    assert nit.tolist() == [*range(fit.nit + 1)] and nfev[0] == 1 and nfev[1] > 2
    assert "initial cost 1.2100e+01" in printed


def test_verbose_prints_each_iteration_when_it_is_done(capsys):
    shown = []

    def stop(x):
        shown.append(capsys.readouterr().out)
        if len(shown) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        st.least_squares(fun, X0, jac, callback=stop, verbose=2)
    assert [len(text.splitlines()) for text in shown] == [3, 1]  # a head, the start, two iterations


def test_max_nfev_counts_every_call():
    for limit in range(1, 12):
        calls = []

        def counted(p, calls=calls):
            calls.append(1)
            return fun(p)

        fit = st.least_squares(counted, X0, jac, max_nfev=limit)
        assert fit.nfev == len(calls) <= limit
        assert fit.success == (fit.status > 0)
    assert st.least_squares(fun, X0, jac, max_nfev=1).status == 0


def test_a_mask_is_not_ignored():
    t, y = np.arange(5.0), np.ma.masked_equal([1.0, 3.0, -99.0, 7.0, 9.0], -99)
    J = np.stack([np.ones(5), t], axis=1)

    def refused(name):
        return pytest.raises(TypeError, match=f"^{name}: a masked array, whose mask would be")

    for jac in ("2-point", lambda x: J):
        with refused("fun"):
            st.least_squares(lambda x: x[0] + x[1] * t - y, [1.0, 1.0], jac)
    with refused("jac"):
        st.least_squares(lambda x: J @ x - y.data, [1.0, 1.0], lambda x: np.ma.array(J))
    with refused("x0"):
        st.least_squares(lambda x: x, np.ma.array([1.0, 1.0]))
    with refused("fun"):
        st.LeastSquares([1.0, 1.0]).tell(J @ [1.0, 1.0] - y, J)
    with refused("fun"):
        st.least_squares(lambda x: iter([(J @ x - y, J)]), [1.0, 1.0], True)


def test_answers_of_a_class_that_inherits_from_numpys():
    class Mine(np.ndarray):
        pass

    J = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    plain = st.least_squares(lambda x: J @ x - 1, [3.0, 4.0], lambda x: J)
    mine = st.least_squares(
        lambda x: (J @ x - 1).view(Mine), np.array([3.0, 4.0]).view(Mine), lambda x: J.view(Mine)
    )
    np.testing.assert_array_equal(mine.x, plain.x)
    assert (mine.nfev, mine.njev) == (plain.nfev, plain.njev)
