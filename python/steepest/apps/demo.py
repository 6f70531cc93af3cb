"""`steepest demo`: trains a small network by five rules, and fits two of NIST's data sets."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from steepest.apps.demo_train import Run, UpdateTimes

HELP = "train a network on handwritten digits by five rules, fit two data sets; with pictures"
NEEDS = ("matplotlib", "sklearn", "sympy")
PICTURES = ("losses.png", "paths.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the pictures go, how long to train."""
    add = parser.add_argument
    default = "(default: %(default)s)"
    add("--output", type=Path, default=Path("pictures"), help=f"folder of pictures {default}")
    add(
        "--epochs", type=_at_least(1), default=30, help=f"passes over the training digits {default}"
    )
    add("--seed", type=_at_least(0), default=0, help=f"of weights and minibatches {default}")


def main(args: argparse.Namespace) -> int:
    """Train, print the table, write the pictures."""
    from steepest.apps.beforehand import check_packages, check_writable

    check_packages(*NEEDS)
    args.output.mkdir(parents=True, exist_ok=True)
    files = [args.output / name for name in PICTURES]
    for file in files:
        check_writable(file)
    import matplotlib
    from rich.console import Console

    from steepest.apps import demo_pictures
    from steepest.apps.demo_fits import fit_nist
    from steepest.apps.demo_rules import RULES
    from steepest.apps.demo_train import time_update

    matplotlib.use("Agg")
    console = Console()
    start = time.perf_counter()
    runs = train_all(console, args.epochs, args.seed)
    with console.status("timing the update itself"):
        times = {rule.name: time_update(rule, args.seed) for rule in RULES}
    console.print(results(runs, times))
    fit_nist(console)
    with console.status("drawing"):
        demo_pictures.draw_losses(files[0], runs)
        demo_pictures.draw_paths(files[1])
    for file in files:
        console.print(f"wrote {file}", highlight=False)
    console.print(f"{time.perf_counter() - start:.0f} s in all", highlight=False)
    return 0


def train_all(console: Console, epochs: int, seed: int) -> dict[str, Run]:
    """A run of each rule, by its name, with a bar that shows how far they are."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from steepest.apps.demo_net import load_digits
    from steepest.apps.demo_rules import RULES
    from steepest.apps.demo_train import SIZES, train

    digits = load_digits(seed)
    console.print(
        f"A {'-'.join(map(str, SIZES))} network learns {len(digits.train_y)} handwritten digits; "
        f"it is tested on {len(digits.test_y)} others.",
        highlight=False,
    )
    runs = {}
    columns = (TextColumn("{task.description:<10}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=epochs * len(RULES))
        for rule in RULES:
            progress.update(task, description=rule.name)
            runs[rule.name] = train(rule, digits, epochs, seed, lambda: progress.advance(task))
    return runs


def results(runs: dict[str, Run], times: dict[str, UpdateTimes]) -> Table:
    """The table of all runs."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption_justify="left",
        caption="loss: mean over the last epoch; accuracy: on the test digits; update: one step of "
        "all arrays, beside the same in NumPy expressions and by PyTorch's fused or foreach "
        "optimizer, each on one thread",
    )
    for heading in ("rule", "loss", "accuracy", "time", "update", "NumPy", "PyTorch"):
        side: Any = "left" if heading == "rule" else "right"
        table.add_column(heading, justify=side, overflow="fold")
    for name, run in runs.items():
        t = times[name]
        table.add_row(
            name,
            f"{run.final_loss:.4f}",
            f"{run.accuracies[-1]:.1%}",
            f"{run.seconds:.2f} s",
            f"{t.ours * 1e6:.1f} µs",
            f"{t.numpy * 1e6:.0f} µs ({t.numpy / t.ours:.0f}×)",
            f"{t.torch * 1e6:.0f} µs ({t.torch / t.ours:.0f}×)" if t.torch else "–",
        )
    return table


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        try:
            n = int(text)
        except ValueError:
            problem = f"{text.strip()!r} is not a whole number"
            raise argparse.ArgumentTypeError(problem) from None
        if n < least:
            raise argparse.ArgumentTypeError(f"{n} is not allowed; expected at least {least}")
        return n

    return whole_number
