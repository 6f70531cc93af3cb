"""Linear systems: what the methods cost beyond what they cannot avoid.

cg          against its own matrix-vector products, and SciPy's cg against the same
sweep       against one read of the matrix by as many threads: the fastest of three readers
direct      against scipy.linalg

Sides alternate; medians and their ratios. Usage: python bench/linear.py [--n 3000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

import steepest as st
from steepest.apps.bench_timing import medians
from steepest.linear.sweeps import CompiledSweeps


def definite(n: int) -> np.ndarray:
    """Symmetric positive definite, condition about 1e3."""
    g = np.random.default_rng(0).standard_normal((n, n)) / n**0.5
    return g @ g.T + 4e-3 * np.eye(n)


def bench_cg(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    nit = st.solve(a, b, method="cg", return_info=True)[1].nit
    scipy_nit: list[int] = []
    scipy.sparse.linalg.cg(a, b, rtol=1e-8, callback=lambda _: scipy_nit.append(1))
    x = b.copy()

    def products(count: int) -> None:
        for _ in range(count):
            a @ x

    t = medians(
        {
            "ours": lambda: st.solve(a, b, method="cg"),
            "our products": lambda: products(nit + 1),  # one more confirms the residual
            "scipy": lambda: scipy.sparse.linalg.cg(a, b, rtol=1e-8),
            "scipy products": lambda: products(len(scipy_nit)),
        },
        9,
    )
    return {
        "iterations": nit,
        "ms": 1e3 * t["ours"],
        "over its products": t["ours"] / t["our products"],
        "scipy over its products": t["scipy"] / t["scipy products"],
        "ours over scipy": t["ours"] / t["scipy"],
    }


def bench_sweep(a: np.ndarray, b: np.ndarray, threads: int) -> dict[str, float]:
    sweeps = CompiledSweeps(a, 1.0)
    rhs, x = b[None, :].copy(), np.zeros((1, len(b)))
    parts = np.array_split(a, threads)
    st.set_num_threads(threads)
    with ThreadPoolExecutor(threads) as pool:
        t = medians(
            {
                "sweep": lambda: sweeps.sweep(rhs, x),
                "sweep and residual": lambda: sweeps.sweep_with_residual(rhs, x, x.copy()),
                "read: max": lambda: list(pool.map(np.max, parts)),
                "read: sum": lambda: list(pool.map(np.sum, parts)),
                "read: any": lambda: list(pool.map(lambda p: np.any(p.view(np.int64)), parts)),
            },
            41,
        )
    st.set_num_threads(None)
    read = min(seconds for name, seconds in t.items() if name.startswith("read"))
    return {
        "read GB/s": a.nbytes / read / 1e9,
        "sweep ms": 1e3 * t["sweep"],
        "sweep over a read": t["sweep"] / read,
        "sweep with residual over a read": t["sweep and residual"] / read,
    }


def bench_direct(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    t = medians(
        {
            "cholesky": lambda: st.solve(a, b),
            "scipy cho": lambda: scipy.linalg.cho_solve(scipy.linalg.cho_factor(a), b),
            "scipy pos": lambda: scipy.linalg.solve(a, b, assume_a="pos"),
            "lu": lambda: st.solve(a, b, method="lu"),
            "scipy gen": lambda: scipy.linalg.solve(a, b, assume_a="gen"),
        },
        3,
    )
    return {
        "cholesky ms": 1e3 * t["cholesky"],
        "cholesky over scipy solve(pos)": t["cholesky"] / t["scipy pos"],
        "cholesky over scipy cho_solve(cho_factor)": t["cholesky"] / t["scipy cho"],
        "lu ms": 1e3 * t["lu"],
        "lu over scipy solve(gen)": t["lu"] / t["scipy gen"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=3000)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--json")
    args = parser.parse_args()
    a = definite(args.n)
    b = np.random.default_rng(1).standard_normal(args.n)
    results: dict[str, Any] = {"cg": bench_cg(a, b)}
    for threads in args.threads:
        results[f"sweep, {threads} threads"] = bench_sweep(a, b, threads)
    results["direct"] = bench_direct(a, b)
    for part, values in results.items():
        print(part)
        for name, value in values.items():
            print(f"  {name:45} {value:.4g}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"n": args.n, **results}, file, indent=1)


if __name__ == "__main__":
    main()
