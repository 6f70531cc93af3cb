"""`steepest bench`: how fast a step is, beside what memory allows and beside every peer."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

HELP = "time the update rules: GB/s, share of the memory limit, ratio to every peer installed"
SIZES = "1x32M,1x16M,1000x1000,10000x100,10x1000,1x100"
QUICK_SIZES = "1x1M,100x1000"
QUICK_RULES = "sgd,momentum,adam,pipeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--quick", action="store_true", help="a few rules and sizes, seconds")
    parser.add_argument("--rules", help="comma separated names of the rule list, or 'pipeline'")
    parser.add_argument("--sizes", help=f"tensors x elements, K = 1024, M = 1024 K; {SIZES}")
    parser.add_argument("--threads", type=int, help="threads for steepest and PyTorch")
    parser.add_argument(
        "--seconds", type=float, help="time for each contender, three calls at least"
    )
    parser.add_argument("--device", choices=["cpu"], default="cpu", help="where the arrays live")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(args: argparse.Namespace) -> int:
    """Measure and print."""
    from rich.console import Console

    from steepest.apps import bench_work

    try:
        names = _names(args, bench_work.known_rules())
        sizes = [parse_size(size) for size in _split(args.sizes, args.quick, QUICK_SIZES, SIZES)]
        seconds = args.seconds if args.seconds is not None else (0.05 if args.quick else 1.0)
        if not seconds > 0:
            raise ValueError(f"--seconds: {seconds} is not allowed; allowed is above 0")
        _set_threads(args.threads)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    found = run(names, sizes, seconds, triad_elements=1 << (22 if args.quick else 25))
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        Console().print(_table(found), _footer(found))
    return 0


def _split(given: str | None, quick: bool, short: str, full: str) -> list[str]:
    return (given if given is not None else short if quick else full).split(",")


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
        raise ValueError(f"--sizes: {text!r} is not allowed; allowed is 10x1000, 1x64K or 1x32M")
    unit = {"": 1, "K": 1 << 10, "M": 1 << 20}[match[3]]
    return int(match[1]), int(match[2]) * unit


def _set_threads(n: int | None) -> None:
    import importlib.util

    import steepest

    if n is not None:
        steepest.set_num_threads(n)
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(steepest.get_num_threads())


def run(
    names: list[str], sizes: list[tuple[int, int]], seconds: float, *, triad_elements: int
) -> dict[str, Any]:
    """All rows, with what they were measured on; a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from steepest.apps import bench_work
    from steepest.apps.bench_timing import in_turns, median

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("STREAM triad", total=1 + len(names) * len(sizes))
        triad = bench_work.triad(triad_elements)
        in_turns([triad], seconds=seconds, rounds=15)
        progress.advance(task)
        rows = []
        for name in names:
            for tensors, elements in sizes:
                progress.update(task, description=f"{name} {tensors} x {elements}")
                rows.append(_row(name, tensors, elements, seconds))
                progress.advance(task)
    return {
        **_machine(),
        "triad_gb_s": 24 * triad_elements / median(triad) / 1e9,
        "rows": rows,
    }


def _row(rule: str, tensors: int, elements: int, seconds: float) -> dict[str, Any]:
    from steepest.apps import bench_work
    from steepest.apps.bench_timing import in_turns, median, ratio

    entrants = bench_work.contenders(rule, tensors, elements)
    in_turns(entrants, seconds=seconds, rounds=31)
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
    }


def _machine() -> dict[str, Any]:
    import importlib.util

    import steepest

    info = steepest.info()
    found = {key: info[key] for key in ("version", "python", "numpy", "simd", "threads")}
    found["processor"] = _processor()
    if importlib.util.find_spec("torch") is not None:
        import torch

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


def _table(found: dict[str, Any]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    peers: dict[str, None] = {}
    for row in found["rows"]:
        peers.update(dict.fromkeys(key for key in row["ratio"] if key not in ("traffic", "lists")))
    table = Table(
        title="a step, float32",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        collapse_padding=True,
    )
    table.add_column("rule", overflow="fold")
    for head in ("size", "bound", "lists", "GB/s", "of\nlimit", *peers):
        table.add_column(head.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in found["rows"]:
        seconds, ratio = row["seconds"], row["ratio"]
        table.add_row(
            row["rule"],
            f"{short(row['tensors'])}x{short(row['elements'])}",
            written(seconds["bound"]),
            written(seconds["lists"]) if "lists" in seconds else "",
            f"{row['gb_s']:.1f}",
            f"{ratio['traffic']:.2f}",
            *(_times(ratio[peer]) if peer in ratio else "" for peer in peers),
        )
    return table


def _times(ratio: float) -> str:
    return f"{ratio:.1f} ×" if ratio < 100 else f"{ratio:,.0f} ×"


def short(n: int) -> str:
    """A count as it is asked for: "64K"."""
    for unit, size in (("M", 1 << 20), ("K", 1 << 10)):
        if n % size == 0:
            return f"{n // size}{unit}"
    return str(n)


def written(seconds: float) -> str:
    """A time with its unit: "3.4 µs"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _footer(found: dict[str, Any]) -> str:
    return (
        f"{found['processor']}, {found['threads']} threads, SIMD level {found['simd']}; "
        f"STREAM triad {found['triad_gb_s']:.1f} GB/s.\n"
        "of limit: the time of a loop with the same traffic and one addition to each array that "
        "is written, divided by the step's.\n"
        "Peers: their time divided by the bound step's. Medians of calls in turns."
    )
