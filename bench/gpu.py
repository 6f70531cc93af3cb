"""Times steps on a GPU: share of the measured copy bandwidth, beside PyTorch and CuPy.

Run by bench/gpu.sh. Prints a table; times are medians of CUDA events, in microseconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cupy
import numpy as np

import steepest as st

MEGA = 1024 * 1024
SIZES = ((1, 64 * MEGA), (1, 256 * MEGA), (1000, 100_000), (10_000, 1_000))
ARRAYS = {"SGD": 3, "Momentum": 5, "RMSProp": 5, "Adagrad": 5, "Lion": 5}  # accesses; others 7
RULES = ("SGD", "Momentum", "RMSProp", "Adagrad", "Adadelta", "Adam", "AdaMax", "NAdam", "Lion")


def median_us(run: Callable[[], object], repeats: int = 15) -> float:
    run()
    times = []
    for _ in range(repeats):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(1e3 * cupy.cuda.get_elapsed_time(start, end))
    return statistics.median(times)


def copy_bandwidth() -> float:
    """Bytes a microsecond of a copy of 1 GiB, both directions counted."""
    a = cupy.zeros(256 * MEGA, np.float32)
    b = cupy.empty_like(a)
    return 2 * a.nbytes / median_us(lambda: cupy.copyto(b, a))


def torch_adam_us(count: int, n: int) -> float | None:
    try:
        import torch
    except ImportError:
        return None
    p = [torch.zeros(n, device="cuda", requires_grad=True) for _ in range(count)]
    for x in p:
        x.grad = torch.ones_like(x)
    opt = torch.optim.Adam(p, fused=True)
    stream = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)
    with stream:
        return median_us(opt.step)


def main() -> None:
    copy = copy_bandwidth()
    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{device}: copy {copy / 1e3:.0f} GB/s\n{st.info()['cuda']}\n")
    print("| rule | tensors x elements | us | share of copy | host us | PyTorch fused us |")
    print("|---|---|---|---|---|---|")
    for name in RULES:
        for count, n in SIZES if name == "Adam" else SIZES[1:2]:
            p = [cupy.zeros(n, np.float32) for _ in range(count)]
            g = [cupy.ones(n, np.float32) for _ in range(count)]
            opt = getattr(st, name)(p, lr=1e-3)
            opt.bind_grads(g)
            us = median_us(opt.step)
            start = time.perf_counter()
            for _ in range(20):
                opt.step()
            host = 1e6 * (time.perf_counter() - start) / 20
            share = ARRAYS.get(name, 7) * 4 * count * n / us / copy
            del p, g, opt
            cupy.get_default_memory_pool().free_all_blocks()
            peer = torch_adam_us(count, n) if name == "Adam" else None
            shown = "-" if peer is None else f"{peer:.0f}"
            print(f"| {name} | {count} x {n} | {us:.0f} | {share:.2f} | {host:.1f} | {shown} |")


if __name__ == "__main__":
    main()
