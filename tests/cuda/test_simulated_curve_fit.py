"""curve_fit on arrays of the simulated device."""

from __future__ import annotations

import fake_cupy
import numpy as np
import pytest
from device_problems import down, up

import steepest as st

pytestmark = pytest.mark.usefixtures("libraries_to_be_found")


def curve(x, a, b):
    return a * fake_cupy.exp(-b * x)


def host_curve(x, a, b):
    return a * np.exp(-b * x)


def curve_data():
    x = np.linspace(0, 4, 30)
    return x, host_curve(x, 2.5, 1.3) + 0.02 * np.random.default_rng(3).standard_normal(30)


@pytest.mark.parametrize("method", ("lm", "trf"))
@pytest.mark.parametrize("sigma", ("none", "vector", "matrix"))
def test_curve_fit(method, sigma):
    x, y = curve_data()
    spread = {"none": None, "vector": np.linspace(0.01, 0.03, 30)}.get(sigma)
    if sigma == "matrix":
        spread = np.diag(np.full(30, 4e-4)) + 1e-5
    given = None if spread is None else up(spread)
    want = st.curve_fit(host_curve, x, y, sigma=spread, method=method, full_output=True)
    got = st.curve_fit(curve, up(x), up(y), sigma=given, method=method, full_output=True)
    for mine, other in zip(got[:2], want[:2], strict=True):
        np.testing.assert_allclose(down(mine), other, rtol=1e-5, atol=1e-12)
    for name, value in want[2].items():
        if name == "nfev":
            assert got[2][name] == value
        else:
            np.testing.assert_allclose(down(got[2][name]), value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("error", (None, ZeroDivisionError))
def test_a_bound_on_which_the_model_is_not_defined(error):
    tried = []

    def of(library):
        def rising(x, a, b):
            if b == 0:
                tried.append(b)
                if error:
                    raise error
                return a * x * np.nan
            return a * library.log1p(x / b)

        return rising

    x = np.linspace(0.1, 4, 30)
    y = 2 * np.log1p(x / 0.05)
    want, _ = st.curve_fit(of(np), x, y, [5, 5], bounds=(0, 10))
    got, _ = st.curve_fit(of(fake_cupy), up(x), up(y), [5, 5], bounds=(0, 10))
    np.testing.assert_allclose(down(got), want, rtol=1e-5)
    np.testing.assert_allclose(want, [2, 0.05], rtol=1e-6)
    assert len(tried) == 2


def test_a_covariance_that_is_not_one_is_refused():
    x, y = curve_data()
    sigma = np.eye(30)
    sigma[20, 20] = -1  # whose factor stops at row 20, finite as far as it is there
    with pytest.raises(ValueError, match="`sigma` must be positive definite"):
        st.curve_fit(curve, up(x), up(y), sigma=up(sigma))


def test_curve_fit_leaves_out_what_is_missing():
    x, y = curve_data()
    y[3] = np.nan
    want, _ = st.curve_fit(host_curve, x, y, nan_policy="omit")
    got, _ = st.curve_fit(curve, up(x), up(y), nan_policy="omit")
    np.testing.assert_allclose(down(got), want, rtol=1e-6)
    with pytest.raises(ValueError, match="ydata: array must not contain infs or NaNs"):
        st.curve_fit(curve, up(x), up(y))
    with pytest.raises(TypeError, match="xdata, ydata: one lives on the host, the other on a CUDA"):
        st.curve_fit(curve, up(x), y)


def test_what_lives_elsewhere_or_is_not_real_is_refused():
    x, y = curve_data()
    with pytest.raises(TypeError, match="sigma, ydata: one lives on the host, the other on a CUDA"):
        st.curve_fit(curve, up(x), up(y), sigma=np.ones(30))
    with pytest.raises(TypeError, match="^sigma: dtype complex128; expected real numbers"):
        st.curve_fit(curve, up(x), up(y), sigma=up(1j * y))
    with pytest.raises(TypeError, match="^f: an ndarray, ydata an ndarray; expected both on the"):
        st.curve_fit(lambda x, a, b: np.full(30, a + b), up(x), up(y))


def test_bands():
    x, y = curve_data()
    popt, pcov = st.curve_fit(host_curve, x, y)
    g = np.stack([np.exp(-popt[1] * x), -popt[0] * x * np.exp(-popt[1] * x)], axis=1)
    for given in (pcov, up(pcov)):
        got = st.confidence_band(up(g), given, dof=28)
        np.testing.assert_array_equal(down(got), st.confidence_band(g, pcov, dof=28))
    noise = np.full(30, 0.02)
    got = st.prediction_band(up(g), up(pcov), up(noise), dof=28)
    np.testing.assert_array_equal(down(got), st.prediction_band(g, pcov, noise, dof=28))
    assert isinstance(got, fake_cupy.ndarray)
    assert isinstance(st.confidence_band(g, up(pcov), dof=28), np.ndarray)
