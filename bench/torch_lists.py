"""Adam on PyTorch tensors whose gradients come as lists, beside PyTorch's fused Adam."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import torch

import steepest as st


def timed(f: Callable[..., Any], *args: Any) -> float:
    start = perf_counter()
    f(*args)
    return perf_counter() - start


def main() -> None:
    for n, size, rounds in ((10, 1_000, 300), (1_000, 1_000, 15), (10_000, 100, 15)):
        ours, theirs = ([torch.zeros(size) for _ in range(n)] for _ in range(2))
        for p in theirs:
            p.grad = torch.ones(size)
        opt, fused = st.Adam(ours), torch.optim.Adam(theirs, fused=True)
        taken: list[tuple[float, float]] = []
        for _ in range(rounds):
            mine = timed(lambda opt=opt, ps=theirs: opt.step([p.grad for p in ps]))
            taken.append((mine, timed(fused.step)))
        a, b = (median(side) * 1e3 for side in zip(*taken, strict=True))
        print(f"{n:,} x {size:,}: {a:.3f} ms, PyTorch fused {b:.3f}, {b / a:.1f} times")


if __name__ == "__main__":
    main()
