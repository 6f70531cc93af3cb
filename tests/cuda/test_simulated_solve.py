"""The direct methods of `solve` on device arrays, by way of cupyx."""

from __future__ import annotations

import importlib
import sys

import fake_cupy
import numpy as np
import pytest

from steepest.fullbatch.factor import cholesky_solve


@pytest.fixture
def methods(device, monkeypatch):
    monkeypatch.delitem(sys.modules, "steepest.linear.cusolver", raising=False)
    yield importlib.import_module("steepest.linear.cusolver").METHODS
    del sys.modules["steepest.linear.cusolver"]


def problem(columns, order):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((5, 5))
    a = np.array(a @ a.T + np.eye(5), order=order)
    return a, np.array(rng.standard_normal((5, *columns)), order=order)


@pytest.mark.parametrize("overwrite", (False, True))
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("columns", ((), (3,)))
@pytest.mark.parametrize("method", ("cholesky", "lu", "qr"))
def test_the_answer_and_what_is_left_alone(methods, method, columns, order, overwrite):
    a, b = problem(columns, order)
    there = [fake_cupy.ndarray(v.copy("K")) for v in (a, b)]
    x = methods[method](*there, overwrite, overwrite)
    assert type(x) is fake_cupy.ndarray
    np.testing.assert_allclose(x.held, np.linalg.solve(a, b), rtol=1e-10)
    if not overwrite:
        assert [v.held.tobytes() for v in there] == [a.tobytes(), b.tobytes()]


@pytest.mark.parametrize(
    "method, words", [("cholesky", "not positive definite"), ("lu", "singular"), ("qr", "singular")]
)
def test_a_singular_matrix(methods, method, words):
    a, b = fake_cupy.ndarray(np.zeros((3, 3))), fake_cupy.ndarray(np.ones(3))
    with pytest.raises(np.linalg.LinAlgError, match=f"A is {words}"):
        methods[method](a, b, False, False)


def test_newtons_system_is_solved_by_triangles(methods):
    a, b = problem((), "C")
    x = cholesky_solve(fake_cupy.ndarray(a.copy()), fake_cupy.ndarray(b.copy()))
    np.testing.assert_allclose(x.held, np.linalg.solve(a, b), rtol=1e-10)
    indefinite = a - 2 * np.max(np.diag(a)) * np.eye(5)
    assert cholesky_solve(fake_cupy.ndarray(indefinite), fake_cupy.ndarray(b)) is None
