"""The limit of BLAS threads in small products is lifted again."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.linalg import cython_blas

import steepest as st

N = 64


def openblas(verb):
    """scipy_openblas_<verb>_num_threads of the library that SciPy's BLAS is linked to."""
    library = ctypes.CDLL(cython_blas.__file__)
    for prefix in ("scipy_", ""):
        function = getattr(library, f"{prefix}openblas_{verb}_num_threads", None)
        if function is not None:
            return function
    pytest.skip("SciPy's BLAS is not an OpenBLAS by that name")


def fit(seed):
    rng = np.random.default_rng(seed)
    A, true = rng.standard_normal((4 * N, N)), rng.standard_normal(N)
    found = st.least_squares(lambda x: A @ (x - true), np.zeros(N), lambda x: A.copy())
    return np.abs(found.x - true).max()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_is_what_it_was(threads):
    before = openblas("get")()
    openblas("set")(threads)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert max(pool.map(fit, range(32))) < 1e-6
        assert openblas("get")() == threads
    finally:
        openblas("set")(before)
