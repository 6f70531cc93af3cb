"""What the functions of a curve_fit answer: other kinds, other shapes, arrays they keep, errors."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from scipy.optimize import curve_fit as scipy_curve_fit
from scipy.sparse import csr_array, csr_matrix
from scipy.sparse.linalg import aslinearoperator

import steepest as st
from problems.decay import SIGMA, WEIGHTS, X, Y, jacobian, model


def kept(y, made):
    made.append(y)
    return y


def read_only(y, made):
    y.flags.writeable = False
    return y


def of_one_buffer(y, made):
    made[:] = [made[0] if made else np.empty_like(y)]
    made[0][:] = y
    return made[0]


@pytest.mark.parametrize("sigma", [None, SIGMA], ids=["none", "sigma"])
@pytest.mark.parametrize("handed_out", [kept, read_only, of_one_buffer])
def test_the_models_values_are_its_own(handed_out, sigma):
    made, told = [], []

    def noted(x, *p):
        told.append(p)
        return handed_out(model(x, *p), made)

    got = st.curve_fit(noted, X, Y, np.ones(3), sigma)
    for one, other in zip(got, st.curve_fit(model, X, Y, sigma=sigma), strict=True):
        np.testing.assert_array_equal(one, other)
    for y, p in zip(made, told[len(told) - len(made) :], strict=True):
        np.testing.assert_array_equal(y, model(X, *p))


def test_values_that_are_the_data_stay_as_they_are():
    x = X.copy()
    popt, _ = st.curve_fit(lambda x, a: x if a == 1 else a * x, x, 2 * X)
    np.testing.assert_allclose(popt, 2)
    np.testing.assert_array_equal(x, X)


@WEIGHTS
@pytest.mark.parametrize("kind", [csr_array, csr_matrix, aslinearoperator])
def test_a_jacobian_that_is_no_array_is_refused_by_name(kind, sigma):
    with pytest.raises(TypeError, match="jac: got a .*; this solver is dense"):
        st.curve_fit(model, X, Y, jac=lambda *p: kind(jacobian(*p)), sigma=sigma)


class Column:
    """Like a column of a data frame: no array, but numbers that NumPy reads."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.numbers, dtype)


NO_NUMBERS = [
    (lambda a: None, TypeError, "got None; expected numbers .a function without `return` gives"),
    (lambda a: [None] * 50, TypeError, "dtype object; expected real numbers"),
    (lambda a: "abc", TypeError, "dtype <U3; expected real numbers"),
    (lambda a: {"y": a}, TypeError, "dtype object; expected real numbers"),
    (lambda a: iter(a), TypeError, "dtype object; expected real numbers"),
    (lambda a: a + 0j, TypeError, "dtype complex128; expected real numbers"),
    (lambda a: a.astype("M8[s]"), TypeError, r"dtype datetime64\[s\]; expected real numbers"),
    (lambda a: np.ma.array(a), TypeError, "a masked array, whose mask would be ignored"),
    (lambda a: [[1.0], [1.0, 2.0]], ValueError, r"\[\[1.0\], \[1.0, 2.0\]\] is not an array"),
]


@WEIGHTS
@pytest.mark.parametrize(("spoil", "kind", "message"), NO_NUMBERS)
def test_values_that_are_no_numbers_are_refused_by_name(spoil, kind, message, sigma):
    with pytest.raises(kind, match=f"^f: {message}"):
        st.curve_fit(lambda *p: spoil(model(*p)), X, Y, np.ones(3), sigma)
    with pytest.raises(kind, match=f"^jac: {message}"):
        st.curve_fit(model, X, Y, np.ones(3), sigma, jac=lambda *p: spoil(jacobian(*p)))


def test_complex_values_are_to_be_stacked():
    stack = r"f: dtype complex128; .*; stack real .*, np.concatenate\(\[z.real, z.imag\]\)$"
    with pytest.raises(TypeError, match=stack):
        st.curve_fit(lambda *p: model(*p) + 0j, X, Y, np.ones(3))


