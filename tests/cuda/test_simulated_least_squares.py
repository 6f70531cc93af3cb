"""Least squares on device arrays: the solver over a simulated device and fake libraries.

All of the package but launches and NVIDIA's libraries: what the tests with a GPU repeat on one.
"""

from __future__ import annotations

import weakref
from types import SimpleNamespace

import fake_cupy
import numpy as np
import pytest
from device_problems import decay, down, there, up

import steepest as st
from problems import nist
from steepest.nlls import arrays

pytestmark = pytest.mark.usefixtures("libraries_to_be_found")

LOSSES = ("soft_l1", "huber", "cauchy", "arctan", "tukey")


def same(got, want, rtol=1e-6, atol=1e-9):
    """Two fits agree; the first is on the device."""
    np.testing.assert_allclose(down(got.x), want.x, rtol=rtol, atol=atol)
    np.testing.assert_allclose(got.cost, want.cost, rtol=1e-6, atol=1e-12)
    assert (got.status > 0) == (want.status > 0)
    assert down(got.grad).shape == want.grad.shape
    np.testing.assert_array_equal(down(got.active_mask), want.active_mask)
    if want.jac is not None:
        np.testing.assert_allclose(down(got.fun), want.fun, rtol=rtol, atol=1e-6)
        np.testing.assert_allclose(down(got.jac), want.jac, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("start", (0, 1))
@pytest.mark.parametrize("name", nist.NAMES)
@pytest.mark.parametrize("linear_solver", ("auto", "qr"))
def test_nist(name, start, linear_solver):
    problem = nist.load(name)
    x0 = problem.starts[start]
    options = {"linear_solver": linear_solver}
    want = st.least_squares(problem.residual, x0, problem.jacobian, **options)
    got = st.least_squares(there(problem.residual), up(x0), there(problem.jacobian), **options)
    found = min(problem.digits(want.x), 5)
    assert problem.digits(down(got.x)) >= found - 0.5
    np.testing.assert_allclose(down(got.stderr()), want.stderr(), rtol=1e-3)


@pytest.mark.parametrize("method", ("lm", "levenberg", "gn"))
@pytest.mark.parametrize("linear_solver", ("auto", "cholesky", "qr", "cg"))
@pytest.mark.parametrize(
    "layout", ("C", "F", "rows of a larger array", "columns of a larger array", "spread")
)
def test_methods_solvers_and_layouts(method, linear_solver, layout):
    if method == "gn" and linear_solver == "cg":
        pytest.skip("cg needs damping")
    fun, jac, x0 = decay()

    def laid_out(x):
        J = jac(x.held)
        if layout == "rows of a larger array":
            wide = up(np.full((len(J), 7), np.nan))
            wide[:, 2:5] = up(J)
            return wide[:, 2:5]
        if layout == "columns of a larger array":
            long = fake_cupy.ndarray(np.full((len(J) + 4, 3), np.nan, order="F"))
            long[2:-2] = up(J)
            return long[2:-2]
        if layout == "spread":
            wide = up(np.full((2 * len(J), 6), np.nan))
            wide[::2, ::2] = up(J)
            return wide[::2, ::2]
        return fake_cupy.ndarray(np.array(J, order=layout))

    options = {"method": method, "linear_solver": linear_solver}
    want = st.least_squares(fun, x0, jac, **options)
    got = st.least_squares(there(fun), up(x0), laid_out, **options)
    same(got, want)
    assert got.success and (got.nfev, got.njev) == (want.nfev, want.njev)
    np.testing.assert_allclose(down(got.covariance()), want.covariance(), rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("linear_solver", ("auto", "qr", "cg"))
@pytest.mark.parametrize("order", "CF")
def test_losses(loss, linear_solver, order):
    fun, jac, x0 = decay(m=300)  # more than one block of threads, several chunks of sums

    def outlying(p):
        f = fun(p)
        f[::29] += 1
        return f

    # Much smaller, and no row is quadratic at x0: rounding then chooses between ways.
    options = {"loss": loss, "f_scale": 0.1, "linear_solver": linear_solver}
    want = st.least_squares(outlying, x0, jac, **options)
    got = st.least_squares(
        there(outlying),
        up(x0),
        lambda x: fake_cupy.ndarray(np.array(jac(x.held), order=order)),
        **options,
    )
    same(got, want, rtol=1e-4)
    assert (got.nfev, got.njev) == (want.nfev, want.njev)  # by the same way


def test_a_loss_of_ones_own():
    fun, jac, x0 = decay()
    want = st.least_squares(fun, x0, jac, loss="cauchy", f_scale=0.1)

    def cauchy(z):
        assert type(z) is fake_cupy.ndarray
        t = 1 + z
        return fake_cupy.stack([fake_cupy.log1p(z), 1 / t, -1 / t**2])

    def by_columns(z):
        return fake_cupy.stack([*cauchy(z)], axis=1).T

    for loss in (cauchy, by_columns):
        same(st.least_squares(there(fun), up(x0), there(jac), loss=loss, f_scale=0.1), want)
        s = st.LeastSquares(up(x0), loss=loss, f_scale=0.1)
        while not s.done:
            s.tell(there(fun)(s.x), there(jac)(s.x))
        same(s.result(), want)


@pytest.mark.parametrize("linear_solver", ("auto", "qr", "cg"))
@pytest.mark.parametrize("jac", (True, False), ids=("exact", "2-point"))
def test_bounds(linear_solver, jac):
    fun, exact, x0 = decay()
    bounds = ([0.0, 0.5, 0.6], [1.5, 9.0, 2.0])
    x0 = np.array([1.0, 1.0, 1.0])
    want = st.least_squares(
        fun, x0, exact if jac else "2-point", bounds=bounds, linear_solver=linear_solver
    )
    got = st.least_squares(
        there(fun),
        up(x0),
        there(exact) if jac else "2-point",
        bounds=tuple(map(up, bounds)),
        linear_solver=linear_solver,
        x_scale=None,
    )
    same(got, want, rtol=1e-5)
    assert (got.nfev, got.njev) == (want.nfev, want.njev)
    assert want.active_mask.any()


@pytest.mark.parametrize("linear_solver", ("auto", "qr"))
@pytest.mark.parametrize("seed", range(4))
def test_a_damped_step_in_a_box(linear_solver, seed):
    """The first step alone: with λ, from s that is not zero on the variables that are free. It goes
    half of the way to bounds.
    """
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((12, 6)), rng.standard_normal(12)
    half = 0.3 * rng.random(6)
    options = {"bounds": (-half, half), "damping": 0.5, "max_nfev": 2}
    options["linear_solver"] = linear_solver
    want = st.least_squares(lambda x: A @ x - b, np.zeros(6), lambda x: A, **options)
    got = st.least_squares(
        there(lambda x: A @ x - b), up(np.zeros(6)), there(lambda x: A), **options
    )
    np.testing.assert_allclose(down(got.x), want.x, rtol=1e-10, atol=1e-13)
    stopped = np.isclose(np.abs(want.x), half / 2, rtol=1e-14)
    assert want.nit == 1 and stopped.any() and not stopped.all()


@pytest.mark.parametrize("n", (690, 710, 1030))
def test_many_columns(n):
    """JᵀJ by gemm and by syrk, of which one triangle is read; Cholesky by tiles and cuSOLVER's."""
    A, b = np.random.default_rng(n).standard_normal((4, n)), np.arange(4.0)
    options = {"damping": 0.1, "max_nfev": 2}
    want = st.least_squares(lambda x: A @ x - b, np.zeros(n), lambda x: A, **options)
    got = st.least_squares(
        there(lambda x: A @ x - b), up(np.zeros(n)), there(lambda x: A), **options
    )
    assert want.nit == 1
    np.testing.assert_allclose(down(got.x), want.x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("linear_solver", ("auto", "cholesky", "qr", "cg"))
def test_rank_deficient(linear_solver):
    A, b = np.outer(np.arange(1.0, 7.0), [1, 2, 3]), np.arange(6.0)
    got = st.least_squares(
        there(lambda x: A @ x - b),
        up(np.ones(3)),
        there(lambda x: A),
        linear_solver=linear_solver,
    )
    best = np.linalg.lstsq(A, b, rcond=None)[0]
    assert got.success
    np.testing.assert_allclose(got.cost, 0.5 * np.sum((A @ best - b) ** 2), rtol=1e-6)
    words = "method 'gn': JᵀJ is singular"
    with pytest.raises(np.linalg.LinAlgError, match=words):
        st.least_squares(
            there(lambda x: A @ x - b), up(np.ones(3)), there(lambda x: A), method="gn"
        )


def test_cholesky_gives_way_to_qr():
    """A Jacobian whose condition number, squared, is beyond rounding."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((20, 4)) @ np.array(
        [[1, 1, 0, 0], [0, 3e-9, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    b = A @ [1.0, -1.0, 2.0, 0.5]
    fit = st.least_squares(there(lambda x: A @ x - b), up(np.zeros(4)), there(lambda x: A))
    want = st.least_squares(lambda x: A @ x - b, np.zeros(4), lambda x: A)
    assert fit.success and fit.cost < 1e-18 and want.cost < 1e-18


@pytest.mark.parametrize("linear_solver", ("auto", "qr"))
@pytest.mark.parametrize("loss", ("linear", "huber"))
@pytest.mark.parametrize("home", (up, np.array), ids=("x0 there", "x0 here"))
def test_blocks_of_rows(linear_solver, loss, home):
    fun, jac, x0 = decay(m=50)
    options = {"linear_solver": linear_solver, "loss": loss, "f_scale": 0.02}

    def blocks(x, place):
        x = x.held if isinstance(x, fake_cupy.ndarray) else x
        f, J = fun(x), jac(x)
        for i in range(0, 50, 7):
            yield place(f[i : i + 7]), place(J[i : i + 7])

    want = st.least_squares(lambda x: blocks(x, np.array), x0, True, **options)
    seen = []
    got = st.least_squares(
        lambda x: blocks(x, up),
        home(x0),
        True,
        callback=lambda intermediate_result: seen.append(intermediate_result.fun),
        **options,
    )
    same(got, want, rtol=1e-5)
    assert got.fun is None and got.jac is None and seen == [None] * got.nit
    np.testing.assert_allclose(down(got.stderr()), want.stderr(), rtol=1e-4)


@pytest.mark.parametrize("n", (13, 14, 20))
def test_blocks_of_an_ill_conditioned_problem_change_to_qr(n):
    A = np.vander(np.linspace(0, 1, 30), n)

    def blocks(x):
        r = A @ (x.held - 1)
        return ((up(r[i : i + 7]), up(A[i : i + 7])) for i in range(0, 30, 7))

    fit = st.least_squares(blocks, up(np.zeros(n)), True)
    assert fit.success and fit.nfev < 20
    np.testing.assert_allclose(down(fit.x), 1, atol=1e-4)


@pytest.mark.parametrize("home", (np.array, up))
def test_no_rows_at_all_are_refused(home):
    with pytest.raises(ValueError, match="fun: gave no block of rows"):
        st.least_squares(lambda x: iter(()), home(np.ones(3)), True)


def test_residual_and_jacobian_together():
    fun, jac, x0 = decay()
    want = st.least_squares(lambda x: (fun(x), jac(x)), x0, True)
    same(st.least_squares(there(lambda x: (fun(x), jac(x))), up(x0), True), want)


@pytest.mark.parametrize("jac", ("exact", "2-point", "cs"))
@pytest.mark.parametrize("home", (np.array, up))
def test_the_start_is_evaluated_once(jac, home):
    fun, exact, x0 = decay()
    points = []

    def residual(x):
        points.append(np.array(getattr(x, "held", x)))
        return there(fun)(x)

    got = st.least_squares(residual, home(x0), there(exact) if jac == "exact" else jac)
    assert type(got.x) is fake_cupy.ndarray
    assert sum(np.array_equal(x, x0) for x in points) == 1
    if jac == "exact":
        assert got.nfev == len(points)


def test_two_refused_jacobians_leave_the_one_in_use(monkeypatch):
    fun, jac, x0 = decay()
    held, alive = [], []  # those of float64, made from what jac gave

    def converted(J, dtype):
        made = arrays.jacobian(J, dtype)
        held.append(weakref.ref(made))
        return made

    def single(x):
        J = jac(x.held).astype(np.float32)
        if len(held) in (1, 2):
            J[0, 0] = np.nan
        return up(J)

    def residual(x):
        if len(held) == 3:
            alive.append(held[0]() is not None)
        return up(fun(x.held))

    monkeypatch.setattr("steepest.nlls.device.jacobian", converted)
    got = st.least_squares(residual, up(x0), single, linear_solver="cg")
    assert alive and all(alive)
    assert got.success


def test_float32_stays_float32():
    fun, jac, x0 = decay(dtype=np.float32)
    want = st.least_squares(fun, x0, jac)
    got = st.least_squares(there(fun), up(x0), there(jac))
    assert down(got.x).dtype == down(got.fun).dtype == down(got.jac).dtype == np.float32
    same(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scheme", ("2-point", "3-point", "cs"))
@pytest.mark.parametrize("home", (up, np.array), ids=("x0 there", "x0 here"))
def test_differences(scheme, home):
    fun, _, x0 = decay()
    kinds = set()

    def seen(x):
        kinds.add(type(x))
        return there(fun)(x)

    want = st.least_squares(fun, x0, scheme)
    got = st.least_squares(seen, home(x0), scheme)
    same(got, want)
    assert kinds == {type(home(x0))}  # x is of x0's kind
    assert got.nfev == want.nfev


def test_differences_bring_one_vector_a_jacobian_to_the_host():
    fun, _, x0 = decay()
    before = fake_cupy.read_back[0]
    fit = st.least_squares(there(fun), list(x0))
    assert fake_cupy.read_back[0] - before <= fit.njev


@pytest.mark.parametrize("scheme", ("2-point", "3-point"))
def test_differences_see_noise(scheme):
    """A model in float32: its differences by the usual steps are noise."""
    fun, _, x0 = decay()
    y = -fun(np.zeros(3))

    def in_single(p):
        return (fun(p.astype(np.float32).astype(float)) + y).astype(np.float32) - y

    want = st.least_squares(fun, x0)
    got = st.least_squares(there(in_single), up(x0 + 0.25), scheme)
    assert got.success
    np.testing.assert_allclose(down(got.x), want.x, rtol=1e-3)


def test_inside_out_and_its_callbacks():
    fun, jac, x0 = decay()
    want = st.least_squares(fun, x0, jac)
    s = st.LeastSquares(up(x0))
    while not s.done:
        assert type(s.x) is fake_cupy.ndarray
        s.tell(there(fun)(s.x), there(jac))
    same(s.result(), want)
    seen = []
    st.least_squares(
        there(fun),
        up(x0),
        there(jac),
        callback=lambda intermediate_result: seen.append(intermediate_result),
    )
    assert len(seen) == want.nit
    np.testing.assert_allclose(down(seen[-1].x), want.x, rtol=1e-6)
    assert down(seen[-1].fun).shape == want.fun.shape
    seen.clear()
    fit = st.least_squares(
        there(fun),
        x0,  # the residuals move the solver to the device
        there(jac),
        callback=lambda intermediate_result: seen.append(intermediate_result),
    )
    assert len(seen) == fit.nit and type(seen[-1].fun) is fake_cupy.ndarray
    stopped = st.least_squares(there(fun), up(x0), there(jac), callback=lambda x: x.ndim == 1)
    assert stopped.status == -2 and stopped.nit == 1


def test_a_right_hand_side_beyond_the_corner_of_its_border():
    """cuSOLVER calls the border's last pivot, of which nothing is read, not positive."""
    n = 1024
    g = np.zeros(n, np.float32)
    g[3] = 1e19
    s = st.LeastSquares(up(np.zeros(n, np.float32)), method="gn")
    s.tell_normal(0.5e38, up(np.eye(n, dtype=np.float32)), up(g))
    assert down(s.x).tolist() == (-g).tolist()


@pytest.mark.parametrize("home", (up, np.array), ids=("x0 there", "x0 here"))
def test_normal_equations(home):
    fun, jac, x0 = decay()
    want = st.least_squares(fun, x0, jac)
    s = st.LeastSquares(home(x0))
    while not s.done:
        x = s.x.held if home is up else s.x
        f, J = fun(x), jac(x)
        s.tell_normal(0.5 * f @ f, up(J.T @ J), up(J.T @ f))
    result = s.result()
    np.testing.assert_allclose(down(result.x), want.x, rtol=1e-6)
    np.testing.assert_allclose(
        down(result.covariance(absolute_sigma=True)),
        want.covariance(absolute_sigma=True),
        rtol=1e-5,
    )


def test_summary_and_check_jacobian(capsys):
    fun, jac, x0 = decay()
    fit = st.least_squares(there(fun), up(x0), there(jac), verbose=2)
    fit.summary(["a", "b", "c"])
    want = st.least_squares(fun, x0, jac)
    want.summary(["a", "b", "c"])
    printed = capsys.readouterr().out
    assert printed.count(f"a =  {want.x[0]:.6f}") == 2
    check = st.check_jacobian(there(fun), there(lambda x: 2 * jac(x)), up(x0))
    assert check.error == pytest.approx(0.5, abs=1e-3)


class Reusing:
    """Residuals and Jacobian of `decay` that are written into the same device arrays each time."""

    def __init__(self):
        fun, jac, self.x0 = decay()
        self.host = fun, jac
        self.f, self.J = up(fun(self.x0)), up(jac(self.x0))

    def residual(self, x):
        self.f[...] = up(self.host[0](down(x)))
        return self.f

    def jacobian(self, x):
        self.J[...] = up(self.host[1](down(x)))
        self.f[...] = np.nan
        return self.J

    def shared(self, x):
        """The same Jacobian as another library's array, of which CuPy makes one without a base."""
        interface = self.jacobian(x).__cuda_array_interface__
        return fake_cupy.asarray(SimpleNamespace(__cuda_array_interface__=interface))


@pytest.mark.parametrize("how", ("exact", "shared", "cg", "2-point", "3-point", "loss", "joint"))
def test_functions_that_write_into_the_same_arrays(how):
    reusing = Reusing()
    fun, jac = reusing.host

    def loss(z):
        z = down(z)
        reusing.f[...], reusing.J[...] = np.nan, np.nan
        return up(np.array([z, np.ones_like(z), np.zeros_like(z)]))

    x0, options = reusing.x0, {"linear_solver": "cg"} if how == "cg" else {}
    if how in ("2-point", "3-point"):
        got = st.least_squares(reusing.residual, up(x0), how)
    elif how == "joint":
        got = st.least_squares(lambda x: (up(fun(down(x))), reusing.jacobian(x)), up(x0), True)
    else:
        options.update({"loss": loss} if how == "loss" else {})
        J = reusing.shared if how == "shared" else reusing.jacobian
        got = st.least_squares(reusing.residual, up(x0), J, **options)
    same(got, st.least_squares(fun, x0, jac))
    reusing.f[...], reusing.J[...] = np.nan, np.nan
    assert np.isfinite(down(got.fun)).all() and np.isfinite(down(got.jac)).all()
    assert st.check_jacobian(reusing.residual, reusing.jacobian, up(x0)).error < 1e-6


@pytest.mark.parametrize("form", ["blocks", "normal"])
def test_a_jacobian_of_zeros_whose_rows_are_not_kept(form):
    s = st.LeastSquares(up(np.ones(2)))
    if form == "blocks":
        s.tell_blocks([(up(np.ones(3)), up(np.zeros((3, 2))))])
    else:
        s.tell_normal(1.5, up(np.zeros((2, 2))), up(np.zeros(2)))
    assert s.done and s.cost == 1.5 and s.result().status == 1


def test_one_row_has_two_dimensions_in_the_result():
    row = up(np.array([1.0, 0.0]))
    fit = st.least_squares(lambda x: x[:1] - 1, up(np.array([3.0, 1.0])), lambda x: row)
    np.testing.assert_array_equal(down(fit.jac), [[1, 0]])
    assert down(fit.covariance(absolute_sigma=True)).shape == (2, 2)
