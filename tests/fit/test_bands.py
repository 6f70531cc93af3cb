"""Bands against the closed form of a straight line, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from steepest import confidence_band, prediction_band

X = np.array([0.5, 1.0, 2.5, 4.0, 7.0, 7.5])
LINE = np.stack([np.ones_like(X), X], axis=1)
S = 0.3
COVARIANCE = S**2 * np.linalg.inv(LINE.T @ LINE)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_bands_of_a_line_are_the_textbooks(level):
    grid = np.linspace(-1, 9, 7)
    gradient = np.stack([np.ones_like(grid), grid], axis=1)
    t = stats.t.ppf(0.5 + level / 2, X.size - 2)
    leverage = 1 / X.size + (grid - X.mean()) ** 2 / ((X - X.mean()) ** 2).sum()
    got = confidence_band(gradient, COVARIANCE, dof=4, level=level)
    np.testing.assert_allclose(got, t * S * np.sqrt(leverage), rtol=1e-12)
    got = prediction_band(gradient, COVARIANCE, S, dof=4, level=level)
    np.testing.assert_allclose(got, t * S * np.sqrt(1 + leverage), rtol=1e-12)


def test_known_sigma_takes_the_normal_quantile():
    got = confidence_band(LINE, COVARIANCE, dof=np.inf)
    want = stats.norm.ppf(0.975) * np.sqrt(np.diag(LINE @ COVARIANCE @ LINE.T))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_noise_of_each_observation():
    noise = np.linspace(0, 2, X.size)
    got = prediction_band(LINE, 0 * COVARIANCE, noise, dof=4)
    np.testing.assert_allclose(got, stats.t.ppf(0.975, 4) * noise, rtol=1e-12)


def test_noise_whose_square_overflows():
    """As of an observation that sigma is to leave out."""
    got = prediction_band(LINE, COVARIANCE, [S, 1e300, S, S, S, S], dof=np.inf)
    assert got[1] == pytest.approx(stats.norm.ppf(0.975) * 1e300)


def test_bands_cover_as_often_as_they_say():
    rng, inside = np.random.default_rng(3), np.zeros(2)
    pseudo = np.linalg.pinv(LINE)
    for _ in range(4000):
        y = LINE @ [1.0, -2.0] + S * rng.standard_normal(X.size)
        p = pseudo @ y
        s = np.sqrt(((y - LINE @ p) ** 2).sum() / 4)
        covariance = s**2 * np.linalg.inv(LINE.T @ LINE)
        error, new = LINE @ (p - [1.0, -2.0]), S * rng.standard_normal(X.size)
        inside[0] += (np.abs(error) <= confidence_band(LINE, covariance, dof=4)).mean()
        inside[1] += (np.abs(error - new) <= prediction_band(LINE, covariance, s, dof=4)).mean()
    np.testing.assert_allclose(inside / 4000, 0.95, atol=0.01)


def test_nan_stays():
    assert np.isnan(confidence_band([[np.nan, 1.0]], COVARIANCE, dof=4)).all()


def test_a_covariance_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"^covariance: gives a variance of -0\.0\d+; expected"):
        confidence_band(LINE, -COVARIANCE, dof=4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_variance_of_zero_but_for_rounding_is_zero(dtype):
    g = np.random.default_rng(1).standard_normal((50, 12))
    g -= g.mean(axis=1, keepdims=True)
    got = confidence_band(g.astype(dtype), np.ones((12, 12), dtype), dof=4)
    assert (got == 0).any()  # g ⟂ the one direction that varies: the other half is rounded up
    np.testing.assert_allclose(got, 0, atol=np.sqrt(np.finfo(dtype).eps) * 100)


def test_unfit_arguments():
    with pytest.raises(ValueError, match=r"gradient: shape \(6, 2\), with covariance of shape"):
        confidence_band(LINE, np.eye(3), dof=4)
    for dof in (0, 1e-100):  # the second ended the process with SciPy 1.11
        with pytest.raises(ValueError, match=rf"dof: {float(dof)} is not .*at least 0.1"):
            confidence_band(LINE, COVARIANCE, dof=dof)
    with pytest.raises(ValueError, match=r"level: 95.0 is not allowed; expected .*below 1"):
        confidence_band(LINE, COVARIANCE, dof=4, level=95)
    with pytest.raises(
        ValueError, match=r"noise: shape \(2,\), .*expected one number or shape \(6,\)"
    ):
        prediction_band(LINE, COVARIANCE, [1.0, 2.0], dof=4)
    with pytest.raises(ValueError, match=r"noise: shape \(\), smallest -1; .*at least 0"):
        prediction_band(LINE, COVARIANCE, -1.0, dof=4)


@pytest.mark.parametrize("name", ["gradient", "covariance", "noise"])
@pytest.mark.parametrize("wrong", [1j, "1"])
def test_what_is_no_real_number_is_named(name, wrong):
    arguments = {"gradient": np.ones((6, 2)), "covariance": np.eye(2), "noise": np.ones(6)}
    arguments[name] = np.full_like(arguments[name], wrong, dtype=type(wrong))
    with pytest.raises(TypeError, match=f"^{name}: dtype .*; expected real numbers$"):
        prediction_band(**arguments, dof=4)
