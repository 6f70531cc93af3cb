"""What curve_fit refuses, with SciPy's exceptions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit as scipy_curve_fit

import steepest as st
from problems.decay import SIGMA, X, Y, model

NOT_FINITE = "array must not contain infs or NaNs"

TWO = np.array([True, False])  # no flag and no word, and no truth

BAD = np.where(np.arange(50) == 4, np.nan, Y)

ERRORS = [
    ({"method": "unknown"}, ValueError, "method: 'unknown' is not allowed; expected one of 'lm'"),
    ({"method": "lm", "bounds": (0, 9)}, ValueError, "Method 'lm' only works for unconstrained"),
    ({"method": "lm", "bounds": (0, np.inf)}, ValueError, "Method 'lm' only works for unconstr"),
    ({"method": "lm", "bounds": (-np.inf, [9, np.inf, np.inf])}, ValueError, "Method 'lm' only"),
    ({"bounds": (0, 1, 2)}, ValueError, "`bounds` must contain 2 elements."),
    ({"bounds": ([0, 0], 9)}, ValueError, r"equal the number of parameters, 3; their shapes are"),
    ({"bounds": (9, 10), "p0": [1, 1, 1]}, ValueError, "Initial guess is outside of provided"),
    ({"bounds": (-9, 0), "p0": [1, 0, 0]}, ValueError, "Initial guess is outside of provided"),
    ({"bounds": (2, 1), "p0": None}, ValueError, r"lower\[0\] = 2 is not strictly less"),
    ({"bounds": ([0, 2, 0], [9, 2, 9])}, ValueError, r"lower\[1\] = 2 .*; to hold a parameter, le"),
    ({"bounds": (2, 1), "p0": [1, 1, 1]}, ValueError, r"lower\[0\] = 2 is not strictly less"),
    ({"f": X}, TypeError, r"f: array\(.*is not a callable object"),
    ({"f": lambda x: x}, ValueError, "Unable to determine number of fit parameters."),
    ({"f": lambda x, *p: x}, ValueError, "number of fit parameters. Give p0, their start."),
    ({"ydata": []}, ValueError, "`ydata` must not be empty!"),
    ({"ydata": BAD}, ValueError, f"ydata: {NOT_FINITE}"),
    ({"xdata": BAD}, ValueError, f"xdata: {NOT_FINITE}"),
    ({"ydata": Y + np.inf}, ValueError, f"ydata: {NOT_FINITE}"),
    ({"ydata": BAD, "nan_policy": "raise"}, ValueError, "The input contains nan values"),
    ({"nan_policy": "propagate"}, ValueError, "`nan_policy='propagate'` is not supported by"),
    ({"nan_policy": "hi"}, ValueError, r"nan_policy must be one of \{None, 'raise', 'omit'\}"),
    ({"sigma": np.ones(49)}, ValueError, r"`sigma` has incorrect shape. \(49,\); expected"),
    ({"sigma": -np.eye(50)}, ValueError, "`sigma` must be positive definite."),
    ({"args": (1,)}, ValueError, "'args' is not a supported keyword argument."),
    ({"xdata": X[:2], "ydata": Y[:2]}, TypeError, "The number of func parameters=3 must not exce"),
    ({"ydata": [1.0], "xdata": [2.0]}, TypeError, "parameters=3 must not exceed the number of res"),
    ({"p0": ["a", 1, 1]}, TypeError, r"p0: dtype <U\d+; expected real numbers"),
    ({"method": ["lm"]}, ValueError, r"method: \['lm'\] is not allowed; expected one of"),
    ({"bounds": "ab"}, ValueError, "bounds: 'a'; expected real numbers"),
    ({"ydata": ["a"] * 50}, ValueError, r"ydata: .*'a', .*; expected real numbers"),
    ({"xdata": ["a"] * 50}, ValueError, r"xdata: .*'a', .*; expected real numbers"),
    ({"maxfev": "9"}, TypeError, "maxfev: '9' is a str; expected a whole number"),
    ({"sigma": ["a"] * 50}, TypeError, "sigma: dtype <U1; expected real numbers"),
    (
        {"colour": 1},
        TypeError,
        r"curve_fit\(\) got an .* 'colour'; the further keywords are linear",
    ),
    ({"jac": "5-point"}, ValueError, "jac: '5-point'"),
    ({"jac": True}, ValueError, "jac: True; expected one of .*, None or a callable"),
    ({"jac": TWO}, ValueError, "jac: array.*; expected one of .*, None or a callable"),
    ({"absolute_sigma": TWO}, ValueError, "absolute_sigma: array.*; expected True or False"),
    ({"check_finite": TWO}, ValueError, "check_finite: array.*; expected True or False"),
    ({"full_output": TWO}, ValueError, "full_output: array.*; expected True or False"),
    ({"col_deriv": TWO, "jac": None}, ValueError, "col_deriv: array.*; expected True or False"),
    ({"nan_policy": TWO}, ValueError, r"nan_policy must be one of \{None, 'raise', 'omit'\}"),
    ({"ftol": TWO}, TypeError, "ftol: array.*; expected a finite number"),
]

# keywords that would be ignored: of which two say the same, or that the method has no use for
UNUSED = [
    ({"method": "gn", "damping": 1.0}, "damping: 1.0 with method 'gn', which has none; allowed"),
    ({"method": "gn", "factor": 1.0}, "factor: 1.0 with method 'gn', which has no damping; allow"),
    ({"factor": 1.0, "damping": 1.0}, "factor, damping: both given; expected only one of them"),
    ({"diag": np.ones(3), "x_scale": 1.0}, "diag, x_scale: both given; expected only one of them"),
    (
        {"epsfcn": 1e-9, "diff_step": 1e-4},
        "epsfcn, diff_step: both given; expected only one of them",
    ),
    ({"maxfev": 900, "max_nfev": 900}, "maxfev, max_nfev: both given; expected only one of them"),
]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p0": [np.nan, 1, 1]}, r"p0: p0\[0\] is nan; expected a finite number"),
        ({"p0": [], "bounds": (-np.inf, np.inf)}, "p0: no parameters; expected at least one"),
        ({"p0": []}, "p0: no parameters; expected at least one"),
        ({"sigma": np.where(X > 1, SIGMA, np.nan)}, "sigma: contains NaN"),
        ({"maxfev": -1}, "maxfev: -1 is not allowed; .* at least 0"),
        ({"diag": [1, 0, 1]}, r"diag: \[1, 0, 1\]; expected 3 positive numbers"),
        ({"diag": np.ones(2)}, r"diag: array\(.*; expected 3 positive numbers"),
        ({"epsfcn": np.nan}, "epsfcn: nan is not allowed"),
        ({"factor": 0}, "factor: 0.0 is not allowed; .* above 0"),
    ],
)
def test_values_that_scipy_takes_for_a_wrong_answer_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        st.curve_fit(model, X, Y, **options)


def test_data_of_two_dimensions_are_named():
    with pytest.raises(ValueError, match=r"ydata: shape \(50, 1\); expected one dimension, \(m,\)"):
        st.curve_fit(model, X, Y[:, None])


def test_a_sigma_of_zero_is_named():
    with pytest.raises(ValueError, match="sigma: a standard deviation cannot be 0"):
        st.curve_fit(model, X, Y, sigma=np.where(X > 1, SIGMA, 0))


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, 9)])
def test_a_complex_start_is_refused(bounds):
    """NumPy would drop what is imaginary, with a warning."""
    for p0 in (np.array([1 + 2j, 1, 1]), [1 + 2j, 1, 1]):
        with pytest.raises(TypeError, match="^p0: .*; expected"):
            st.curve_fit(model, X, Y, p0, bounds=bounds)


@pytest.mark.parametrize("name", ["xdata", "ydata"])
def test_complex_data_are_refused(name):
    data = {"xdata": X, "ydata": Y}
    how = "; stack real and imaginary parts, .*" if name == "ydata" else ""
    with pytest.raises(TypeError, match=f"^{name}: dtype complex128; expected real numbers{how}$"):
        st.curve_fit(model, **data | {name: data[name] + 1j})


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("sigma", [None, SIGMA, np.diag(SIGMA**2)])
def test_unchecked_data_that_are_not_finite_are_named(value, sigma):
    """The start was blamed for them."""
    y = Y.copy()
    y[[0, 7]] = np.nan, value
    with pytest.raises(ValueError, match=r"^Residuals are not .* point: ydata\[0\] is nan; leave"):
        st.curve_fit(model, X, y, sigma=sigma, check_finite=False)
    if np.isnan(value):
        return
    words = rf"^Residuals are not .* point: ydata\[7\] is {value}; leave it out$"
    with pytest.raises(ValueError, match=words):
        st.curve_fit(model, X, y, sigma=sigma, nan_policy="omit")


@pytest.mark.parametrize(("options", "kind", "message"), ERRORS)
def test_unfit_arguments(options, kind, message):
    arguments = {"f": model, "xdata": X, "ydata": Y} | options
    with pytest.raises(kind, match=f"(?s){message}"):
        st.curve_fit(**arguments)
    if not set(options) & {"colour", "jac"} and "a" not in (options.get("p0") or ()):
        with pytest.raises(kind):
            scipy_curve_fit(**arguments)


@pytest.mark.parametrize(("options", "message"), UNUSED)
def test_a_keyword_that_would_be_ignored_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        st.curve_fit(model, X, Y, **options)


def test_where_a_start_is_not_finite_it_says_whether_any_residual_is():
    with pytest.raises(
        ValueError, match="none is, residuals.0. is inf; start elsewhere:.* or p0 of"
    ):
        st.curve_fit(lambda x, a: np.full(50, a * np.inf), X, Y)
    with pytest.raises(ValueError, match=r"\[25\] is inf, and 24 more; .*, or leave them out$"):
        st.curve_fit(lambda x, a: np.where(x < X[25], a, np.inf), X, Y)


def test_one_number_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match=r"^Residuals are not .*: ydata\[0\] is inf; leave"):
        st.curve_fit(lambda t, a: a * t, X, np.inf, check_finite=False)


def test_a_start_whose_size_is_a_method_as_of_a_tensor():
    class Start:
        def __init__(self, numbers):
            self.numbers = numbers

        def size(self):
            return len(self.numbers)

        def __array__(self, dtype=None, copy=None):
            return np.array(self.numbers, dtype)

    def line(t, a, b):
        return a * t + b

    for bounds in ((0, 9), (-np.inf, np.inf)):
        popt, _ = st.curve_fit(line, X, line(X, 2.0, 1.0), Start([1.0, 3.0]), bounds=bounds)
        np.testing.assert_allclose(popt, [2.0, 1.0])
    with pytest.raises(ValueError, match="^p0: .* is not an array: "):
        st.curve_fit(line, X, X, [[1.0], [1.0, 2.0]], bounds=(0, 9))


@pytest.mark.parametrize("bounds", [np.array(1.0), list])
def test_bounds_that_have_no_length(bounds):
    with pytest.raises(TypeError, match="^bounds: .*; expected a pair"):
        st.curve_fit(lambda t, a: a * t, X, X, bounds=bounds)
    with pytest.raises(TypeError, match="^bounds: .*; expected a pair"):
        st.least_squares(lambda x: x, [1.0], bounds=bounds)
