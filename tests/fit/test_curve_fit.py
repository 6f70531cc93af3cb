"""curve_fit: SciPy's arguments, results, exceptions and warnings over our solver."""

from __future__ import annotations

import functools
import inspect
import warnings

import numpy as np
import pytest
import scipy
from scipy.optimize import Bounds, OptimizeWarning
from scipy.optimize import curve_fit as scipy_curve_fit

import steepest as st
from problems import nist
from problems.decay import SIGMA, WEIGHTS, X, Y, jacobian, model


def counting(calls):
    """The model, which notes the parameters of each call."""

    def counted(x, *p):
        calls.append(p)
        return model(x, *p)

    return counted


def both(*args, **kwargs):
    return st.curve_fit(*args, **kwargs), scipy_curve_fit(*args, **kwargs)


def assert_same_fit(*args, rtol=1e-5, **kwargs):
    ours, scipys = both(*args, **kwargs)
    np.testing.assert_allclose(ours[0], scipys[0], rtol=rtol, atol=1e-8)
    np.testing.assert_allclose(ours[1], scipys[1], rtol=1e-3, atol=1e-9)


def test_the_signature_is_scipys():
    ours, scipys = (inspect.signature(f).parameters for f in (st.curve_fit, scipy_curve_fit))
    assert list(ours) == list(scipys)
    for name, parameter in scipys.items():
        assert (ours[name].kind, ours[name].default) == (parameter.kind, parameter.default)


@pytest.mark.parametrize("method", [None, "lm", "trf", "dogbox"])
@pytest.mark.parametrize("jac", [None, jacobian])
@pytest.mark.parametrize("sigma", [None, 0.2, SIGMA, np.diag(SIGMA**2) + 1e-3])
@pytest.mark.parametrize("absolute_sigma", [False, True])
def test_fits_are_scipys(method, jac, sigma, absolute_sigma):
    weights = {"sigma": sigma, "absolute_sigma": absolute_sigma}
    scalar = np.size(sigma) == 1 and sigma is not None
    if scalar and (jac is jacobian or np.lib.NumpyVersion(scipy.__version__) < "1.12.0"):
        weights["sigma"] = np.full(50, sigma)  # SciPy cannot take a scalar there
    assert_same_fit(model, X, Y, [1.0, 1.0, 0.0], method=method, jac=jac, **weights)


@pytest.mark.parametrize("jac", [None, jacobian])
def test_a_scalar_sigma_weighs_every_row(jac):  # SciPy takes one from 1.12 on, without a Jacobian
    scalar = st.curve_fit(model, X, Y, sigma=0.2, jac=jac, absolute_sigma=True)
    vector = st.curve_fit(model, X, Y, sigma=np.full(50, 0.2), jac=jac, absolute_sigma=True)
    np.testing.assert_array_equal(scalar[1], vector[1])


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
@pytest.mark.parametrize("method", ["lm", "trf", "dogbox"])
def test_difference_schemes(scheme, method):
    want = st.curve_fit(model, X, Y, jac=jacobian)
    sigma, calls = np.diag(np.full(50, 0.1)), []
    got = st.curve_fit(counting(calls), X, Y, np.ones(3), sigma, jac=scheme, method=method)
    assert np.iscomplexobj(calls) == (scheme == "cs")
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-5)


@pytest.mark.parametrize("bounds", [([0, 0, 0], [2, 5, 1]), (0, np.inf), Bounds(0, [9, 1, 9])])
def test_bounds_are_scipys(bounds):
    # SciPy's trf nears a bound from inside and stops 4e-5 from the estimate
    assert_same_fit(model, X, Y, bounds=bounds, jac=jacobian, rtol=1e-4)


@pytest.mark.parametrize("p0", [None, [1, 1, 1]])
def test_one_number_in_scipys_bounds_object_bounds_all(p0):
    got = st.curve_fit(model, X, Y, p0, bounds=Bounds(0, 2.0), jac=jacobian)
    want = st.curve_fit(model, X, Y, p0, bounds=(0, 2.0), jac=jacobian)
    np.testing.assert_array_equal(got[0], want[0])
    unbounded = st.curve_fit(model, X, Y, p0, bounds=Bounds(), method="lm")[0]
    np.testing.assert_array_equal(unbounded, st.curve_fit(model, X, Y, p0)[0])


