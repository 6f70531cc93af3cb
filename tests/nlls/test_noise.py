"""Residuals with more noise than their dtype's rounding: the differences see it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import steepest as st
from problems import curves
from steepest.nlls.arguments import JACOBIAN, RESIDUAL, Options, make_solver

LOSSES = {"in C++": "linear", "in Python": lambda z: np.array([z, 0 * z + 1, 0 * z])}


def assert_solved(p, fun, x0, **options):
    fit = st.least_squares(fun, x0, **options)
    cost, true = (np.sum(p.residual(x) ** 2) for x in (fit.x, p.true))
    assert fit.success and cost <= 1.01 * true


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1e-9, 1e-8, 1e-6, 1e-4])
@pytest.mark.parametrize("curve", curves.CURVES)
def test_noise(curve, size, loss):
    """SciPy's trf and lm end with success, and off the minimum, at 1e-8 to 1e-4."""
    for seed in range(3):
        p = curves.problem(curve, "near", seed)
        assert_solved(p, p.simulated(size), p.start, loss=LOSSES[loss])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("curve", curves.CURVES)
def test_a_model_in_lower_precision(curve, dtype, loss):
    """The residuals are float64, by data that are."""
    for seed in range(3):
        p = curves.problem(curve, "near", seed)
        fun = p.rounded(dtype)
        assert fun(p.start).dtype == np.float64
        assert_solved(p, fun, p.start, loss=LOSSES[loss])
        assert_solved(p, fun, np.round(8 * p.start) / 8, loss=LOSSES[loss])  # no rounding there


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_one_parameter(scheme):
    t = np.linspace(0, 4, 50)

    def fun(x):
        return np.exp(-x[0] * t) * (1 + 1e-6 * curves.noise_at(x, 50)) - np.exp(-0.7 * t)

    np.testing.assert_allclose(st.least_squares(fun, [2.0], scheme).x, 0.7, rtol=1e-5)


def test_of_another_method_a_loss_and_curve_fit():
    p = curves.problem("exponential", "near", 1)
    fun = p.simulated(1e-7)
    best = st.least_squares(p.residual, p.start, p.jacobian).x
    for options in ({"method": "levenberg"}, {"method": "gn"}, {"loss": "soft_l1", "f_scale": 10}):
        found = st.least_squares(fun, p.start, **options)
        np.testing.assert_allclose(found.x, best, rtol=1e-3)
    found, covariance = st.curve_fit(
        lambda t, *x: fun(np.array(x)) + p.y, curves.T, p.y, p0=p.start
    )
    np.testing.assert_allclose(found, best, rtol=1e-3)
    exact = st.least_squares(p.residual, p.start, p.jacobian).covariance()
    np.testing.assert_allclose(covariance, exact, rtol=0.02)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("curve", ["exponential", "hill", "sine"])
def test_all_evaluations_stay_within_bounds(curve, loss):
    p = curves.problem(curve, "near", 2)
    lower, upper = np.minimum(p.start, p.true), np.maximum(p.start, p.true)
    asked = []

    def fun(x):
        asked.append(x.copy())
        return p.simulated(1e-6)(x)

    st.least_squares(fun, p.start, loss=LOSSES[loss], bounds=(lower, upper))
    assert (lower <= np.array(asked)).all() and (np.array(asked) <= upper).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scheme, columns", [("2-point", 1), ("3-point", 2)])
def test_without_noise_it_takes_one_evaluation(scheme, columns, loss):
    calls = []

    def fun(x):
        calls.append(x)
        return np.array([x[0] - 1, 10 * (x[1] - x[0] ** 2), x[0] + x[1]])

    fit = st.least_squares(fun, [-1.2, 1.0], scheme, loss=LOSSES[loss], ftol=1e-4)
    assert len(calls) == fit.nfev + 2 * columns * fit.njev + 1
    for options in ({"jac": lambda x: 1e-9 + np.eye(2)}, {"diff_step": 1e-6}):
        calls.clear()
        fit = st.least_squares(lambda x: fun(x)[:2], [-1.2, 1.0], loss=LOSSES[loss], **options)
        assert len(calls) == fit.nfev + (2 * fit.njev if "diff_step" in options else 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_parameter_without_influence_takes_two_evaluations(loss):
    """At the first Jacobian; whether rounding hides it."""
    calls = []

    def fun(x):
        calls.append(x)
        return np.array([x[0] - 1, 3 * x[0] + 2])

    fit = st.least_squares(fun, [4.0, 5.0], loss=LOSSES[loss], gtol=1e-3)
    assert len(calls) == fit.nfev + 2 * fit.njev + 2 and fit.x[1] == 5


def failing(patience):
    """A solver whose first step has failed, its Jacobian by differences."""
    solver = make_solver(np.array([1.0]), Options(max_nfev=9), (None, None))
    solver.tell_residual([1.0, 10.0])
    solver.set_accuracy(0, patience=patience)
    solver.tell_jacobian(np.array([[1.0], [0.1]]))
    assert solver.phase == RESIDUAL and not solver.again
    tried = solver.point()
    solver.tell_residual([2.0, 10.0])
    return solver, tried


def test_a_doubted_jacobian_is_asked_for_again_and_may_stand():
    sure, tried = failing(0)
    assert sure.phase == RESIDUAL and 0 < 1 - sure.point() < 1 - tried
    solver, tried = failing(1)
    assert solver.phase == JACOBIAN and solver.again and solver.point() == 1
    with pytest.raises(ValueError, match="waits for the Jacobian"):
        solver.tell_residual([1.0, 10.0])
    solver.set_accuracy(0)
    assert solver.keep_jacobian() == RESIDUAL and solver.nit == 0
    assert solver.point() == sure.point()  # as if nothing had been asked
    np.testing.assert_array_equal(solver.fun(), [1.0, 10.0])
    with pytest.raises(ValueError, match="keep_jacobian: the solver waits for the residual"):
        solver.keep_jacobian()


def test_after_noise_it_starts_over():
    """D and the radius of noise are forgotten: the step is that of a new solver."""
    J = np.array([[0.5], [0.0]])
    fresh = make_solver(np.array([1.0]), Options(max_nfev=9), (None, None))
    fresh.tell_residual([1.0, 10.0])
    fresh.tell_jacobian(J)
    solver, _ = failing(1)
    solver.set_accuracy(0, first=True)
    solver.tell_jacobian(J)
    assert solver.phase == RESIDUAL and solver.point() == fresh.point()
    solver, _ = failing(1)
    solver.set_accuracy(0)
    solver.tell_jacobian(J)
    assert solver.point() != fresh.point()


@pytest.mark.parametrize("rtol", [1e-3, 1e-4, 1e-5, 1e-6])
def test_a_simulator_with_a_tolerance(rtol):
    """SciPy's trf and lm end with a cost up to 340 times as large, with success."""
    t = np.linspace(0, 10, 41)

    def pendulum(x):
        def moved(_, state):
            return [state[1], -x[0] * np.sin(state[0]) - x[1] * state[1]]

        path = solve_ivp(moved, (0, 10), [1.5, 0], "LSODA", t, rtol=rtol, atol=1e-3 * rtol)
        return path.y[0]

    true = np.array([3.0, 0.2])
    y = pendulum(true) + 0.02 * np.random.default_rng(0).standard_normal(t.size)
    for start in ([3.4, 0.17], [2.6, 0.3]):
        fit = st.least_squares(lambda x: pendulum(x) - y, start)
        assert fit.success and 2 * fit.cost <= 1.01 * np.sum((pendulum(true) - y) ** 2)