@WEIGHTS
@pytest.mark.parametrize(
    ("spoil", "shape"),
    [
        (lambda y: y[1:], r"\(49,\)"),
        (lambda y: y[:0], r"\(0,\)"),
        (lambda y: y[:, None], r"\(50, 1\)"),
        (lambda y: y[None], r"\(1, 50\)"),
        (lambda y: list(y) + [1.0], r"\(51,\)"),
    ],
)
def test_values_of_another_shape_are_refused_by_name(spoil, shape, sigma):
    wanted = rf"^f: returned shape {shape}; expected \(50,\), one number per element of ydata"
    with pytest.raises(ValueError, match=wanted):
        st.curve_fit(lambda *p: spoil(model(*p)), X, Y, np.ones(3), sigma)


@WEIGHTS
@pytest.mark.parametrize(
    ("spoil", "shape"),
    [
        (lambda J: J[1:], r"\(49, 3\)"),
        (lambda J: J.T, r"\(3, 50\)"),
        (lambda J: J[0], r"\(1, 3\)"),
        (lambda J: 1.0, r"\(1, 1\)"),
    ],
)
def test_jacobians_of_another_shape_are_refused_by_name(spoil, shape, sigma):
    with pytest.raises(ValueError, match=rf"^jac: shape {shape}; expected \(50, 3\), one row"):
        st.curve_fit(model, X, Y, np.ones(3), sigma, jac=lambda *p: spoil(jacobian(*p)))


@WEIGHTS
@pytest.mark.parametrize("kind", [list, tuple, Column])
def test_values_may_come_as_other_than_arrays(kind, sigma):
    """kind(J) of a list or tuple holds rows."""
    want = st.curve_fit(model, X, Y, np.ones(3), sigma, jac=jacobian)
    got = st.curve_fit(
        lambda *p: kind(model(*p)), X, Y, np.ones(3), sigma, jac=lambda *p: kind(jacobian(*p))
    )
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@WEIGHTS
@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("col_deriv", [False, True])
def test_the_jacobian_of_one_parameter_may_have_one_dimension(col_deriv, ndim, sigma):
    """As with SciPy, where it is neither weighted nor of a method other than lm."""

    def decay(x, b):
        return np.exp(-b * x)

    def slope(x, b):
        J = -x * np.exp(-b * x)
        return J if ndim == 1 else J[None] if col_deriv else J[:, None]

    want = st.curve_fit(decay, X, Y, [1.0], sigma)[0]
    got = st.curve_fit(decay, X, Y, [1.0], sigma, jac=slope, col_deriv=col_deriv)[0]
    np.testing.assert_allclose(got, want, rtol=1e-6)
    if sigma is None:
        np.testing.assert_allclose(got, scipy_curve_fit(decay, X, Y, [1.0], jac=slope)[0], 1e-4)


@pytest.mark.parametrize("sigma", [None, 0.2])
def test_one_number_as_data_goes_with_any_number_of_values(sigma):
    one, all_ = (
        st.curve_fit(model, X, y, np.ones(3), sigma, jac=jacobian) for y in (0.5, np.full(50, 0.5))
    )
    np.testing.assert_array_equal(one[0], all_[0])
    np.testing.assert_array_equal(one[1], all_[1])


def test_exceptions_of_the_model_come_through():
    def broken(x, a):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        st.curve_fit(broken, X, Y)


def test_values_that_a_weak_reference_sees_are_not_overwritten():
    t = np.linspace(0, 4, 30)
    cache = weakref.WeakValueDictionary()

    def model(t, a, b):
        if (a, b) not in cache:
            fresh = a * np.exp(-b * t)
            cache[a, b] = fresh
        return cache[a, b]

    def jac(t, a, b):
        return np.stack([model(t, a, b) / a, -t * model(t, a, b)], axis=1)

    popt, _ = st.curve_fit(model, t, 2.5 * np.exp(-1.3 * t), [1.0, 1.0], jac=jac)
    np.testing.assert_allclose(popt, [2.5, 1.3])
