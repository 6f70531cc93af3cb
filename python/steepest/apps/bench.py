"""`steepest bench`: how fast a step is, beside what memory allows and beside every peer."""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from steepest import _cpu, check

if TYPE_CHECKING:
    from steepest.apps import bench_work

Row = tuple[str, int, int]  # a rule, tensors, elements of each


class Limits(NamedTuple):
    """What a run does without."""

    seconds: float  # for each contender
    alone: bool  # no peers
    last_begin: float  # of a row, on the monotonic clock


HELP = "time the update rules: GB/s, share of the memory limit, ratio to every peer installed"
SIZES = "1x32M,1x16M,1000x1000,10000x100,10x1000,1x100"
CUDA_SIZES = "1x256M,1000x100000,10000x1000,10000x100"
QUICK_SIZES = "1x1M,100x1000"
QUICK_RULES = "sgd,momentum,adam,pipeline"
LISTED = ("adam", "pipeline")  # the rules that a device times at all sizes unless asked for more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--quick", action="store_true", help="a few rules and sizes, seconds")
    parser.add_argument("--rules", help="comma separated names of the rule list, or 'pipeline'")
    parser.add_argument(
        "--sizes",
        help=f"tensors x elements, K = 1024, M = 1024 K; {SIZES}, on a device {CUDA_SIZES}",
    )
    parser.add_argument("--threads", type=int, help="threads for steepest and PyTorch, on the CPU")
    parser.add_argument(
        "--seconds", type=float, help="time for each contender, at least three calls"
    )
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="where the arrays live"
    )
    parser.add_argument("--alone", action="store_true", help="time no peers")
    parser.add_argument("--within", type=float, help="start no new row after this many seconds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(args: argparse.Namespace) -> int:
    """Measure and print."""
    from rich.console import Console

    from steepest.apps import bench_table

    rows, limits = rows_asked(args), _limits(args)
    if args.device == "cuda":
        found = run_cuda(rows, limits, copy_elements=1 << (25 if args.quick else 28))
    else:
        _set_threads(args.threads)
        found = run(rows, limits, triad_elements=1 << (22 if args.quick else 25))
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        Console().print(*bench_table.tables(found), bench_table.footer(found))
    return 0


def rows_asked(args: argparse.Namespace) -> list[Row]:
    """The rules and sizes that are asked for."""
    from steepest.apps import bench_work

    on_device = args.device == "cuda"
    if on_device and args.threads is not None:
        raise ValueError("--threads: not for --device cuda")
    names = _names(args, bench_work.known_rules())
    written = _split(args.sizes, args.quick, QUICK_SIZES, CUDA_SIZES if on_device else SIZES)
    sizes = [parse_size(size) for size in written]
    if not on_device:
        for text, size in zip(written, sizes, strict=True):
            _check_memory(text, *size)
    every = not on_device or args.quick or args.rules is not None or args.sizes is not None
    return [
        (name, *size)
        for name in names
        for size in sizes
        if every or size == sizes[0] or name in LISTED
    ]


def _limits(args: argparse.Namespace) -> Limits:
    by_default = 0.3 if args.device == "cuda" else 1.0
    seconds = args.seconds if args.seconds is not None else 0.05 if args.quick else by_default
    within = args.within if args.within is not None else math.inf
    for name, value in (("--seconds", seconds), ("--within", within)):
        if not value > 0:
            raise ValueError(f"{name}: {value} is not allowed; expected a number above 0")
    return Limits(float(seconds), args.alone, time.monotonic() + within)


def _split(given: str | None, quick: bool, short: str, full: str) -> list[str]:
    text = given if given is not None else short if quick else full
    return [part.strip() for part in text.split(",")]


def _names(args: argparse.Namespace, known: list[str]) -> list[str]:
    names = _split(args.rules, args.quick, QUICK_RULES, ",".join(known))
    for name in names:
        if name not in known:
            raise ValueError(f"--rules: {name!r} is not one of {', '.join(known)}")
    return names


def parse_size(text: str) -> tuple[int, int]:
    """Tensors and elements of each, from "10x64K"."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)([KM]?)", text)
    if match is None:
        raise ValueError(f"--sizes: {text!r} is not allowed; expected 10x1000, 1x64K or 1x32M")
    unit = {"": 1, "K": 1 << 10, "M": 1 << 20}[match[3]]
    return int(match[1]), int(match[2]) * unit


def _check_memory(text: str, tensors: int, elements: int) -> None:
    """Ask for the memory of parameters and gradients, which is not touched, and let it go."""
    import numpy as np

    try:
        np.empty((2 * tensors, elements), np.float32)
    except (MemoryError, ValueError) as error:
        raise ValueError(f"--sizes: {text!r}: {error}") from None


def _set_threads(n: int | None) -> None:
    import steepest
    from steepest.apps.bench_peers import pytorch

    if n is not None:
        n = check.integer("--threads", n, at_least=1, at_most=_cpu.max_threads)
        steepest.set_num_threads(n)
    if torch := pytorch():
        torch.set_num_threads(steepest.get_num_threads())


def run(asked: list[Row], limits: Limits, *, triad_elements: int) -> dict[str, Any]:
    """All rows, with what they were measured on; a progress bar on standard error."""
    from steepest.apps import bench_work
    from steepest.apps.bench_timing import in_turns, median

    triad = bench_work.triad(triad_elements)
    in_turns([triad], seconds=limits.seconds, rounds=15)
    return {
        **_machine(),
        "processor": _processor(),
        "triad_gb_s": 24 * triad_elements / median(triad) / 1e9,
        **_rows(asked, limits, bench_work.Host()),
    }


def run_cuda(asked: list[Row], limits: Limits, *, copy_elements: int) -> dict[str, Any]:
    """The same on a device, and the host's time for a step.

    Raises
    ------
    BackendError
        Where no device is usable.
    """
    from steepest.apps import bench_cuda

    device = bench_cuda.open_device()
    found = {**_machine(), **device.machine(), "copy_gb_s": device.copy_gb_s(copy_elements)}
    device.free()
    found["host_seconds"] = bench_cuda.host_times(device, alone=limits.alone)
    found |= _rows(asked, limits, device)
    for row in found["rows"]:
        row["share_of_copy"] = row["gb_s"] / found["copy_gb_s"]
    return found


def _rows(asked: list[Row], limits: Limits, place: bench_work.Host) -> dict[str, Any]:
    """The rows, and those that were not begun in time; each is told as soon as it is there."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    rows: list[dict[str, Any]] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=len(asked))
        for rule, tensors, elements in asked:
            if time.monotonic() > limits.last_begin:
                break
            progress.update(task, description=f"{rule} {tensors} x {elements}")
            rows.append(_row(rule, tensors, elements, limits, place))
            place.free()
            progress.advance(task)
            if not console.is_terminal:
                console.print(f"{rule} {tensors} x {elements}: {rows[-1]['gb_s']:.1f} GB/s")
    return {"rows": rows, "not_begun": asked[len(rows) :]}


def _row(
    rule: str, tensors: int, elements: int, limits: Limits, place: bench_work.Host
) -> dict[str, Any]:
    from steepest.apps import bench_work
    from steepest.apps.bench_timing import in_turns, median, ratio

    work = bench_work.contenders(rule, tensors, elements, place, alone=limits.alone)
    entrants, left_out = place.able(work)
    in_turns(entrants, seconds=limits.seconds, rounds=31)
    bound = entrants[0]
    traffic = bench_work.bytes_of_step(rule) * tensors * elements
    return {
        "rule": rule,
        "tensors": tensors,
        "elements": elements,
        "dtype": "float32",
        "bytes": traffic,
        "seconds": {one.name: median(one) for one in entrants},
        "gb_s": traffic / median(bound) / 1e9,
        # how many times longer each takes than a bound step; the yardstick's is the share
        "ratio": {one.name: ratio(one, bound) for one in entrants[1:]},
        "left_out": left_out,
    }


def _machine() -> dict[str, Any]:
    import steepest
    from steepest.apps.bench_peers import pytorch

    info = steepest.info()
    found = {key: info[key] for key in ("version", "python", "numpy", "simd", "threads")}
    if torch := pytorch():
        found["torch"] = torch.__version__
    return found


def _processor() -> str:
    """The processor's name, where the system says it."""
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            named = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
            return next(named, platform.processor())
    except OSError:
        return platform.processor()
