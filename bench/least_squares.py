"""Time of `st.least_squares` beside its own callbacks, SciPy, and the bare linear algebra.

    python bench/least_squares.py [small] [large] [blocks]

Each line: medians of interleaved runs. `large` counts one JᵀJ (dsyrk) and one Cholesky an accepted
step as the floor; `blocks` the blocks' own dsyrk. On a virtual machine that takes freed memory back
set MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000: else the first touch of
a new Jacobian costs ten times its computation, now here, now there.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from scipy.linalg import blas, lapack
from scipy.optimize import least_squares, leastsq

import steepest as st
from steepest.apps.bench_timing import medians


def small() -> None:
    """50 points, three parameters, exact Jacobian."""
    t = np.linspace(0, 4, 50)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.02 * np.random.default_rng(0).standard_normal(50)

    def fun(p):
        return p[0] * np.exp(-p[1] * t) + p[2] - y

    def jac(p):
        e = np.exp(-p[1] * t)
        J = np.empty((50, 3))
        J[:, 0], J[:, 1], J[:, 2] = e, -p[0] * t * e, 1
        return J

    x0 = np.array([2.0, 1.0, 0.3])
    ours = st.least_squares(fun, x0, jac)

    def callbacks():
        for _ in range(ours.nfev):
            fun(x0)
        for _ in range(ours.njev):
            jac(x0)

    runs = {
        "ours": lambda: st.least_squares(fun, x0, jac),
        "callbacks": callbacks,
        "SciPy lm": lambda: least_squares(fun, x0, jac, method="lm"),
        "leastsq": lambda: leastsq(fun, x0, Dfun=jac, full_output=True),
    }
    s = medians(runs, 60, 30)
    print(f"small: {ours.nfev} residual, {ours.njev} Jacobian calls")
    print(f"  over the callbacks {(s['ours'] - s['callbacks']) * 1e6:.1f} us")
    print(
        f"  SciPy lm / ours {s['SciPy lm'] / s['ours']:.2f}, leastsq / ours "
        f"{s['leastsq'] / s['ours']:.2f}"
    )


def large(m: int = 20_000, n: int = 500) -> None:
    """Exact Jacobian, a mild nonlinearity, three iterations or so."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, n)) / np.sqrt(n)
    true = rng.standard_normal(n)
    y = np.sin(A @ true) + 0.01 * rng.standard_normal(m)
    x0 = true + 0.1 * rng.standard_normal(n)

    def fun(x):
        return np.sin(A @ x) - y

    def jac(x):
        return np.cos(A @ x)[:, None] * A

    ours = st.least_squares(fun, x0, jac)

    def floor():  # in the order of a fit: the callbacks' BLAS threads still spin beside dsyrk's
        for k in range(ours.njev):
            fun(x0)
            J = jac(x0)
            if k < ours.nit:
                H = blas.dsyrk(1.0, J.T)
                lapack.dpotrf(H, overwrite_a=True)
        for _ in range(ours.nfev - ours.njev):
            fun(x0)

    runs = {"ours": lambda: st.least_squares(fun, x0, jac), "floor": floor}
    s = medians(runs, 7)
    begin = time.perf_counter()
    trf = least_squares(fun, x0, jac, method="trf")
    trf_s = time.perf_counter() - begin
    print(
        f"large {m} x {n}: {ours.nit} steps, ours / floor {s['ours'] / s['floor']:.3f} "
        f"({s['ours']:.3f} s), SciPy trf / ours {trf_s / s['ours']:.1f} "
        f"(nfev {trf.nfev}, cost ratio {ours.cost / trf.cost - 1:.1e})"
    )


def blocks(m: int = 2_000_000, n: int = 50, rows: int = 20_000) -> None:
    """Rows in blocks that are made once; the peak memory and the time beyond them."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((rows, n))
    true = rng.standard_normal(n)
    y = np.exp(0.1 * A @ true)

    def fun(x):
        e = np.exp(0.1 * A @ x)
        J = 0.1 * e[:, None] * A
        for _ in range(m // rows):
            yield e - y, J

    def floor():
        for _ in range(ours.njev):
            H = np.zeros((n, n), order="F")
            for _, J in fun(true):
                H = blas.dsyrk(1.0, J.T, beta=1.0, c=H, overwrite_c=True)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours = st.least_squares(fun, np.zeros(n), jac=True)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    runs = {"ours": lambda: st.least_squares(fun, np.zeros(n), jac=True), "floor": floor}
    s = medians(runs, 3)
    print(
        f"blocks {m} x {n}: {ours.njev} passes, ours / syrk {s['ours'] / s['floor']:.3f}, "
        f"peak memory + {peak:.0f} MB, error {np.abs(ours.x - true).max():.1e}"
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or ["small", "large", "blocks"]:
        {"small": small, "large": large, "blocks": blocks}[name]()
