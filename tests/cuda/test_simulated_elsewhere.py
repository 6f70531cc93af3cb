"""Least squares on a device that is not the current one, whether or not x0 says which it is.

CuPy's kernels, and what they make, are the current device's.
"""

from __future__ import annotations

import fake_cupy
import numpy as np
import pytest
from device_problems import decay, down, up

import steepest as st

pytestmark = pytest.mark.usefixtures("libraries_to_be_found")

FUN, JAC, X0 = decay()


def elsewhere(fun):
    return lambda x: up(fun(x), 1)


def same(fit, want):
    arrays = [fit.x, fit.fun, fit.jac, fit.grad, fit.covariance(), fit.stderr()]
    assert {array.device.id for array in arrays if array is not None} == {1}
    np.testing.assert_allclose(down(fit.x), want.x, rtol=1e-4)
    np.testing.assert_allclose(down(fit.stderr()), want.stderr(), rtol=1e-3)


def own_loss(z):
    return fake_cupy.stack([fake_cupy.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])


@pytest.mark.parametrize("layout", ("rows", "a view", "float32"))
@pytest.mark.parametrize("linear_solver", ("cholesky", "qr", "cg"))
def test_the_device_need_not_be_the_current_one(linear_solver, layout):
    """A function of the user's computes on its own; what is made of its arrays stays with them."""
    fun, jac, x0 = decay()

    def J(x):
        made = jac(x.held)
        if layout == "a view":
            return up(np.repeat(made, 2, axis=1), 1)[:, ::2]
        return up(made.astype(np.float32 if layout == "float32" else float), 1)

    kept = J(up(x0, 1))
    options = {"linear_solver": linear_solver, "loss": "soft_l1"}
    fit = st.least_squares(lambda x: up(fun(x.held), 1), up(x0, 1), J, **options)
    want = st.least_squares(fun, x0, jac, **options)
    np.testing.assert_allclose(down(fit.x), want.x, rtol=1e-4)
    there = [fit.x, fit.fun, fit.jac, fit.grad, fit.active_mask, fit.covariance(), fit.stderr()]
    assert {array.device.id for array in there} == {1}
    again = st.least_squares(lambda x: up(fun(x.held), 1), up(x0, 1), lambda x: kept, max_nfev=3)
    assert again.jac.device.id == 1 and again.jac is not kept
    differenced = st.least_squares(lambda x: up(fun(x.held), 1), up(x0, 1), **options)
    np.testing.assert_allclose(down(differenced.x), want.x, rtol=1e-4)
    s = st.LeastSquares(up(x0, 1), **options)
    s.tell(up(fun(x0), 1), J)
    while not s.done:
        s.tell(up(fun(s.x.held), 1), J(s.x))
    assert s.result().jac.device.id == 1 and down(s.x).tobytes() == down(fit.x).tobytes()


@pytest.mark.parametrize("loss", ("linear", "cauchy", own_loss))
@pytest.mark.parametrize("jac", (elsewhere(JAC), "2-point", "3-point", "cs", True))
def test_least_squares(jac, loss):
    options = {"f_scale": 0.1, "callback": lambda x: None}
    named = loss if isinstance(loss, str) else "cauchy"
    want = st.least_squares(FUN, X0, JAC, loss=named, **options)
    fun = elsewhere(FUN) if jac is not True else lambda x: (up(FUN(x), 1), up(JAC(x), 1))
    same(st.least_squares(fun, X0, jac, loss=loss, **options), want)


def test_blocks_of_rows_that_are_converted():  # from float32
    def blocks(x):
        f, J = FUN(x), JAC(x)
        for i in range(0, 40, 7):
            yield up(f[i : i + 7], 1), up(J[i : i + 7].astype(np.float32), 1)

    fit = st.least_squares(blocks, X0, True, loss="huber", f_scale=0.1)
    same(fit, st.least_squares(FUN, X0, JAC, loss="huber", f_scale=0.1))


@pytest.mark.parametrize("loss", ("linear", own_loss))
def test_inside_out(loss):
    named = "linear" if loss == "linear" else "cauchy"
    want = st.least_squares(FUN, X0, JAC, loss=named)
    for called in (True, False):
        s = st.LeastSquares(X0, loss=loss)
        while not s.done:
            s.tell(up(FUN(s.x), 1), elsewhere(JAC) if called else up(JAC(s.x), 1))
        same(s.result(), want)


def test_normal_equations():
    s = st.LeastSquares(X0)
    while not s.done:
        f, J = FUN(s.x), JAC(s.x)
        s.tell_normal(0.5 * f @ f, up(J.T @ J, 1), up(J.T @ f, 1))
    x = s.result().x
    assert x.device.id == 1
    np.testing.assert_allclose(down(x), st.least_squares(FUN, X0, JAC).x, rtol=1e-6)


def test_check_jacobian():
    check = st.check_jacobian(elsewhere(FUN), elsewhere(lambda x: 2 * JAC(x)), X0)
    assert check.error == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("sigma", (None, np.full(40, 0.1), 0.01 * np.eye(40)), ids=np.ndim)
@pytest.mark.parametrize("home", (np.array, lambda x: up(x, 1)), ids=("p0 here", "p0 there"))
def test_curve_fit(home, sigma):
    t = np.linspace(0, 3, 40)
    y = -FUN(np.zeros(3))

    def model(t, a, b, c):
        return up(a * np.exp(-b * getattr(t, "held", t)) + c, 1)

    there = None if sigma is None else up(sigma, 1)
    popt, pcov = st.curve_fit(model, up(t, 1), up(y, 1), home(X0), sigma=there)
    want, covariance = st.curve_fit(lambda *a: model(*a).held, t, y, X0, sigma=sigma)
    assert popt.device.id == pcov.device.id == 1
    np.testing.assert_allclose(down(popt), want, rtol=1e-4)
    np.testing.assert_allclose(down(pcov), covariance, rtol=1e-3)
