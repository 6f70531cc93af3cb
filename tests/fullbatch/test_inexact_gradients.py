"""Gradients that are not exact: the run ends, and differences get sharper where they must."""

import functools

import numpy as np
import pytest
from scipy.optimize import rosen

import steepest as st

FAR = np.array([10.3, 20.7, 10.8, 1.9, -1.2])


def forward_differences(f, x):
    h = 1e-7 * np.maximum(1, np.abs(x))
    return np.array([(f(x + e) - f(x)) / e.max() for e in np.diag(h)])


@pytest.mark.parametrize("method", ["l-bfgs", "bfgs"])
def test_a_run_ends_where_the_gradient_is_not_exact_enough(method):
    jac = functools.partial(forward_differences, rosen)
    res = st.minimize(rosen, FAR, jac=jac, method=method, max_nfev=2000)
    assert res.status == 2
    assert res.nfev < 400  # it went on to maxiter, with 40 evaluations an iteration
    assert "the gradient is not exact enough for gtol" in res.message
    assert res.fun < 1e-8
