"""Every rule on 16 K float32 elements in cache, one thread: time an element beside its bound.

The bound is the larger of two: the loads and stores, as the same-traffic loop takes (`traffic0` to
`traffic3`, same arrays), and the unit that divides and takes roots, by a hand count of both in the
formula and what one costs in NumPy's vectorised divide and sqrt on arrays of that size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

import steepest as st
from steepest import _cpu

N, CALLS, ROUNDS = 16 * 1024, 200, 25
# rule: divisions, roots an element
COUNTS = {
    "sgd": (0, 0),
    "momentum": (0, 0),
    "nesterov": (0, 0),
    "rmsprop": (1, 1),
    "rmsprop_momentum": (1, 1),
    "rmsprop_centered": (1, 1),
    "rmsprop_centered_momentum": (1, 1),
    "adam": (1, 1),
    "amsgrad": (1, 1),
    "adamw": (1, 1),
    "adagrad": (1, 1),
    "adadelta": (1, 2),
    "adamax": (1, 0),
    "nadam": (1, 1),
    "radam": (1, 1),
    "lion": (0, 0),
}


def aligned(fill: float) -> np.ndarray:
    """N elements on a 64-byte boundary."""
    memory = np.empty(N * 4 + 64, np.uint8)
    skip = -memory.ctypes.data % 64
    array = memory[skip : skip + N * 4].view(np.float32)
    array[:] = fill
    return array


def stepper(name: str) -> Callable[[], object]:
    """One bound step of a rule of the rule list."""
    index, given, states = next(
        (i, g.split(), s.split()) for i, (n, g, s, _) in enumerate(_cpu.rules()) if n == name
    )
    usual = {"lr": 1e-6, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "bias_correction": 1.0}
    usual |= {"beta": 0.9, "rho": 0.9, "momentum": 0.5, "momentum_decay": 4e-3}
    plan = _cpu.Plan()
    plan.add_group(index, [usual.get(key, 0.0) for key in given], 0.0, False, 0.0)
    plan.add_tensor(0, aligned(1.0), [aligned(0.5) for _ in states], None, 10, 1.0)
    plan.bind((aligned(0.25),))
    return plan.step_bound_plain


def interleaved(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median nanoseconds an element of each, in turns."""
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter_ns()
            for _ in range(CALLS):
                run()
            seen[name].append((time.perf_counter_ns() - start) / CALLS / N)
    return {name: median(times) for name, times in seen.items()}


def main() -> None:
    st.set_num_threads(1)
    a, b, out = aligned(3.0), aligned(2.0), aligned(0.0)
    runs: dict[str, Callable[[], object]] = {
        "divide": lambda: np.divide(a, b, out=out),
        "sqrt": lambda: np.sqrt(a, out=out),
    }
    names = [*COUNTS, "traffic0", "traffic1", "traffic2", "traffic3"]
    times = interleaved(runs | {name: stepper(name) for name in names})
    n_states = {name: len(states.split()) for name, _, states, _ in _cpu.rules()}
    table = Table(title=f"ns an element, 16 K float32, one thread, {_cpu.simd_level()}")
    for heading in ("rule", "ns", "loads, stores", "÷, √", "of the bound"):
        table.add_column(heading, justify="left" if heading == "rule" else "right")
    for name, (divisions, roots) in COUNTS.items():
        traffic = times[f"traffic{n_states[name]}"]
        unit = divisions * times["divide"] + roots * times["sqrt"]
        ratio = times[name] / max(traffic, unit)
        numbers = (times[name], traffic, unit)
        table.add_row(name, *(f"{x:.3f}" for x in numbers), f"{ratio:.2f} ×")
    Console().print(table)


if __name__ == "__main__":
    main()
