"""On a GPU: least squares against the CPU, its waits, and streams."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st
from problems import boxes

pytestmark = pytest.mark.gpu


def sines(m, n, dtype=float, seed=0):
    """sin(A x) - y: residual and Jacobian for the arrays of a library, the start and A."""
    rng = np.random.default_rng(seed)
    A = (rng.standard_normal((m, n)) / np.sqrt(n)).astype(dtype)
    true = rng.standard_normal(n)
    y = (np.sin(A @ true) + 0.01 * rng.standard_normal(m)).astype(dtype)
    x0 = (true + 0.1 * rng.standard_normal(n)).astype(dtype)

    def problem(xp):
        B, z = xp.asarray(A), xp.asarray(y)
        return lambda x: xp.sin(B @ x) - z, lambda x: xp.cos(B @ x)[:, None] * B

    return problem, x0


def compare(cupy, got, want, rtol):
    assert got.success and want.success
    assert all(isinstance(v, cupy.ndarray) for v in (got.x, got.fun, got.jac, got.grad))
    np.testing.assert_allclose(got.cost, want.cost, rtol=rtol)
    np.testing.assert_allclose(cupy.asnumpy(got.x), want.x, rtol=rtol**0.5, atol=rtol**0.5)


@pytest.mark.parametrize("m, n", [(50, 3), (1000, 30), (5000, 200)])
@pytest.mark.parametrize("linear_solver", ["auto", "cholesky", "qr", "cg"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda d: d.__name__)
def test_solvers(cupy, m, n, linear_solver, dtype):
    problem, x0 = sines(m, n, dtype)
    options = {"linear_solver": linear_solver}
    fun, jac = problem(np)
    want = st.least_squares(fun, x0, jac, **options)
    fun, jac = problem(cupy)
    got = st.least_squares(fun, cupy.asarray(x0), jac, **options)
    compare(cupy, got, want, 1e-6 if dtype == np.float64 else 1e-3)
    assert got.x.dtype == got.jac.dtype == dtype
    by_columns = st.least_squares(
        fun, cupy.asarray(x0), lambda x: cupy.asfortranarray(jac(x)), **options
    )
    compare(cupy, by_columns, want, 1e-6 if dtype == np.float64 else 1e-3)


@pytest.mark.parametrize("n", [1000, 1030])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda d: d.__name__)
def test_many_variables(cupy, true_device, n, dtype):
    """More tiles of Cholesky than there is room for blocks at a time; and cuSOLVER's."""
    problem, x0 = sines(2 * n, n, dtype)
    fun, jac = problem(np)
    want = st.least_squares(fun, x0, jac, linear_solver="cholesky")
    fun, jac = problem(cupy)
    got = st.least_squares(fun, cupy.asarray(x0), jac, linear_solver="cholesky")
    compare(cupy, got, want, 1e-6 if dtype == np.float64 else 1e-3)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan", "tukey"])
@pytest.mark.parametrize("linear_solver", ["auto", "qr", "cg"])
def test_losses(cupy, loss, linear_solver):
    problem, x0 = sines(1000, 20)
    options = {"loss": loss, "f_scale": 0.02, "linear_solver": linear_solver}
    fun, jac = problem(np)
    want = st.least_squares(fun, x0, jac, **options)
    fun, jac = problem(cupy)
    compare(cupy, st.least_squares(fun, cupy.asarray(x0), jac, **options), want, 1e-5)


@pytest.mark.parametrize("by_columns", [False, True])
def test_a_loss_of_ones_own(cupy, by_columns):
    problem, x0 = sines(1000, 20)
    fun, jac = problem(cupy)

    def cauchy(z):
        rho = [cupy.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2]
        return cupy.stack(rho, axis=1).T if by_columns else cupy.stack(rho)

    host, its_jac = problem(np)
    want = st.least_squares(host, x0, its_jac, loss="cauchy", f_scale=0.02)
    got = st.least_squares(fun, cupy.asarray(x0), jac, loss=cauchy, f_scale=0.02)
    compare(cupy, got, want, 1e-5)


