"""The problem collections themselves: exact Jacobians, known answers."""

from __future__ import annotations

import numpy as np
import pytest
from problems import mgh, nist
from scipy.optimize import least_squares

ALL = mgh.PROBLEMS + mgh.VARIANTS


def complex_step(r, x):
    return np.stack([r(x + 1e-30j * e).imag / 1e-30 for e in np.eye(x.size)], axis=1)


def near(start):
    noise = np.random.default_rng(7).standard_normal(start.size)
    return start + 0.05 * noise * np.maximum(np.abs(start), 0.1)


@pytest.mark.parametrize("problem", ALL, ids=str)
def test_mgh_jacobian_equals_a_complex_step(problem):
    x = near(problem.start)
    want = complex_step(problem.residual, x)
    assert want.shape == (problem.m, problem.n)
    np.testing.assert_allclose(problem.jacobian(x), want, rtol=1e-12, atol=1e-14 * abs(want).max())


@pytest.mark.parametrize("problem", ALL, ids=str)
def test_mgh_gradient_is_that_of_the_value(problem):
    x = near(problem.start)
    step = 1e-6 * np.maximum(np.abs(x), 1e-2)
    want = [
        (problem.value(x + h * e) - problem.value(x - h * e)) / (2 * h)
        for h, e in zip(step, np.eye(x.size), strict=True)
    ]
    np.testing.assert_allclose(problem.gradient(x), want, rtol=1e-4, atol=1e-6 * np.abs(want).max())


@pytest.mark.parametrize("problem", ALL, ids=str)
def test_mgh_known_minima_are_what_scipy_reaches(problem):
    # trf: SciPy 1.17's lm now and then stops after three calls where J is singular (problem 18)
    tight = dict(xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=2000)
    found = least_squares(problem.residual, problem.start, problem.jacobian, **tight)
    assert problem.solved(found.x)


def test_mgh_has_all_35_in_order():
    assert [problem.number for problem in mgh.PROBLEMS] == list(range(1, 36))


def test_mgh_scaled_starts():
    rosenbrock, watson = mgh.PROBLEMS[0], mgh.PROBLEMS[19]
    np.testing.assert_array_equal(rosenbrock.scaled_start(10), [-12, 10])
    np.testing.assert_array_equal(watson.scaled_start(1), np.zeros(6))
    np.testing.assert_array_equal(watson.scaled_start(100), np.full(6, 100.0))


@pytest.mark.parametrize("name", nist.NAMES)
def test_nist_jacobian_equals_a_complex_step(name):
    problem = nist.load(name)
    for start in problem.starts:
        want = complex_step(problem.residual, start)
        np.testing.assert_allclose(problem.jacobian(start), want, rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", nist.NAMES)
def test_nist_certified_values_are_a_minimum(name):
    problem = nist.load(name)
    r, jac = problem.residual(problem.certified), problem.jacobian(problem.certified)
    assert r @ r == pytest.approx(problem.rss, rel=1e-6)
    assert problem.dof == problem.y.size - problem.certified.size
    covariance = problem.rss / problem.dof * np.linalg.inv(jac.T @ jac)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), problem.stderr, rtol=1e-5)
    assert problem.digits(problem.certified) == 11
    assert problem.digits(problem.certified * (1 + 1e-6)) == pytest.approx(6, abs=0.01)


def test_nist_has_the_ten():
    assert len(nist.NAMES) == 10