def test_an_active_bound_is_reached_exactly_and_the_rest_is_the_estimate():
    popt, _ = st.curve_fit(model, X, Y, bounds=([0, 0, 0], [2, 5, 1]), jac=jacobian)
    rest, _ = st.curve_fit(lambda x, b, c: model(x, 2.0, b, c), X, Y)
    assert popt[0] == 2.0
    np.testing.assert_allclose(popt[1:], rest, rtol=1e-4)


def test_the_start_within_bounds_is_scipys():
    starts = []

    def spy(x, a, b, c, d):
        starts.append([a, b, c, d])
        return a * x + b + c + d

    bounds = ([-1, 2, -np.inf, -np.inf], [5, np.inf, -3, np.inf])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        st.curve_fit(spy, X, Y, bounds=bounds)
    assert starts[0] == [2, 3, -4, 1]


@pytest.mark.parametrize("name", nist.NAMES)
def test_standard_errors_are_nists(name):
    problem = nist.load(name)
    popt, pcov = st.curve_fit(
        problem.model, problem.x, problem.y, problem.starts[1], jac=problem.gradient
    )
    assert problem.digits(popt) > 4
    np.testing.assert_allclose(np.sqrt(np.diag(pcov)), problem.stderr, rtol=2e-4)


def test_covariance_belongs_to_the_solution():
    """But with lm, as SciPy's, to the iterate before the last step, which saves a Jacobian."""
    for method, rtol in (("trf", 1e-9), ("lm", 1e-4)):
        popt, pcov = st.curve_fit(model, X, Y, jac=jacobian, method=method)
        jac, r = jacobian(X, *popt), model(X, *popt) - Y
        np.testing.assert_allclose(pcov, np.linalg.inv(jac.T @ jac) * (r @ r) / 47, rtol=rtol)
    scipys = scipy_curve_fit(model, X, Y, jac=jacobian)[1]
    np.testing.assert_allclose(pcov, scipys, rtol=1e-5)


@pytest.mark.parametrize("m", [50, 8000])  # our own QR, and LAPACK's
def test_covariance_is_scipys_at_any_size(m):
    t = np.linspace(0, 4, m)
    y = model(t, 2.5, 1.3, 0.5) + 0.05 * np.cos(50 * t)
    for jac in (None, jacobian):
        ours, scipys = both(model, t, y, jac=jac, full_output=True)
        np.testing.assert_allclose(ours[1], scipys[1], rtol=1e-4)
        assert set(ours[2]["ipvt"]) == {0, 1, 2}


def test_full_output_of_lm_has_minpacks_keys_and_meaning():
    told = []

    def jac(x, *p):
        told.append(p)
        return jacobian(x, *p)

    popt, pcov, info, message, ier = st.curve_fit(model, X, Y, jac=jac, full_output=True)
    scipys = scipy_curve_fit(model, X, Y, jac=jacobian, full_output=True)[2]
    assert set(info) == set(scipys) >= {"nfev", "njev", "fvec", "fjac", "ipvt", "qtf"}
    assert info["njev"] == len({tuple(p) for p in told}) > 1
    assert set(st.curve_fit(model, X, Y, full_output=True)[2]) == set(info) - {"njev"}
    assert ier in (1, 2, 3, 4) and isinstance(message, str)
    f, n = info["fvec"], 3
    np.testing.assert_allclose(f, model(X, *popt) - Y, rtol=1e-12)
    r = np.triu(info["fjac"].T[:n])
    order = np.argsort(info["ipvt"])
    inverse = np.linalg.inv(r.T @ r)[np.ix_(order, order)]
    np.testing.assert_allclose(pcov, inverse * (f @ f) / (X.size - n), rtol=1e-10)
    assert (np.diff(np.abs(np.diag(r))) <= 0).all()
    permuted = jacobian(X, *popt)[:, info["ipvt"]]
    np.testing.assert_allclose(np.abs(r), np.abs(np.linalg.qr(permuted)[1]), atol=1e-4)
    np.testing.assert_allclose(r.T @ info["qtf"], permuted.T @ f, atol=1e-4)
    assert info["fjac"].shape == scipy_curve_fit(model, X, Y, full_output=True)[2]["fjac"].shape


