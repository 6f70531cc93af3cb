"""Least squares on a simulated device: what is refused, and failures of the device."""

from __future__ import annotations

import ctypes

import fake_cupy
import numpy as np
import pytest
from device_problems import decay, misaligned, there, up

import steepest as st

pytestmark = pytest.mark.usefixtures("libraries_to_be_found")


def test_host_and_device_do_not_mix():
    fun, jac, x0 = decay()
    with pytest.raises(TypeError, match="fun: an ndarray on the host, while the problem lives on"):
        st.least_squares(fun_of_device(fun), up(x0), there(jac))
    with pytest.raises(TypeError, match="jac: an ndarray on the host, while the problem lives on"):
        st.least_squares(there(fun), up(x0), fun_of_device(jac))
    with pytest.raises(TypeError, match="jac: lives on a CUDA device, the residuals at x0 on the"):
        st.least_squares(fun, x0, there(jac))
    answers = iter((fun(x0), up(fun(x0))))
    with pytest.raises(TypeError, match="fun: lives on a CUDA device, the residuals at x0 on the"):
        st.least_squares(lambda x: next(answers), x0, jac)
    words = "fun: lives on CUDA device 1, the problem on CUDA device 0"
    with pytest.raises(ValueError, match=words):
        st.least_squares(lambda x: up(fun(x.held), 1), up(x0), there(jac))


def fun_of_device(fun):
    return lambda x: fun(x.held)


def test_bad_shapes_and_dtypes_are_named():
    fun, jac, x0 = decay()
    with pytest.raises(ValueError, match=r"jac: shape \(40, 2\); expected \(40, 3\)"):
        st.least_squares(there(fun), up(x0), there(lambda x: jac(x)[:, :2]))
    with pytest.raises(TypeError, match="fun: dtype complex128; expected real numbers"):
        st.least_squares(there(lambda x: fun(x) * 1j), up(x0), there(jac))
    with pytest.raises(ValueError, match="^Residuals are not finite in the initial point"):
        st.least_squares(there(lambda x: fun(x) * np.nan), up(x0), there(jac))
    with pytest.raises(ValueError, match="jac: not finite at x0"):
        st.least_squares(there(fun), up(x0), there(lambda x: jac(x) * np.nan))
    with pytest.raises(ValueError, match=r"x0: x0\[1\] is nan; expected a finite number"):
        st.least_squares(there(fun), up([1.0, np.nan, 0.0]), there(jac))


def test_what_is_not_aligned_is_named():
    """A kernel that reads it faults, and the process has no device any more."""
    fun, jac, x0 = decay()
    words = r"{}: not aligned to its elements; pass a copy of its bytes, a\.view\('u1'\)\.copy"
    s = st.LeastSquares(up(x0))
    with pytest.raises(ValueError, match=words.format("fun")):
        s.tell(misaligned(fun(x0)), there(jac))
    with pytest.raises(ValueError, match=words.format("fun")):
        st.least_squares(lambda x: misaligned(fun(x.held)), up(x0))
    with pytest.raises(ValueError, match=words.format("loss")):
        st.least_squares(
            there(fun), up(x0), loss=lambda z: misaligned(np.stack([z.held, z.held, z.held]))
        )
    with pytest.raises(ValueError, match=words.format("fun")):  # whose answers are copied
        st.least_squares(
            lambda x: misaligned(fun(x.held)),
            up(x0),
            loss=lambda z: fake_cupy.ndarray(np.stack([z.held, 1 + 0 * z.held, 0 * z.held])),
        )
    for told in (lambda x: misaligned(jac(x.held)), misaligned(jac(x0))):
        with pytest.raises(ValueError, match=words.format("jac")):
            s.tell(there(fun)(s.x), told)
    with pytest.raises(ValueError, match=words.format("JtJ")):
        st.LeastSquares(up(x0)).tell_normal(1.0, misaligned(np.eye(3)), up(np.ones(3)))
    with pytest.raises(ValueError, match=words.format("fun")):
        st.least_squares(lambda x: iter([(misaligned(fun(x0)), up(jac(x0)))]), up(x0), True)
    while not s.done:
        s.tell(there(fun)(s.x), there(jac))
    want = st.least_squares(there(fun), up(x0), there(jac))
    np.testing.assert_allclose(s.x.held, want.x.held, rtol=1e-6)


def test_no_memory():
    fun, jac, x0 = decay()

    def together(x):
        return fun(x), jac(x)

    fails = 0
    for fake_cupy.left[0] in range(100):  # allocations that succeed
        s = st.LeastSquares([0.0])
        try:
            s = st.LeastSquares(up(x0), linear_solver="qr")
            while not s.done:  # x itself takes memory
                s.tell(*there(together)(s._solver.point()))
            break
        except MemoryError as error:
            assert "Out of memory allocating" in str(error)
            fails += 1
        if s._solver.n == 3 and not s.done:  # half an iteration is not gone on with
            with pytest.raises(st.BackendError, match="an earlier call failed on the device; make"):
                s.tell(*there(together)(s._solver.point()))
    assert fails > 10 and s.done


def test_a_failure_of_a_library_carries_its_code_and_text(libraries):
    fake = {
        name: ctypes.CDLL(libraries / name) for name in ("libcublas.so.13", "libcusolver.so.12")
    }
    fun, jac, x0 = decay()
    st.least_squares(there(fun), up(x0), there(jac))  # the libraries are loaded

    def failing(name, status):
        def jacobian(x):
            fake[name].fake_fail(status)
            return there(jac)(x)

        return jacobian

    words = r"cublas gemm: cuBLAS error 13 \(CUBLAS_STATUS_FAKE\): what the library says"
    with pytest.raises(st.BackendError, match=words):
        st.least_squares(there(fun), up(x0), failing("libcublas.so.13", 13))
    words = r"cusolverDnXgeqrf_bufferSize: cuSOLVER error 7 \(CUSOLVER_STATUS_INTERNAL_ERROR\)"
    with pytest.raises(st.BackendError, match=words):
        st.least_squares(there(fun), up(x0), failing("libcusolver.so.12", 7), linear_solver="qr")
    n = 1030  # beyond the tiles of our own Cholesky
    fun, jac = lambda x: x[:4] - 1, lambda x: np.eye(4, n)
    words = r"cusolverDnXpotrf_bufferSize: cuSOLVER error 7 \(CUSOLVER_STATUS_INTERNAL_ERROR\)"
    with pytest.raises(st.BackendError, match=words):
        st.least_squares(there(fun), up(np.zeros(n)), failing("libcusolver.so.12", 7))


def test_handles_that_cannot_all_be_made_are_kept_for_the_next_try(libraries):
    """Of a device that has no memory left for the second library's."""
    x0 = up(np.ones(3), 7)  # which has none yet
    with fake_cupy.Device(7):
        st.LeastSquares(up(np.ones(3)))  # the libraries are loaded
        cublas, cusolver = (
            ctypes.CDLL(libraries / name) for name in ("libcublas.so.13", "libcusolver.so.12")
        )
        before = [cublas.fake_made(1), cusolver.fake_made(2)]
        cusolver.fake_make_fails(2)
        try:
            for _ in range(3):
                with pytest.raises(st.BackendError, match="cusolverDnCreate: cuSOLVER error 2"):
                    st.LeastSquares(x0)
        finally:
            cusolver.fake_make_fails(0)
        st.LeastSquares(x0)
    assert [cublas.fake_made(1), cusolver.fake_made(2)] == [n + 1 for n in before]
