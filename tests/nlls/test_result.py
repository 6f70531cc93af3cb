"""Covariance and summary of a result."""

from __future__ import annotations

import io
import pickle
import warnings

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning, curve_fit

import steepest as st
from problems.decay import X, Y, jacobian, model
from steepest.nlls import result
from steepest.nlls.curve_covariance import covariance_of

X0 = [1.0, 1.0, 0.0]


def fun(p):
    return model(X, *p) - Y


def jac(p):
    return jacobian(X, *p)


def test_covariance_is_that_of_curve_fit():
    _, pcov = curve_fit(model, X, Y, X0)
    fit = st.least_squares(fun, X0, jac)
    np.testing.assert_allclose(fit.covariance(), pcov, rtol=1e-4)
    scaled = fit.covariance(absolute_sigma=True) * 2 * fit.cost / (50 - 3)
    np.testing.assert_allclose(scaled, fit.covariance())
    np.testing.assert_allclose(fit.stderr() ** 2, np.diag(fit.covariance()))


@pytest.mark.parametrize("dtype, rcond, rtol", [("f8", 1e-10, 1e-6), ("f4", 1e-5, 1e-3)])
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("m", [2, 40])
def test_covariance_without_full_rank_is_the_pseudo_inverse(m, rank, dtype, rcond, rtol):
    """In the parameters' own units, and rounding is no rank."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, 4)) * [1, 10, 0.1, 3]
    A = A.astype(dtype)
    fit = st.least_squares(lambda x: A @ x - 1, np.zeros(4, dtype), lambda x: A)
    want = np.linalg.pinv(A, rcond=rcond)
    np.testing.assert_allclose(fit.covariance(absolute_sigma=True), want @ want.T, rtol=rtol)


def test_covariance_with_full_rank_is_the_inverse_in_any_units():
    A = np.random.default_rng(0).standard_normal((40, 3)) * [1e-12, 1, 1e12]
    fit = st.least_squares(lambda x: A @ x - 1, np.zeros(3), lambda x: A)
    unit = A / [1e-12, 1, 1e12]
    want = np.linalg.inv(unit.T @ unit) / np.outer([1e-12, 1, 1e12], [1e-12, 1, 1e12])
    np.testing.assert_allclose(fit.covariance(absolute_sigma=True), want, rtol=1e-9)


@pytest.mark.parametrize("decades", [0, 2, 4, 8, 13])
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (50, 3), (300, 8), (500, 20)])
def test_the_covariance_by_our_own_qr_is_that_of_singular_values(shape, decades, monkeypatch):
    m, n = shape
    rng = np.random.default_rng(decades)
    J = rng.normal(size=shape)
    J[:, -1] = J[:, :-1].sum(axis=1) + 10.0**-decades * rng.normal(size=m)
    J *= 10.0 ** rng.uniform(-40, 40, n)
    found = st.least_squares(lambda x: J @ x, np.zeros(n), lambda x: J)
    units = np.linalg.norm(J, axis=0)
    quick, known = found._inverse()
    well = decades < 8 or n == 1
    assert (found._far_from_singular() is not None) == (well and m * n * n <= 20_000)
    monkeypatch.setattr(result, "OWN_QR_WORK", 0)
    slow, same = found._inverse()
    np.testing.assert_array_equal(known, same)
    quick, slow = (inverse * units[:, None] * units for inverse in (quick, slow))
    np.testing.assert_allclose(quick, slow, atol=1e-14 * 10.0**decades * abs(slow).max())


def test_summary_names_what_a_reader_asks_for(capsys):
    fit = st.least_squares(fun, X0, jac)
    fit.summary(["a", "b", "c"])
    printed = capsys.readouterr().out
    for text in (fit.message, "a = ", "±", "%)", "correlations", "50 residuals"):
        assert text in printed
    assert f"standard deviation {np.sqrt(2 * fit.cost / (50 - 3)):.6g}" in printed
    assert f"{fit.nfev} evaluations, {fit.njev} Jacobians, {fit.nit} iterations" in printed
    assert "unit variance" not in printed
    fit.summary(file=(file := io.StringIO()))
    assert "x[2] = " in file.getvalue() and not capsys.readouterr().out
    fit.summary(range(3), file=(file := io.StringIO()))  # what str makes a name of
    assert "\n2 = " in file.getvalue()
    with pytest.raises(ValueError, match="names: 1 for 3 parameters"):
        fit.summary(["a"])


def test_summary_is_short_where_a_parameter_is_zero_but_for_rounding(capsys):
    t = np.linspace(-1, 1, 21)
    A = np.stack([np.ones(21), t], axis=1)
    fit = st.least_squares(lambda p: A @ p - 2 * t - np.sin(20 * t), [1e-17, 1.0], lambda p: A)
    fit.x[0] = 1e-17  # or 0, by other processors' rounding
    fit.summary()
    offset, slope = (row for row in capsys.readouterr().out.splitlines() if " ± " in row)
    assert offset.endswith("e+18%)") and slope.endswith("%)") and len(slope) < 40


def test_summary_of_many_parameters_shows_the_strong_correlations(capsys):
    A = np.eye(5)[[0, 1, 2, 3, 4, 0, 1]]
    A[5, 1], A[6, 2] = 9, 0.1  # x[0] and x[1] are determined together
    st.least_squares(lambda x: A @ x, np.ones(5), lambda x: A).summary()
    printed = capsys.readouterr().out
    assert "x[0], x[1]:" in printed and "x[1], x[2]:" not in printed
    assert "(nan%)" not in printed and "(inf%)" not in printed


def test_summary_of_very_many_parameters_shows_the_strongest_correlations():
    A = np.linalg.inv(np.diag(np.linspace(1, 9, 30)) + 1)  # a common error, more or less diluted
    A = np.vstack([A, A])
    fit = st.least_squares(lambda x: A @ x - np.arange(60), np.ones(30), lambda x: A)
    C = np.linalg.inv(A.T @ A)
    r = np.abs(np.tril(C / np.sqrt(np.outer(np.diag(C), np.diag(C))), -1))
    assert (strong := (r >= 0.5).sum()) > 20
    fit.summary(file=(file := io.StringIO()))
    listed = file.getvalue().split("correlations\n")[1].splitlines()
    weakest = np.sort(r, axis=None)[-20]
    pairs = [(i, j) for i in range(30) for j in range(i) if r[i, j] >= weakest]
    assert [line.split(": ")[0] for line in listed[:-1]] == [f"x[{j}], x[{i}]" for i, j in pairs]
    assert listed[-1] == f"and {strong - 20} more of at least 0.5"


def test_summary_after_normal_equations_says_what_its_errors_mean(capsys):
    s = st.LeastSquares([1.0, 1.0])
    while not s.done:
        s.tell_normal(0.5 * float((s.x**2).sum()), np.eye(2), s.x)
    s.result().summary()
    printed = capsys.readouterr().out
    assert "unknown residuals, 2 parameters" in printed
    assert "standard errors for residuals of unit variance" in printed and "± 1" in printed


def told_normal(A):
    s = st.LeastSquares(np.zeros(A.shape[1]))
    while not s.done:
        s.tell_normal(0.5 * float(((A @ s.x - 1) ** 2).sum()), A.T @ A, A.T @ (A @ s.x - 1))
    return s.result()


@pytest.mark.parametrize("unit", [[1, 1, 1, 1], [1, 10, 0.1, 3]])
def test_covariance_of_singular_normal_equations_is_the_pseudo_inverse(unit):
    """Their smallest eigenvalues are rounding, and may be negative."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        A = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 4)) * unit
        want = np.linalg.pinv(A, rcond=1e-10)
        got = told_normal(A).covariance(absolute_sigma=True)
        np.testing.assert_allclose(got, want @ want.T, rtol=1e-5)