@pytest.mark.parametrize("method", ["lm", "trf"])
def test_nfev_counts_differences_with_lm_only(method):
    calls = []
    info = st.curve_fit(counting(calls), X, Y, np.ones(3), method=method, full_output=True)[2]
    assert info["nfev"] == len(calls) if method == "lm" else info["nfev"] < len(calls)
    assert set(info) >= {"nfev", "fvec"}


def test_more_by_keyword():
    spoilt = Y.copy()
    spoilt[::10] += 30
    points = []
    popt, _ = st.curve_fit(model, X, spoilt, loss="cauchy", f_scale=0.1, callback=points.append)
    np.testing.assert_allclose(popt, [2.5, 1.3, 0.5], atol=0.3)
    assert len(points) > 2


def test_keywords_of_leastsq():
    want = st.curve_fit(model, X, Y, jac=jacobian)[0]
    for options in (
        {"epsfcn": 1e-12},
        {"diag": (1, 2, 3)},
        {"factor": 1.0},
        {"ftol": 1e-10, "xtol": 1e-10, "gtol": 0.0},
        {"maxfev": 500},
        {"jac": lambda *args: jacobian(*args).T, "col_deriv": True},
    ):
        got = st.curve_fit(model, X, Y, method="lm", **options)[0]
        np.testing.assert_allclose(got, want, rtol=1e-5, err_msg=str(options))


@pytest.mark.parametrize("method", ["lm", "trf"])
@pytest.mark.parametrize(
    ("leastsqs", "ours"),
    [
        ({"epsfcn": 1e-8}, {"diff_step": 1e-4}),
        ({"diag": (1, 2, 4)}, {"x_scale": (1, 0.5, 0.25)}),
        ({"factor": 0.01}, {"damping": 10.0}),
    ],
)
def test_words_of_leastsq_are_those_of_least_squares(leastsqs, ours, method):
    ways = [], [], []
    for way, words in zip(ways, (leastsqs, ours, {}), strict=True):
        st.curve_fit(counting(way), X, Y, np.ones(3), method=method, **words)
    assert ways[0] == ways[1] != ways[2]


def test_keywords_are_checked_and_kept():
    with pytest.raises(ValueError, match=r"diag: \(1, 2\); expected 3 positive"):
        st.curve_fit(model, X, Y, method="lm", diag=(1, 2))
    st.curve_fit(model, X, Y, method="lm", gtol=0.0)  # quiet, it is leastsq's default
    with pytest.warns(UserWarning, match="`gtol` below the machine epsilon"):
        st.curve_fit(model, X, Y, method="trf", gtol=0.0)


def test_unchecked_data_and_predictors_of_another_kind():
    want = st.curve_fit(model, X, Y)[0]
    np.testing.assert_array_equal(st.curve_fit(model, X, Y, check_finite=False)[0], want)
    named = {"t": X}
    got = st.curve_fit(lambda x, a, b, c: model(x["t"], a, b, c), named, Y, nan_policy="raise")[0]
    np.testing.assert_array_equal(got, want)


def test_parameters_are_those_of_the_function_under_a_decorator():
    @functools.wraps(model)
    def wrapped(*args):
        return model(*args)

    np.testing.assert_array_equal(st.curve_fit(wrapped, X, Y)[0], st.curve_fit(model, X, Y)[0])


def test_a_model_that_has_values_at_the_start_alone_is_not_called_too_often():
    def broken(x, a, b):
        return a * x + b if (a, b) == (1, 1) else np.nan * x

    def slope(x, a, b):
        return np.stack([x, np.ones_like(x)], 1)

    for method in ("lm", "trf"):
        with pytest.raises(RuntimeError, match="finite"):
            st.curve_fit(broken, X, Y, jac=slope, method=method)


