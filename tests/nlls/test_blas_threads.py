"""The limit of BLAS threads in small products is lifted again."""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.linalg import cython_blas
from scipy.linalg.lapack import dgeqp3

import steepest as st
from steepest import _cpu
from steepest.nlls import curve_covariance

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


def test_curve_fits_covariance_takes_one_thread(monkeypatch):
    """Its factorization's threads waited for each other where other processes run."""
    seen = []

    def counting(*args, **kwargs):
        seen.append(openblas("get")())
        return dgeqp3(*args, **kwargs)

    monkeypatch.setattr(curve_covariance, "dgeqp3", counting)
    before = openblas("get")()
    openblas("set")(3)
    try:
        x, k = np.linspace(0, 1, 400), np.arange(1, 13)
        st.curve_fit(lambda x, *p: np.sin(np.outer(x, k)) @ p, x, np.cos(x), np.zeros(12))
        assert seen == [1] and openblas("get")() == 3
    finally:
        openblas("set")(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_the_child_of_a_fork_is_not_limited_for_good_by_a_thread_of_its_parent():
    warnings.simplefilter("ignore")  # 3.12 warns of any fork beside threads
    inside, over = threading.Event(), threading.Event()

    def limit():
        with _cpu.OneBlasThread():
            inside.set()
            over.wait()

    before = openblas("get")()
    openblas("set")(3)
    other = threading.Thread(target=limit)
    other.start()
    inside.wait()
    try:
        assert in_child() == [3, 1, 4]
        assert openblas("get")() == 1
    finally:
        over.set()
        other.join()
    try:
        assert openblas("get")() == 3
        openblas("set")(2)
        assert in_child() == [2, 1, 4]  # nor set to what it once was
        with _cpu.OneBlasThread():
            assert in_child() == [1, 1, 4]
    finally:
        openblas("set")(before)


def in_child():
    """The numbers of threads there after a solve, within a limit, and after 4 are set."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        st.solve(np.eye(3), np.ones(3))
        seen = [openblas("get")()]
        with _cpu.OneBlasThread():
            seen.append(openblas("get")())
        openblas("set")(4)
        st.solve(np.eye(3), np.ones(3))
        os.write(tell, bytes([*seen, openblas("get")()]))
        os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    seen = os.read(told, 9)
    os.close(told)
    return list(seen)
