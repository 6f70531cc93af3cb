"""Adam on PyTorch tensors whose gradients come as lists, beside PyTorch's fused Adam."""

from __future__ import annotations

import torch

import steepest as st
from steepest.apps.bench_timing import medians


def main() -> None:
    for n, size, rounds in ((10, 1_000, 300), (1_000, 1_000, 15), (10_000, 100, 15)):
        ours, theirs = ([torch.zeros(size) for _ in range(n)] for _ in range(2))
        for p in theirs:
            p.grad = torch.ones(size)
        opt, fused = st.Adam(ours), torch.optim.Adam(theirs, fused=True)
        calls = {
            "ours": lambda opt=opt, ps=theirs: opt.step([p.grad for p in ps]),
            "fused": fused.step,
        }
        a, b = (1e3 * seconds for seconds in medians(calls, rounds).values())
        print(f"{n:,} x {size:,}: {a:.3f} ms, PyTorch fused {b:.3f}, {b / a:.1f} times")


if __name__ == "__main__":
    main()
