"""Steps while others keep the cores busy, beside the same on a quiet machine: another process, or
the threads of NumPy's BLAS, which go on spinning after a product."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

import steepest as st
from steepest import _cpu

CASES = {"10 × 1,000": (10, 1000), "1 × 64 K": (1, 64 * 1024)}


def microseconds(opt: st.Adam, seconds: float) -> list[float]:
    seen, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter_ns()
        opt.step()
        seen.append((time.perf_counter_ns() - start) / 1e3)
    return seen


def after_products() -> None:
    """One thread, two, and as many as the package takes, back to back and each after a product."""
    table = Table(title="Adam, bound, median ms a step (mean)")
    for heading in ("elements", "threads", "quiet", "after a product by BLAS"):
        table.add_column(heading, justify="right")
    factor, grain = np.full((600, 600), 0.5), _cpu.bytes_per_thread()
    for n in (1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22, 1 << 23):
        opt = st.Adam(np.zeros(n, np.float32))
        opt.bind_grads(np.ones(n, np.float32))
        for threads in (1, 2, None):
            st.set_num_threads(threads)
            _cpu.set_bytes_per_thread(1 << 16 if threads else grain)  # two at any of these sizes
            cells = []
            for product in (False, True):
                seen = []
                for _ in range(100):
                    if product:
                        factor @ factor
                    start = time.perf_counter_ns()
                    opt.step()
                    seen.append((time.perf_counter_ns() - start) / 1e6)
                cells.append(f"{median(seen):.2f} ({np.mean(seen):.2f})")
            table.add_row(f"{n >> 10} K", str(threads or "chosen"), *cells)
    Console().print(table)


def beside_processes() -> None:
    busy = "while True: pass"
    table = Table(title="Adam, bound, median µs a step (99th percentile)")
    for heading in ("tensors", "quiet", "every core busy", "ratio of medians"):
        table.add_column(heading, justify="right")
    for name, (count, n) in CASES.items():
        params = [np.zeros(n, np.float32) for _ in range(count)]
        opt = st.Adam(params)
        opt.bind_grads([np.ones(n, np.float32) for _ in range(count)])
        microseconds(opt, 0.5)
        quiet, loaded = [], []
        for _ in range(3):
            quiet += microseconds(opt, 1.0)
            others = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(os.cpu_count())]
            time.sleep(0.3)
            loaded += microseconds(opt, 2.0)
            for other in others:
                other.kill()
                other.wait()
        cells = [f"{median(x):.1f} ({np.percentile(x, 99):.1f})" for x in (quiet, loaded)]
        table.add_row(name, *cells, f"{median(loaded) / median(quiet):.2f} ×")
    Console().print(table)


if __name__ == "__main__":
    beside_processes()
    after_products()