def test_covariance_of_normal_equations_is_the_inverse_in_any_units():
    units = np.array([1e-12, 1, 1e12])
    A = np.random.default_rng(0).standard_normal((40, 3))
    got = told_normal(A * units).covariance(absolute_sigma=True)
    want = np.linalg.inv(A.T @ A) / units / units[:, None]
    np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.parametrize("m", [1, 2])
def test_the_summary_of_a_fit_without_spare_residuals_does_not_warn(m, capsys):
    fit = st.least_squares(lambda x: (x - 1)[:m], [0.0, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.summary()
    assert capsys.readouterr().out.count("(error indeterminate)") == 2
    with pytest.warns(OptimizeWarning, match="could not be estimated"):
        assert np.isinf(fit.stderr()).all()


def test_summary_tells_which_parameters_the_residuals_do_not_determine(capsys):
    """One is not used, two count only as their product; the other two have their errors."""

    def residual(p):
        return p[0] * p[1] * np.exp(-p[2] * X) + p[3] + 0 * p[4] - Y

    def slopes(p):
        a, k, c = jacobian(X, p[0] * p[1], p[2], p[3]).T
        return np.stack([p[1] * a, p[0] * a, k, c, 0 * X], axis=1)

    st.least_squares(residual, [1.0, 1.0, 1.0, 0.0, 1.0], slopes).summary(list("abkcu"))
    lines = {line[:1]: line for line in capsys.readouterr().out.splitlines() if " = " in line}
    due = st.curve_fit(model, X, Y, X0)[1]
    assert all(lines[name].endswith("(error indeterminate)") for name in "abu"), lines
    for name, j in (("k", 1), ("c", 2)):
        error = float(lines[name].split("±")[1].split()[0])
        np.testing.assert_allclose(error, np.sqrt(due[j, j] * 47 / 45), rtol=1e-2)


@pytest.mark.parametrize("unit", [1e-9, 1, 1e9])
def test_what_is_determined_does_not_depend_on_units(unit):
    A = np.random.default_rng(0).standard_normal((40, 3)) @ [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    A = A * [1, 1, unit]
    fit = st.least_squares(lambda x: A @ x - 1, np.zeros(3), lambda x: A)
    assert covariance_of(fit, absolute_sigma=True)[1] == [0, 1]
    all_three = st.least_squares(lambda x: x - 1, np.zeros(3))
    assert covariance_of(all_three, absolute_sigma=True)[1] == []
    few = st.least_squares(lambda x: np.array([x[2] - 1]), np.zeros(3))
    assert covariance_of(few, absolute_sigma=True)[1] == [0, 1]


def test_a_parameter_with_little_part_in_a_free_direction_is_not_determined():
    A = np.random.default_rng(0).standard_normal((40, 3))
    A[:, 0] = A[:, 1] + 1e-3 * A[:, 2]
    fit = st.least_squares(lambda x: A @ x - 1, np.zeros(3), lambda x: A)
    assert covariance_of(fit, absolute_sigma=True)[0] is None


def lines_of(fit, names):
    fit.summary(names, file=(file := io.StringIO()))
    rows = [line for line in file.getvalue().splitlines() if " = " in line]
    return file.getvalue(), dict(zip(names, rows, strict=True))


IN_PYTHON = {"loss": lambda z: np.array([z, 0 * z + 1, 0 * z])}


@pytest.mark.parametrize("options", [{}, IN_PYTHON], ids=["in C++", "in Python"])
@pytest.mark.parametrize("noise", [0, 1e-6])
@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_summary_knows_free_directions_by_differences(scheme, noise, options):
    """Their singular values are the errors of differences, not rounding: errors of 1e3 and more
    were printed."""

    def shifted(p):
        return p[0] * np.exp(-p[2] * (X - p[1])) * (1 + noise * np.sin(1e9 * p.sum())) + p[3] - Y

    def slopes(p):
        e = np.exp(-p[2] * (X - p[1]))
        return np.stack([e, p[0] * p[2] * e, -p[0] * (X - p[1]) * e, 1 + 0 * X], axis=1)

    start = [1.0, 0.5, 1.0, 0.0]
    text, rows = lines_of(st.least_squares(shifted, start, scheme, **options), "abkc")
    _, want = lines_of(st.least_squares(shifted, start, slopes), "abkc")
    for name in "ab":
        assert rows[name].endswith("(error indeterminate)"), text
    for name in "kc":
        got, due = (float(r[name].split("±")[1].split()[0]) for r in (rows, want))
        np.testing.assert_allclose(got, due, rtol=1e-2)
    assert "directions in which no residual changes: 1, as far as differences tell" in text


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_summary_has_errors_of_ill_conditioned_fits_by_differences(scheme, degree):
    """Polynomials in the year: the least singular value is 3e-10 of the largest."""
    years = np.arange(1960, 2024.0)
    A = np.vander(years, degree + 1)
    y = 0.1 * (years - 1990) + 1e-3 * (years - 1990) ** 2 + np.sin(years)
    text, _ = lines_of(
        st.least_squares(lambda p: A @ p - y, np.ones(degree + 1), scheme), "abcde"[: degree + 1]
    )
    assert "indeterminate" not in text and "directions" not in text


@pytest.mark.parametrize("options", [{}, IN_PYTHON], ids=["in C++", "in Python"])
def test_a_parameter_without_effect_by_differences_is_named(options):
    """A straight line over picometres, from a slope of 1: it ended with success, slope 1 ± 0."""
    x = np.linspace(1, 2, 20) * 1e-12
    y = 2e12 * x + 3 + 0.01 * np.sin(1e13 * x)
    fit = st.least_squares(lambda p: p[0] * x + p[1] - y, [1.0, 1.0], **options)
    words = "no residual changes with x[0] over the step of a difference: if one should, choose"
    assert words in fit.message and fit.message.startswith("`")
    assert "1 (error indeterminate)" in lines_of(fit, "ab")[0]
    scaled = st.least_squares(lambda p: p[0] * 1e12 * x + p[1] - y, [1.0, 1.0], **options)
    assert scaled.message.endswith("satisfied.")
    np.testing.assert_allclose(scaled.x, [2, 3], atol=0.1)


def test_many_parameters_without_effect_are_named_in_short():
    fit = st.least_squares(lambda p: np.array([p[0] - 1, p[0] + 1]), np.zeros(9))
    assert "changes with x[1], x[2], x[3], x[4], x[5], ... over" in fit.message
    five = st.least_squares(lambda p: np.array([p[0] - 1, p[0] + 1]), np.zeros(6))
    assert "changes with x[1], x[2], x[3], x[4], x[5] over" in five.message
    assert "no residual" not in st.least_squares(lambda p: p[:1] - 1, np.zeros(2)).message
    for options in {"max_nfev": 1}, {"jac": lambda p: np.eye(9)[[0, 0]]}, {"jac": "cs"}:
        fit = st.least_squares(lambda p: p[0] + np.array([0, 1]), np.zeros(9), **options)
        assert ("no residual" in fit.message) == (options == {"jac": "cs"})
        told = "changes: 8\n" if "jac" in options else "changes: 8, as far as differences tell\n"
        assert told in lines_of(fit, "abcdefghi")[0]


def test_an_entry_of_a_methods_name_is_what_was_set():
    fit = st.least_squares(lambda p: np.array([p[0] - 1, p[0] + p[1], p[1]]), [1, 1])
    fit["stderr"] = fit.stderr()
    fit.covariance = None
    fit = pickle.loads(pickle.dumps(fit))
    assert fit.stderr is fit["stderr"] and fit.stderr.shape == (2,)
    assert fit.covariance is None and fit["covariance"] is None
