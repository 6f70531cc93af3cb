"""What an iteration of the full-batch methods costs beyond the user's functions, and how many calls
they need on Moré, Garbow and Hillstrom's problems; beside SciPy and, where installed, PyTorch.

    python bench/minimize.py [small] [boxed] [bfgs] [lbfgs] [mgh]

Times are medians over interleaved runs: ratios hold, milliseconds are this machine's.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.optimize

import steepest as st
from steepest.fullbatch.primitives import combine, inner

Run = Callable[[], float]  # returns seconds an iteration beyond the callbacks


class Timed:
    """A convex function with a quartic term; keeps the time spent inside.

    It calls no BLAS: after a product, NumPy's BLAS threads spin for a tenth of a second and take
    half a core from whatever runs next.
    """

    def __init__(self, n: int, dtype: type) -> None:
        self.scale = np.geomspace(1, 1e5, n).astype(dtype)
        self.start = np.ones(n, dtype)
        self.inside = 0.0
        self.calls = 0

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        begin = time.perf_counter()
        g = self.scale * x
        f = 0.5 * float((g * x).sum())
        square = float((x * x).sum())
        g += (0.01 * square / x.size) * x
        f += 0.01 / x.size * square * square / 4
        self.inside += time.perf_counter() - begin
        self.calls += 1
        return f, g


def steepest_run(method: str, n: int, iterations: int, dtype: type, **bounds: Any) -> Run:
    """Inside out: the loop of `minimize` without the result's copies."""

    def run() -> float:
        fun = Timed(n, dtype)
        solver = {"bfgs": st.BFGS, "l-bfgs": st.LBFGS}[method](
            fun.start, gtol=0.0, maxiter=iterations, **bounds
        )
        begin = time.perf_counter()
        while not solver.done:
            solver.tell(*fun(solver.x))
        return (time.perf_counter() - begin - fun.inside) / solver.nit

    return run


def scipy_run(method: str, n: int, iterations: int, **bounds: Any) -> Run:
    options = {"gtol": 0.0, "maxiter": iterations}
    if method == "L-BFGS-B":
        options |= {"ftol": 0.0, "maxcor": 10}

    def run() -> float:
        fun = Timed(n, np.float64)
        begin = time.perf_counter()
        r = scipy.optimize.minimize(
            fun, fun.start, jac=True, method=method, options=options, **bounds
        )
        return (time.perf_counter() - begin - fun.inside) / r.nit

    return run


