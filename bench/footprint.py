"""What `import steepest` costs beyond NumPy, and what a step allocates."""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
from statistics import median

import numpy as np

import steepest as st

IMPORT = """
import time, numpy, sys
start = time.perf_counter()
import steepest
print((time.perf_counter() - start) * 1e3)
loaded = [m for m in ("scipy", "cupy", "matplotlib", "torch") if m in sys.modules]
assert not loaded, loaded
"""


def main() -> None:
    run = [sys.executable, "-c", IMPORT]
    times = [float(subprocess.run(run, capture_output=True, text=True).stdout) for _ in range(15)]
    print(f"import steepest beyond NumPy: median {median(times):.1f} ms of {len(times)}")
    p, g = np.zeros(1 << 25, np.float32), np.ones(1 << 25, np.float32)
    opt = st.Adam(p, ema_decay=0.9)
    options = dict(grad_scale=2.0, max_norm=1.0, nonfinite="skip", zero_grad=True)
    opt.step(g, **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    for _ in range(3):
        opt.step(g, **options)
    _, peak = tracemalloc.get_traced_memory()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"three steps on 128 MiB of parameters: {peak} bytes by Python, resident +{grown} KiB")


if __name__ == "__main__":
    main()