def test_what_is_not_aligned_leaves_the_device_in_use(cupy):
    problem, x0 = sines(50, 3)
    fun, jac = problem(cupy)

    def misaligned(values):
        memory = cupy.zeros(values.nbytes + 1, np.uint8)
        memory[1:] = values.ravel().view(np.uint8)
        return memory[1:].view(values.dtype).reshape(values.shape)

    x = cupy.asarray(x0)
    with pytest.raises(ValueError, match="fun: not aligned to its elements"):
        st.least_squares(lambda x: misaligned(fun(x)), x, jac)
    with pytest.raises(ValueError, match="jac: not aligned to its elements"):
        st.least_squares(fun, x, lambda x: misaligned(jac(x)))
    assert st.least_squares(fun, x, jac).success


@pytest.mark.parametrize("n", [1000, 1024, 1100])
def test_a_right_hand_side_beyond_the_corner_of_its_border(cupy, n):
    """By tiles; by cuSOLVER, whose info is then n + 1: what it leaves of the last row is used."""
    g, H = cupy.zeros(n, np.float32), 2 * cupy.eye(n, dtype=np.float32)
    g[3] = g[n - 2] = 1.2e19
    H[n - 2, n - 1] = H[n - 1, n - 2] = 1
    s = st.LeastSquares(cupy.zeros(n, np.float32), method="gn")
    s.tell_normal(2e38, H, g)
    want = np.zeros(n)
    want[3], want[n - 2 :] = -6e18, [-8e18, 4e18]
    np.testing.assert_allclose(s.x.get(), want, rtol=1e-5)


@pytest.mark.parametrize("jac", ["exact", "2-point", "3-point"])
def test_bounds_and_differences(cupy, jac):
    problem, x0 = sines(200, 10)
    bounds = (x0 - 0.05, x0 + 0.05)
    fun, exact = problem(np)
    want = st.least_squares(fun, x0, exact if jac == "exact" else jac, bounds=bounds)
    fun, exact = problem(cupy)
    got = st.least_squares(fun, cupy.asarray(x0), exact if jac == "exact" else jac, bounds=bounds)
    compare(cupy, got, want, 1e-6)
    np.testing.assert_array_equal(cupy.asnumpy(got.active_mask), want.active_mask)


@pytest.mark.parametrize("linear_solver", ["cholesky", "qr", "cg"])
def test_bounds_and_looking_ahead(cupy, linear_solver):
    fun, x0, jac, lower, upper = boxes.faster_decays(cupy)
    got = st.least_squares(fun, x0, jac, bounds=(lower, upper), linear_solver=linear_solver)
    assert got.success and got.cost < 1e-15 and got.nfev > 1.2 * got.njev


@pytest.mark.parametrize("jac", ["2-point", "3-point"])
def test_differences_see_noise(cupy, jac):
    """A model in float32, whose differences by the usual steps are noise."""
    problem, x0 = sines(200, 10)
    want = st.least_squares(problem(np)[0], x0, jac)
    fun = problem(cupy)[0]
    y = -fun(cupy.zeros(10))
    got = st.least_squares(lambda x: (fun(x) + y).astype(np.float32) - y, cupy.asarray(x0), jac)
    assert got.success
    np.testing.assert_allclose(got.cost, want.cost, rtol=1e-4)


def test_blocks_and_normal_equations(cupy):
    problem, x0 = sines(1000, 20)
    fun, jac = problem(np)
    want = st.least_squares(fun, x0, jac)
    fun, jac = problem(cupy)

    def blocks(x):
        f, J = fun(x), jac(x)
        for i in range(0, 1000, 130):
            yield f[i : i + 130], J[i : i + 130]

    got = st.least_squares(blocks, cupy.asarray(x0), True)
    np.testing.assert_allclose(got.cost, want.cost, rtol=1e-6)
    np.testing.assert_allclose(cupy.asnumpy(got.stderr()), want.stderr(), rtol=1e-4)
    s = st.LeastSquares(cupy.asarray(x0))
    while not s.done:
        f, J = fun(s.x), jac(s.x)
        s.tell_normal(float(0.5 * f @ f), J.T @ J, J.T @ f)
    np.testing.assert_allclose(s.result().cost, want.cost, rtol=1e-6)


