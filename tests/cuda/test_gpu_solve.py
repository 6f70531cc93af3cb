"""On a GPU: linear systems and full-batch minimization of CuPy arrays against the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import steepest as st

# array_api_compat's namespace wants CuPy itself.
pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("true_device")]
pytest.importorskip("array_api_compat")


def system(dtype, columns):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((60, 60)).astype(dtype)
    return a @ a.T + 60 * np.eye(60, dtype=dtype), rng.standard_normal((60, *columns)).astype(dtype)


@pytest.mark.parametrize("dtype", (np.float64, np.float32), ids=lambda d: d.__name__)
@pytest.mark.parametrize("columns", ((), (3,)), ids=("one", "three"))
@pytest.mark.parametrize("method", ("cholesky", "lu", "qr", "jacobi", "gauss-seidel", "cg", "pcg"))
def test_every_method_solves(cupy, method, columns, dtype):
    a, b = system(dtype, columns)
    there = cupy.asarray(a), cupy.asarray(b)
    if method in ("jacobi", "gauss-seidel"):  # which want a dominant diagonal
        a = a + 400 * np.eye(60, dtype=dtype)
        there = cupy.asarray(a), there[1]
    x = st.solve(*there, method=method)
    assert isinstance(x, cupy.ndarray) and x.dtype == dtype
    rtol = 1e-6 if dtype == np.float64 else 1e-3
    want = np.linalg.solve(a.astype(float), b.astype(float))
    np.testing.assert_allclose(cupy.asnumpy(x), want, rtol=rtol, atol=rtol * abs(want).max())
    assert there[0].tobytes() == a.tobytes() and there[1].tobytes() == b.tobytes()


@pytest.mark.parametrize("method", ("cholesky", "lu", "qr"))
def test_a_singular_matrix(cupy, method):
    with pytest.raises(np.linalg.LinAlgError, match="A is "):
        st.solve(cupy.zeros((3, 3)), cupy.ones(3), method=method)


@pytest.mark.parametrize("method", ("gd", "newton", "bfgs", "l-bfgs"))
def test_minimize(cupy, method):
    a, b = system(np.float64, ())

    def problem(xp):
        A, y = xp.asarray(a), xp.asarray(b)
        return lambda x: (0.5 * x @ (A @ x) - y @ x, A @ x - y), lambda x: A

    answers = []
    for xp in (np, cupy):
        fun, hess = problem(xp)
        options = {"hess": hess} if method == "newton" else {}
        found = st.minimize(fun, xp.zeros(60), method=method, jac=True, **options)
        assert found.success and isinstance(found.x, xp.ndarray)
        answers.append(found.x if xp is np else cupy.asnumpy(found.x))
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)
    np.testing.assert_allclose(answers[0], np.linalg.solve(a, b), atol=1e-4)
