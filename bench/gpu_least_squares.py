"""Least squares on a GPU: time against its syrk, potrf and callbacks, beside CuPy and JAX.

Run by bench/gpu.sh; `--trace` shows where the host is during a fit instead. Dense 20,000 x 500 with
an exact Jacobian, a mild nonlinearity, started near the answer, and a small fit. Times are medians
of runs that end with the device idle, taken in turn.

The floor is what the solver cannot do without: fun as often and jac as often as it called them,
and for each accepted step one syrk and one Cholesky (potrf), by CuPy. "Fastest calls" is the same
with what was the fastest on an H200 at these sizes: gemm, and potrf of the lower triangle by
columns. "CuPy" is Gauss-Newton as one would write it: J.T @ J, J.T @ f, posv, as many steps, no
test of anything.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import cupy
import cupy.cublas
import numpy as np
from cupy.cuda import device as current
from cupy_backends.cuda.libs import cublas, cusolver
from cupyx import lapack

import steepest as st
from steepest import _cuda


def interleaved(runs: dict[str, Callable[[], object]], repeats: int = 11) -> dict[str, float]:
    """Median milliseconds of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 2):
        for name, run in runs.items():
            cupy.cuda.Device().synchronize()
            begin = time.perf_counter()
            run()
            cupy.cuda.Device().synchronize()
            if turn > 1:
                times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in times.items()}


def sines(m: int, n: int, dtype: type, xp=cupy):
    """fun, jac and start of sin(A x) = y."""
    rng = np.random.default_rng(0)
    A = (rng.standard_normal((m, n)) / np.sqrt(n)).astype(dtype)
    true = rng.standard_normal(n)
    y = xp.asarray((np.sin(A @ true) + 0.01 * rng.standard_normal(m)).astype(dtype))
    x0 = xp.asarray((true + 0.1 * rng.standard_normal(n)).astype(dtype))
    B = xp.asarray(A)
    return lambda x: xp.sin(B @ x) - y, lambda x: xp.cos(B @ x)[:, None] * B, x0


def lower_potrf(H: cupy.ndarray) -> Callable[[], None]:
    """cuSOLVER's Cholesky of the lower triangle by columns, of a copy."""
    n, letter = len(H), "s" if H.dtype == np.float32 else "d"
    potrf = getattr(cusolver, letter + "potrf")
    handle, lower = current.get_cusolver_handle(), cublas.CUBLAS_FILL_MODE_LOWER
    L, info = cupy.empty_like(H), cupy.empty(1, np.int32)
    size = getattr(cusolver, letter + "potrf_bufferSize")(handle, lower, n, L.data.ptr, n)
    work = cupy.empty(size, H.dtype)

    def run() -> None:
        cupy.copyto(L, H)
        potrf(handle, lower, n, L.data.ptr, n, work.data.ptr, size, info.data.ptr)

    return run


def gauss_newton(fun, jac, x0, steps: int):
    x = x0
    for _ in range(steps):
        f, J = fun(x), jac(x)
        x = x - lapack.posv(J.T @ J, J.T @ f)
    return x


def jax_run(m: int, n: int, dtype: type, steps: int) -> Callable[[], object] | None:
    """The same Gauss-Newton under jax.jit, or None where JAX has no GPU."""
    try:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        if jax.default_backend() != "gpu":
            return None
    except ImportError:
        return None
    fun, jac, x0 = sines(m, n, dtype, jnp)

    @jax.jit
    def step(x):
        f, J = fun(x), jac(x)
        factor = jax.scipy.linalg.cho_factor(J.T @ J)
        return x - jax.scipy.linalg.cho_solve(factor, J.T @ f)

    def run():
        x = x0
        for _ in range(steps):
            x = step(x)
        return x.block_until_ready()

    return run


def measure(m: int, n: int, dtype: type) -> None:
    fun, jac, x0 = sines(m, n, dtype)
    before = _cuda.calls()
    ours = st.least_squares(fun, x0, jac)
    launches, _, waits = (b - a for a, b in zip(before, _cuda.calls(), strict=True))

    def callbacks():
        for _ in range(ours.nfev):
            fun(x0)
        for _ in range(ours.njev):
            jac(x0)

    J, H = jac(x0), cupy.empty((n, n), dtype)

    def floor():
        callbacks()
        for _ in range(ours.nit):
            cupy.cublas.syrk("T", J, out=H, lower=True)  # by rows, as J: else it copies J
            cupy.linalg.cholesky(H)

    cholesky = lower_potrf(cupy.eye(n, dtype=dtype))

    def fastest():
        callbacks()
        for _ in range(ours.nit):
            cupy.matmul(J.T, J, out=H)
            cholesky()

    assert J.flags.c_contiguous
    runs = {
        "ours": lambda: st.least_squares(fun, x0, jac),
        "floor": floor,
        "fastest": fastest,
        "callbacks": callbacks,
        "CuPy": lambda: gauss_newton(fun, jac, x0, ours.nit),
    }
    jax = jax_run(m, n, dtype, ours.nit)
    if jax is not None:
        runs["JAX"] = jax
    ms = interleaved(runs)
    shown = f"{ms['JAX']:.2f}" if jax is not None else "-"
    print(
        f"| {m} x {n} {np.dtype(dtype).name} | {ours.nit} | {ms['ours']:.2f} | {ms['floor']:.2f} | "
        f"{ms['ours'] / ms['floor']:.2f} | {ms['fastest']:.2f} | "
        f"{ms['ours'] / ms['fastest']:.2f} | {ms['callbacks']:.2f} | {ms['CuPy']:.2f} | {shown} | "
        f"{launches} | {waits} |"
    )


def where_the_host_was(fun: Callable, jac: Callable, x0: object) -> list[tuple[str, float]]:
    """Of one fit, in order: each call of fun and jac, and the solver after it, with the
    microseconds that it took; where the solver waits for the device, that is in it."""
    marks = [("start", time.perf_counter())]

    def marked(name: str, function: Callable) -> Callable:
        def run(x):
            marks.append((name, time.perf_counter()))
            answer = function(x)
            marks.append((f"after {name}", time.perf_counter()))
            return answer

        return run

    st.least_squares(marked("fun", fun), x0, marked("jac", jac))
    cupy.cuda.Device().synchronize()
    ends = [begin for _, begin in marks[1:]] + [time.perf_counter()]
    return [(name, 1e6 * (end - begin)) for (name, begin), end in zip(marks, ends, strict=True)]


def trace(m: int, n: int, dtype: type, repeats: int = 11) -> None:
    problem = sines(m, n, dtype)
    fits = [where_the_host_was(*problem) for _ in range(repeats + 2)][2:]
    print(f"{m} x {n} {np.dtype(dtype).name}, microseconds of the host's, medians in order:")
    for turns in zip(*fits, strict=True):
        print(f"{turns[0][0]:10} {statistics.median(us for _, us in turns):8.0f}")


def main() -> None:
    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    if sys.argv[1:] == ["--trace"]:
        print(device)
        return trace(20_000, 500, np.float64)
    print(f"{device}: milliseconds a fit\n{st.info()['cuda']}\n")
    print(
        "| problem | steps | ours | syrk + potrf + callbacks | ratio | fastest calls | ratio | "
        "callbacks | CuPy normal equations | JAX | launches | waits |\n|" + 12 * "---|"
    )
    for m, n in ((20_000, 500), (1_000_000, 20), (200, 5)):
        for dtype in (np.float64, np.float32):
            measure(m, n, dtype)


if __name__ == "__main__":
    main()