def test_fewer_data_than_parameters_are_for_trf():
    def parabola(x, a, b, c):
        return a * x**2 + b * x + c

    x, y = np.array([1.0, 3.0]), np.array([2.0, -1.0])
    with pytest.raises(TypeError, match="parameters=3 must not exceed the number of data points=2"):
        st.curve_fit(parabola, x, y, method="lm")
    with pytest.warns(OptimizeWarning, match="Covariance"):
        popt, pcov = st.curve_fit(parabola, x, y, method="trf")
    np.testing.assert_allclose(parabola(x, *popt), y, rtol=1e-6)
    assert np.isinf(pcov).all()


def test_data_of_any_kind():
    class Method:
        def model(self, x, a, b):
            return a * x + b

    line = st.curve_fit(Method().model, [1, 2, 3, 4], (3.0, 5.0, 7.0, 9.0))[0]
    np.testing.assert_allclose(line, [2, 1], atol=1e-9)
    popt = st.curve_fit(lambda _, a: a * np.arange(10.0), None, 2 * np.arange(10))[0]
    np.testing.assert_allclose(popt, [2.0], rtol=1e-12)
    column = st.curve_fit(model, X, Y, [[1.0], [1.0], [0.0]])[0]
    np.testing.assert_array_equal(column, st.curve_fit(model, X, Y, [1.0, 1.0, 0.0])[0])
    popt = st.curve_fit(lambda x, *p: model(x, *p), X, Y, np.ones(3), bounds=(0, 9))[0]
    np.testing.assert_allclose(popt, st.curve_fit(model, X, Y)[0], rtol=1e-5)
    seen = {"t": X}  # what is not an array reaches the model as it is
    got = st.curve_fit(lambda data, a, b, c: model(data["t"], a, b, c), seen, Y)[0]
    np.testing.assert_allclose(got, st.curve_fit(model, X, Y)[0], rtol=1e-9)
    got = st.curve_fit(model, X.astype(np.float32), Y, np.ones(3, np.float32))[0]
    assert got.dtype == np.float64
    broadcast = st.curve_fit(lambda x, a, b, c: model(x, a, b, c) - Y, X, 0)[0]
    np.testing.assert_allclose(broadcast, st.curve_fit(model, X, Y)[0], rtol=1e-9)


@pytest.mark.parametrize("sigma", [None, 0.3, SIGMA, np.diag(SIGMA**2)])
def test_nan_are_omitted_with_their_sigma(sigma):
    x, y = np.stack([X, 2 * X]), Y.copy()
    x[1, 3] = x[0, 7] = y[20] = np.nan
    keep = np.delete(np.arange(50), [3, 7, 20])

    def plane(x, a, b, c):
        return model(x[0] + x[1], a, b, c)

    got = st.curve_fit(plane, x, y, sigma=sigma, nan_policy="omit")
    rest = (
        sigma if np.ndim(sigma) == 0 else sigma[keep] if sigma.ndim == 1 else sigma[keep][:, keep]
    )
    want = st.curve_fit(plane, x[:, keep], y[keep], sigma=rest)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


def flat(x, a, b):
    return a * x


MANY = np.linspace(0, 4, 8000)  # for LAPACK's QR


@pytest.mark.parametrize(
    ("f", "x", "y"),
    [(flat, X, X), (flat, MANY, MANY), (lambda x, a, b: a * x + b, X[:2], X[:2] + 1)],
)
def test_an_indeterminate_covariance_warns(f, x, y):
    with pytest.warns(OptimizeWarning, match="Covariance of the parameters could not be est"):
        pcov = st.curve_fit(f, x, y)[1]
    assert np.isposinf(pcov).all() and pcov.shape == (2, 2)


@pytest.mark.parametrize("method", ["lm", "trf"])
@pytest.mark.parametrize("f", [lambda x, a, b: a * x + b, lambda x, a, b: np.where(x == 1, a, b)])
def test_as_many_parameters_as_data_have_no_covariance(f, method):
    with pytest.warns(OptimizeWarning, match="Covariance of the parameters could not be est"):
        pcov = st.curve_fit(f, [1.0, 2], [3.0, 5], method=method)[1]
    assert np.isposinf(pcov).all()