def torch_run(n: int, iterations: int, dtype: type) -> Run | None:
    try:
        import torch
    except ImportError:
        return None

    def run() -> float:
        fun = Timed(n, dtype)
        x = torch.from_numpy(fun.start)
        x.requires_grad_(True)
        opt = torch.optim.LBFGS(
            [x],
            history_size=10,
            max_iter=iterations,
            line_search_fn="strong_wolfe",
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

        def closure() -> torch.Tensor:
            f, g = fun(x.detach().numpy())
            x.grad = torch.from_numpy(g)
            return torch.tensor(f, dtype=x.dtype)

        begin = time.perf_counter()
        opt.step(closure)
        return (time.perf_counter() - begin - fun.inside) / opt.state[x]["n_iter"]

    return run


def two_passes(n: int, dtype: type) -> dict[str, Callable[[], None]]:
    """Both passes over 10 pairs: as L-BFGS makes them (products with g and y; y, g, the direction,
    the next point and the user's copy of it), and the least that the method can do (products with
    g; the direction)."""
    w, g, own = np.ones((24, n), dtype), np.ones(n, dtype), np.ones(n, dtype)
    pairs, before, x, d, trial = list(range(20)), 20, 21, 22, 23
    c = np.zeros((5, 24))
    c[0, before], c[0, -1], c[1, -1] = -1, 1, 1
    c[2, :20] = c[2, -1] = 0.01
    c[3:, x] = c[3:, d] = 1

    def own_passes() -> None:
        inner(w, pairs[:19], [g], w[before])
        outs = [w[19], w[before], w[d], w[trial], own]
        combine(w, [*pairs, before, x, d], [g], c, outs)

    def least() -> None:
        inner(w, pairs, [g])
        combine(w, pairs, [g], np.full((1, 21), 0.01), [w[d]])

    return {"its two passes alone": own_passes, "the least two passes": least}


def against_passes(n: int, dtype: type, iterations: int) -> None:
    """An iteration with all pairs in place, in turn with the passes alone; none with two trials."""
    fun, passes = Timed(n, dtype), two_passes(n, dtype)
    solver = st.LBFGS(fun.start, gtol=0.0, maxiter=iterations)
    times: dict[str, list[float]] = {"an iteration": [], **{name: [] for name in passes}}
    while not solver.done:
        fun.inside, nit = 0.0, solver.nit
        begin = time.perf_counter()
        solver.tell(*fun(solver.x))
        spent = time.perf_counter() - begin - fun.inside
        if nit < 15 or solver.nit == nit:
            continue
        times["an iteration"].append(spent)
        for name, run in passes.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    show(f"n = 2 M, 10 pairs in place, {dtype.__name__}, in turn", times)


def table(title: str, runs: dict[str, Run | None], repeats: int) -> None:
    times: dict[str, list[float]] = {name: [] for name, run in runs.items() if run is not None}
    for _ in range(repeats):
        for name in times:
            run = runs[name]
            assert run is not None
            times[name].append(run())
    show(title, times)


def show(title: str, times: dict[str, list[float]]) -> None:
    first = median(next(iter(times.values())))
    print(f"\n{title}")
    for name, seconds in times.items():
        middle = median(seconds)
        print(f"  {name:34s} {middle * 1e6:12.1f} us  {middle / first:8.2f}")


def small() -> None:
    runs = {
        "steepest l-bfgs": steepest_run("l-bfgs", 20, 40, np.float64),
        "steepest bfgs": steepest_run("bfgs", 20, 40, np.float64),
        "SciPy L-BFGS-B": scipy_run("L-BFGS-B", 20, 40),
        "SciPy BFGS": scipy_run("BFGS", 20, 40),
    }
    table("n = 20, an iteration beyond the callbacks", runs, 31)


def boxed() -> None:
    """With OPENBLAS_NUM_THREADS=1 where other processes run: SciPy's threads wait otherwise."""
    for n, iterations in ((5, 12), (20, 40), (100, 40), (1000, 40)):
        lower = np.where(np.arange(n) % 3 == 0, 0.1, -np.inf)  # which hold at the minimum
        bounds = scipy.optimize.Bounds(lower, np.inf)
        runs = {
            "steepest l-bfgs": steepest_run("l-bfgs", n, iterations, np.float64, bounds=bounds),
            "SciPy L-BFGS-B": scipy_run("L-BFGS-B", n, iterations, bounds=bounds),
        }
        table(f"n = {n} in a box, an iteration beyond the callbacks", runs, 31)


def bfgs() -> None:
    for n, iterations, repeats in ((1000, 20, 7), (4000, 8, 3)):
        runs = {
            "steepest bfgs": steepest_run("bfgs", n, iterations, np.float64),
            "SciPy BFGS": scipy_run("BFGS", n, iterations),
        }
        table(f"n = {n}, an iteration beyond the callbacks", runs, repeats)


def lbfgs() -> None:
    n, iterations = 2_000_000, 40
    for dtype in (np.float32, np.float64):
        runs = {
            "steepest l-bfgs": steepest_run("l-bfgs", n, iterations, dtype),
            "PyTorch LBFGS": torch_run(n, iterations, dtype),
            "SciPy L-BFGS-B (float64)": scipy_run("L-BFGS-B", n, iterations),
        }
        against_passes(n, dtype, 60)
        table(f"n = 2 M, 10 pairs, {dtype.__name__}, an iteration beyond the callbacks", runs, 3)


def mgh() -> None:
    """Solved: f within 1e-8 of a known minimum, relatively above 1; all stop at gtol = 1e-5."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from problems.mgh import PROBLEMS, VARIANTS

    def solved(problem, f: float) -> bool:
        return any(abs(f - low) <= 1e-8 * max(1, abs(low)) for low in problem.minima)

    cases = [(p, factor) for p in PROBLEMS + VARIANTS for factor in (1, 10, 100)]
    for ours, theirs, options in (
        ("bfgs", "BFGS", {}),
        ("l-bfgs", "L-BFGS-B", {"ftol": 0.0, "maxfun": 10**6}),
    ):
        count = {name: [0, 0] for name in (ours, theirs)}
        standard = {name: [0, 0] for name in (ours, theirs)}
        for p, factor in cases:
            x0 = p.scaled_start(factor)
            mine = st.minimize(p.value, x0, jac=p.gradient, method=ours, gtol=1e-5)
            options = {"gtol": 1e-5, "maxiter": 15000, **options}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other = scipy.optimize.minimize(
                    p.value, x0, jac=p.gradient, method=theirs, options=options
                )
            both = solved(p, mine.fun) and solved(p, other.fun)
            for name, r in ((ours, mine), (theirs, other)):
                for sums in (count, standard) if factor == 1 else (count,):
                    sums[name][0] += solved(p, r.fun)
                    sums[name][1] += r.nfev if both else 0
        print(f"\n{ours} and SciPy {theirs}: solved, calls over what both solve")
        print(f"  {len(cases) // 3} standard starts: {standard}")
        print(f"  {len(cases)} starts (1, 10, 100 times the standard): {count}")


if __name__ == "__main__":
    parts = {"small": small, "boxed": boxed, "bfgs": bfgs, "lbfgs": lbfgs, "mgh": mgh}
    for part in sys.argv[1:] or parts:
        parts[part]()