@pytest.mark.parametrize("name", ["Misra1a", "Chwirut2", "Gauss1", "Rat42", "Thurber"])
def test_curve_fit_on_nist(cupy, name):
    pytest.importorskip("sympy")
    from problems import nist

    problem = nist.load(name)

    def there(x, *b):  # by way of the host: what is tried is the solver
        return cupy.asarray(problem.model(cupy.asnumpy(x), *b))

    x, y = cupy.asarray(problem.x), cupy.asarray(problem.y)
    got, cov = st.curve_fit(there, x, y, problem.starts[1])
    want, other = st.curve_fit(problem.model, problem.x, problem.y, problem.starts[1])
    np.testing.assert_allclose(cupy.asnumpy(got), want, rtol=1e-5)
    np.testing.assert_allclose(cupy.asnumpy(cov), other, rtol=1e-3)


@pytest.mark.parametrize("sigma", ("vector", "matrix"))
def test_curve_fit_with_uncertainties(cupy, sigma):
    x = np.linspace(0, 4, 50)
    y = 2.5 * np.exp(-1.3 * x) + 0.5 + 0.02 * np.random.default_rng(0).standard_normal(50)
    spread = np.linspace(0.01, 0.03, 50)
    spread = spread if sigma == "vector" else np.diag(spread**2) + 1e-5

    def model(xp):
        return lambda x, a, b, c: a * xp.exp(-b * x) + c

    want, other = st.curve_fit(model(np), x, y, sigma=spread)
    there = [cupy.asarray(v) for v in (x, y, spread)]
    got, cov = st.curve_fit(model(cupy), *there[:2], sigma=there[2])
    np.testing.assert_allclose(cupy.asnumpy(got), want, rtol=1e-6)
    np.testing.assert_allclose(cupy.asnumpy(cov), other, rtol=1e-4)
    if sigma == "matrix":
        there[2][20, 20] = -1
        with pytest.raises(ValueError, match="`sigma` must be positive definite"):
            st.curve_fit(model(cupy), *there[:2], sigma=there[2])


def test_a_stream_of_ones_own(cupy):
    problem, x0 = sines(1000, 20)
    fun, jac = problem(cupy)
    want = st.least_squares(fun, cupy.asarray(x0), jac)
    cupy.cuda.get_current_stream().synchronize()
    with cupy.cuda.Stream(non_blocking=True):
        got = st.least_squares(fun, cupy.asarray(x0), jac)
        assert float(abs(got.x - want.x).max()) < 1e-8


def test_each_question_is_one_wait(cupy):
    from steepest import _cuda

    problem, x0 = sines(1000, 20)
    fun, jac = problem(cupy)
    before = _cuda.calls()[2]
    fit = st.least_squares(fun, cupy.asarray(x0), jac)
    waits = _cuda.calls()[2] - before
    assert waits == fit.nfev + fit.njev + 1  # the first step is no foreseen one; none is held back


@pytest.mark.parametrize("n", [33, 501, 1023])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda d: d.__name__)
def test_cholesky_by_tiles(cupy, true_device, n, dtype):
    """A linear problem is solved by one step; again and again, since blocks wait for each other."""
    rng = np.random.default_rng(n)
    A, b = rng.standard_normal((3 * n, n)).astype(dtype), rng.standard_normal(3 * n).astype(dtype)
    want = np.linalg.lstsq(A.astype(float), b.astype(float), rcond=None)[0]
    B, z, x0 = cupy.asarray(A), cupy.asarray(b), cupy.zeros(n, dtype)
    for _ in range(20):
        fit = st.least_squares(
            lambda x: B @ x - z, x0, lambda x: B, method="gn", linear_solver="cholesky", max_nfev=2
        )
        error = np.linalg.norm(cupy.asnumpy(fit.x) - want) / np.linalg.norm(want)
        assert error < 1000 * np.finfo(dtype).eps


def test_a_singular_system(cupy):
    A = cupy.asarray(np.outer(np.arange(1.0, 7.0), [1, 2, 3]))
    with pytest.raises(np.linalg.LinAlgError, match="method 'gn': JᵀJ is singular"):
        st.least_squares(lambda x: A @ x - 1, cupy.ones(3), lambda x: A, method="gn")
    assert st.least_squares(lambda x: A @ x - 1, cupy.ones(3), lambda x: A).success