UNKNOWN = "^Covariance of the parameters could not be estimated: the data do not determine "


@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_a_parameter_without_effect_has_an_infinite_variance_by_any_method(method):
    """SciPy's trf has 0 there. The others have SciPy's numbers, of the pseudo-inverse."""
    y = X + 0.1 * np.sin(9 * X)
    with pytest.warns(OptimizeWarning, match=rf"{UNKNOWN}p\[1\], inf in the covariance$"):
        ours = st.curve_fit(flat, X, y, method=method)
    scipys = scipy_curve_fit(flat, X, y, method=method)
    np.testing.assert_allclose(ours[1][0, 0], scipys[1][0, 0], rtol=1e-5)
    assert np.isposinf([ours[1][0, 1], *ours[1][1]]).all()


def test_parameters_that_count_only_together_have_infinite_variances():
    def product(x, a, b, k, c):
        return model(x, a * b, k, c)

    def slopes(x, a, b, k, c):
        J = jacobian(x, a * b, k, c)
        return np.column_stack([b * J[:, 0], a * J[:, 0], J[:, 1:]])

    with pytest.warns(OptimizeWarning, match=rf"{UNKNOWN}p\[0\], p\[1\], inf"):
        _, pcov = st.curve_fit(product, X, Y, jac=slopes, method="trf")
    assert np.isposinf(np.diag(pcov)[:2]).all()
    want = st.curve_fit(model, X, Y, jac=jacobian, method="trf")[1]
    np.testing.assert_allclose(pcov[2:, 2:], want[1:, 1:] * 47 / 46, rtol=1e-4)


def test_no_parameter_is_determined_where_the_model_is_constant():
    with pytest.warns(OptimizeWarning, match="could not be estimated$"):
        pcov = st.curve_fit(lambda x, a, b: 0 * x + 1, X, Y, method="trf")[1]
    assert np.isposinf(pcov).all()


def test_a_vanished_peak_at_a_bound_leaves_its_place_unknown():
    """The height itself, at its bound, has the variance that it would have without."""

    def peak(x, a, b, c):
        return a * np.exp(-100 * (x - b) ** 2) + c * x

    y = peak(X, -0.3, 1.5, 2.0)
    bounds = ([0, 1, 0], [5, 2, 9])
    with pytest.warns(OptimizeWarning, match=rf"{UNKNOWN}p\[1\], inf"):
        popt, pcov = st.curve_fit(peak, X, y, [0.0, 1.5, 1.0], bounds=bounds)
    assert popt[0] == 0
    J = np.column_stack([np.exp(-100 * (X - popt[1]) ** 2), X])
    s2 = np.sum((peak(X, *popt) - y) ** 2) / (X.size - 3)
    want = s2 * np.linalg.inv(J.T @ J)
    np.testing.assert_allclose(pcov[np.ix_([0, 2], [0, 2])], want, rtol=1e-5)


@pytest.mark.parametrize("jac", [None, jacobian])
def test_maxfev_is_scipys_error(jac):
    message = r"Optimal parameters not found: Number of calls to function has reached maxfev = 3\.$"
    with pytest.raises(RuntimeError, match=message):
        st.curve_fit(model, X, Y, jac=jac, maxfev=3)
    with pytest.raises(RuntimeError, match=message):
        scipy_curve_fit(model, X, Y, jac=jac, maxfev=3)
    message = "Optimal parameters not found: The maximum number of function evaluations is exc"
    for options in ({"maxfev": 2}, {"max_nfev": 2}):
        with pytest.raises(RuntimeError, match=message):
            st.curve_fit(model, X, Y, jac=jac, method="trf", **options)


