"""Jacobians of one row without its dimension, and of any real dtype: the result's, and what its
methods make of it."""

import numpy as np
import pytest

import steepest as st

T = np.linspace(0, 3, 30)
Y = 2 * np.exp(-1.1 * T) + 0.01 * np.cos(9 * T)


def residual(p):
    return p[0] * np.exp(-p[1] * T) - Y


def jacobian(p):
    return np.stack([np.exp(-p[1] * T), -p[0] * T * np.exp(-p[1] * T)], axis=1)


def square(z):
    return np.array([z, np.ones_like(z), np.zeros_like(z)])


@pytest.mark.parametrize("loss", ["linear", "huber", square])
@pytest.mark.parametrize("how", ["array", "callable", "joint", "told", "called"])
def test_one_row_has_two_dimensions_in_the_result(how, loss):
    def f(x):
        return x[:1] - 1

    def row(x):
        return np.array([1.0, 0.0])

    x0 = [3.0, 1.0]
    if how in ("told", "called"):
        s = st.LeastSquares(x0, loss=loss)
        while not s.done:
            s.tell(f(s.x), row if how == "called" else row(s.x))
        fit = s.result()
    elif how == "joint":
        fit = st.least_squares(lambda x: (f(x), row(x)), x0, True, loss=loss)
    else:
        jac = row if how == "callable" else lambda x: row(x)[None]
        fit = st.least_squares(f, x0, jac, loss=loss)
    np.testing.assert_array_equal(fit.jac, [[1, 0]])
    np.testing.assert_allclose(fit.covariance(absolute_sigma=True), [[1, 0], [0, 0]], atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, ">f8", ">f4"])
@pytest.mark.parametrize("loss", ["linear", "huber"])
def test_the_covariance_of_any_real_dtype(dtype, loss):
    want = st.least_squares(residual, [1.0, 1.0], jacobian, loss=loss)
    fit = st.least_squares(residual, [1.0, 1.0], lambda p: jacobian(p).astype(dtype), loss=loss)
    tolerance = {"rtol": 3 * float(np.finfo(dtype).eps) + 1e-12}
    np.testing.assert_allclose(fit.covariance(), want.covariance(), **tolerance)
    np.testing.assert_allclose(fit.stderr(), want.stderr(), **tolerance)


@pytest.mark.parametrize("dtype", [int, bool, np.uint8])
def test_the_covariance_of_whole_numbers(dtype):
    fit = st.least_squares(lambda x: x - 1, [1.0, 2.0], lambda x: np.eye(2, dtype=dtype))
    np.testing.assert_array_equal(fit.covariance(absolute_sigma=True), np.eye(2))
