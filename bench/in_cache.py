"""Every rule on 16 K float32 elements in cache, one thread: time an element beside its bound.

The bound is the larger of two: the loads and stores, as the same-traffic loop takes (`traffic0` to
`traffic3`, same arrays), and the unit that divides and takes roots, by a hand count of both in the
formula and what one costs in registers, eight independent ones at a time, in a small program that
g++ builds here for the processor at hand (x86).
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import steepest as st
from steepest import _cpu
from steepest.apps.bench_timing import medians
from steepest.updates import placement

PROGRAM = """
#include <immintrin.h>
#include <chrono>
#include <cstdio>
#ifdef __AVX512F__
using V = __m512;
static V set(float x) { return _mm512_set1_ps(x); }
static V divide(V a, V b) { return _mm512_div_ps(a, b); }
static V root(V a) { return _mm512_sqrt_ps(a); }
#else
using V = __m256;
static V set(float x) { return _mm256_set1_ps(x); }
static V divide(V a, V b) { return _mm256_div_ps(a, b); }
static V root(V a) { return _mm256_sqrt_ps(a); }
#endif
template <class F>
static double nanoseconds(F f) {
  V v[8];
  for (V& x : v) x = set(1.7f);
  const int n = 10000;
  double least = 1e30;  // of short runs: others share the processor
  for (int run = 0; run < 200; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < n; ++i)
      for (int k = 0; k < 8; ++k) v[k] = f(v[k]);
    const std::chrono::duration<double, std::nano> t = std::chrono::steady_clock::now() - start;
    if (t.count() < least) least = t.count();
  }
  volatile float keep = 0;
  for (V& x : v) keep = keep + reinterpret_cast<float*>(&x)[0];
  return least / n / 8 / (sizeof(V) / 4);
}
int main() {
  const V a = set(2.3f);
  std::printf("%.5f %.5f\\n", nanoseconds([&](V x) { return divide(a, x); }),
              nanoseconds([](V x) { return root(x); }));
}
"""
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
    theta = aligned(1.0)
    plan.add_tensor(0, theta, placement.like([theta], [0.5] * len(states))[0], None, 10, 1.0)
    plan.bind((aligned(0.25),))
    return plan.step_bound_plain


def unit_costs() -> tuple[float, float]:
    """Nanoseconds of a division and of a root an element, the least of five runs each."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "unit.cpp"), Path(folder, "unit")
        source.write_text(PROGRAM)
        subprocess.run(["g++", "-O3", "-march=native", source, "-o", program], check=True)
        runs = [subprocess.check_output([program], text=True).split() for _ in range(5)]
    return min(float(r[0]) for r in runs), min(float(r[1]) for r in runs)


def main() -> None:
    st.set_num_threads(1)
    divide, root = unit_costs()
    names = [*COUNTS, "traffic0", "traffic1", "traffic2", "traffic3"]
    seconds = medians({name: stepper(name) for name in names}, ROUNDS, CALLS)
    times = {name: 1e9 * of_step / N for name, of_step in seconds.items()}
    n_states = {name: len(states.split()) for name, _, states, _ in _cpu.rules()}
    table = Table(title=f"ns an element, 16 K float32, one thread, {_cpu.simd_level()}")
    for heading in ("rule", "ns", "loads, stores", "÷, √", "of the bound"):
        table.add_column(heading, justify="left" if heading == "rule" else "right")
    for name, (divisions, roots) in COUNTS.items():
        traffic = times[f"traffic{n_states[name]}"]
        unit = divisions * divide + roots * root
        ratio = times[name] / max(traffic, unit)
        numbers = (times[name], traffic, unit)
        table.add_row(name, *(f"{x:.3f}" for x in numbers), f"{ratio:.2f} ×")
    Console().print(table)


if __name__ == "__main__":
    main()