def test_without_maxfev_the_error_says_what_it_would_have_to_exceed():
    """The default counts no calls for differences, maxfev does."""
    calls = []

    def endless(x, a):  # each step adds 1 to a
        calls.append(a)
        return np.exp(-a) * (1 + x)

    with pytest.raises(RuntimeError, match="has reached maxfev = ") as caught:
        st.curve_fit(endless, X, 0 * X, ftol=0, xtol=1e-15, gtol=0)
    assert str(caught.value).endswith(f" = {len(calls)}.")
    assert len(calls) > 300


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, 9)])
def test_maxfev_of_zero_is_leastsqs_default_alone(bounds):
    st.curve_fit(model, X, Y, maxfev=0)
    for fit in (st.curve_fit, scipy_curve_fit):
        with pytest.raises(ValueError, match="maxfev: 0 is not allowed|`max_nfev` must be None or"):
            fit(model, X, Y, method="trf", bounds=bounds, maxfev=0)


@pytest.mark.parametrize("bounds", [{}, {"bounds": (-np.inf, np.inf)}])
def test_a_start_of_two_dimensions_is_flattened_as_by_leastsq(bounds):
    for fit in (st.curve_fit, scipy_curve_fit):
        assert fit(model, X, Y, np.ones((3, 1)), **bounds)[0].shape == (3,)


def test_a_start_of_two_dimensions_within_bounds_is_named():
    with pytest.raises(ValueError, match=r"^x0: shape \(2, 3\); expected at most one dimension"):
        st.curve_fit(lambda t, *p: t, [1.0] * 9, [1.0] * 9, np.ones((2, 3)), bounds=([0] * 6, 2))


def test_maxfev_bounds_the_calls_exactly():
    calls = []
    with pytest.raises(RuntimeError):
        st.curve_fit(counting(calls), X, Y, np.ones(3), maxfev=9)
    assert len(calls) == 9


@pytest.mark.parametrize("epsfcn", [0.0, -1.0, 1e-30])
def test_epsfcn_is_at_least_the_rounding_unit_as_with_minpack(epsfcn):
    for fit in (st.curve_fit, scipy_curve_fit):
        got = fit(model, X, Y, epsfcn=epsfcn)[0]
        np.testing.assert_allclose(got, st.curve_fit(model, X, Y)[0], rtol=1e-5)


def test_data_of_objects_are_as_numbers():
    got = st.curve_fit(model, *(a.astype(object) for a in (X, Y)), sigma=SIGMA.astype(object))
    for one, other in zip(got, st.curve_fit(model, X, Y, sigma=SIGMA), strict=True):
        assert one.tobytes() == other.tobytes()


@WEIGHTS
@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-4), (np.float16, 1e-2)])
def test_differences_fit_the_precision_of_the_model(dtype, rtol, sigma):
    """Steps for float64 would be lost in such a model's rounding, and with them the slope."""
    got = st.curve_fit(lambda *p: model(*p).astype(dtype), X, Y, np.ones(3), sigma)[0]
    np.testing.assert_allclose(got, st.curve_fit(model, X, Y, sigma=sigma)[0], rtol=rtol)


class Column:
    """As much of a Series of pandas as counts here."""

    ndim = 1

    def __init__(self, values):
        self.values = np.asarray(values)

    def __getitem__(self, where):
        return Column(self.values[where])

    def to_numpy(self):
        return self.values


@pytest.mark.parametrize("place", ["x", "y"])
def test_a_column_of_pandas_is_cleaned_as_an_array(place):
    x, y = np.arange(6.0), 2 * np.arange(6.0) + 1
    (x if place == "x" else y)[2] = np.nan
    given = []

    def line(x, a, b):
        given.append(x)
        return a * x.to_numpy() + b

    popt, _ = st.curve_fit(line, Column(x), y, nan_policy="omit")
    np.testing.assert_allclose(popt, [2, 1], rtol=1e-6)
    assert type(given[0]) is Column
    with pytest.raises(ValueError, match=f"^{place}data: array must not contain infs or NaNs"):
        st.curve_fit(line, Column(x), y)
    days = Column(np.array(["2026-01-01", "b"] * 3, dtype=object))  # of which there are no numbers
    st.curve_fit(lambda x, a: a * np.arange(6.0), days, np.arange(6.0))
