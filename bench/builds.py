"""Two builds of the package or more, asked for the same steps in turns: which of them is faster.

    python bench/builds.py before=FOLDER after=FOLDER --device cuda --sizes 10000x1000,1x256M

Rules may have options, as in --rules Adam,RMSProp:momentum=0.9. FOLDER is one that has the package
`steepest`: an installation's --target, or `python` of a tree. Each build has a process of its own,
which makes the arrays of a row and waits while others are timed. Where builds do not differ,
neither do the numbers by more than the rounds' spread; on a GPU where the arrays lie counts too, so
repeat a run before a difference of a few percent is believed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from ast import literal_eval
from statistics import median
from typing import Any

import numpy as np

UNITS = {"K": 1 << 10, "M": 1 << 20}


def number(text: str) -> int:
    unit = UNITS.get(text[-1])
    return int(text) if unit is None else int(text[:-1]) * unit


def make_step(xp: Any, rule: str, count: int, elements: int) -> Any:
    """A bound step over `count` arrays of `elements` float32 each, of Rule or Rule:option=value."""
    import steepest as st

    rule, *options = rule.split(":")
    given = {name: literal_eval(value) for name, value in (o.split("=") for o in options)}

    params, grads = ([xp.ones(elements, np.float32) for _ in range(count)] for _ in range(2))
    opt = getattr(st, rule)(params, lr=1e-6, **given)
    opt.bind_grads(grads)
    return opt.step


def seconds_by_clock(step: Any, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - start) / calls


def seconds_by_events(cupy: Any, step: Any, calls: int) -> float:
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    step()  # keeps the device busy until the host is ahead
    start.record()
    for _ in range(calls):
        step()
    end.record()
    end.synchronize()
    return 1e-3 * float(cupy.cuda.get_elapsed_time(start, end)) / calls


def serve(device: str) -> None:
    """Answer lines of a rule and a size by "ready", empty ones by the seconds of a step."""
    if device == "cuda":
        import cupy as xp
    else:
        xp = np
    step, calls = None, 1

    def seconds() -> float:
        if device == "cuda":
            return seconds_by_events(xp, step, calls)
        return seconds_by_clock(step, calls)

    for line in sys.stdin:
        if line.strip():
            rule, count, elements = line.split()
            step = None  # the memory of the row before is free for this one's
            step, calls = make_step(xp, rule, int(count), int(elements)), 1
            seconds()
            calls = max(3, min(1000, int(0.03 / seconds())))
            print("ready", flush=True)
        else:
            print(seconds(), flush=True)


def asked(child: subprocess.Popen[str], line: str) -> str:
    assert child.stdin is not None and child.stdout is not None
    print(line, file=child.stdin, flush=True)
    answer = child.stdout.readline()
    if not answer:
        raise SystemExit(f"a build ended with status {child.wait()}")
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rules", default="Adam")
    parser.add_argument("--sizes", default="10000x1000,1000x100000,1x16M")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.device)
        return
    children = {}
    for build in args.builds:
        name, folder = build.split("=", 1)
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        children[name] = subprocess.Popen(
            [sys.executable, __file__, "-", "--serve", "--device", args.device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
    first = next(iter(children))
    for rule in args.rules.split(","):
        for size in args.sizes.split(","):
            count, elements = map(number, size.split("x"))
            for child in children.values():
                asked(child, f"{rule} {count} {elements}")
            seen: dict[str, list[float]] = {name: [] for name in children}
            for _ in range(args.rounds):
                for name, child in children.items():
                    seen[name].append(float(asked(child, "")))
            ratios = {
                name: median(a / b for a, b in zip(times, seen[first], strict=True))
                for name, times in seen.items()
            }
            shown = ", ".join(
                f"{name} {1e6 * median(times):.1f} us ({min(times) * 1e6:.1f}) {ratios[name]:.3f}"
                for name, times in seen.items()
            )
            print(f"{rule} {size}: {shown}", flush=True)


if __name__ == "__main__":
    main()
