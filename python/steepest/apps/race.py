"""`steepest race`: the paths of optimizers over a surface, as a picture, animation or page."""

from __future__ import annotations

import argparse
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from steepest.apps.races import DEFAULT

if TYPE_CHECKING:
    from steepest.apps.races.race_paths import Path
    from steepest.apps.races.surfaces import Surface

HELP = "draw the paths of optimizers over a surface: PNG, GIF or HTML"

KINDS = (".png", ".gif", ".html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The surface, the entries, the picture."""
    add = parser.add_argument
    add(
        "surface",
        nargs="?",
        default="rosenbrock",
        help='a name (see --list), or a formula in x and y such as "x**4 + sin(3*y) + y**2"; '
        "default %(default)s",
    )
    add(
        "-o",
        "--optimizers",
        nargs="+",
        default=DEFAULT,
        metavar="NAME[:OPTION=VALUE,...]",
        help="such as adam:betas=0.9/0.99 or momentum:lr=0.01,momentum=0.8; "
        f"default: {' '.join(DEFAULT)}",
    )
    add(
        "--out",
        "--output",
        default="race.png",
        help="file to write, .png, .gif or .html; default %(default)s",
    )
    add("--view", choices=("contour", "surface"), default="contour", help="default %(default)s")
    add("--steps", type=int, default=200, help="gradient evaluations at most; default %(default)s")
    pair: dict[str, Any] = {"type": float, "nargs": 2}
    add("--start", metavar=("X", "Y"), help="where every path starts", **pair)
    add("--x", metavar=("FROM", "TO"), dest="x_limits", help="the part shown, along x", **pair)
    add("--y", metavar=("FROM", "TO"), dest="y_limits", help="the part shown, along y", **pair)
    add("--fps", type=float, default=20.0, help="frames a second of a GIF; default %(default)g")
    add("--list", action="store_true", help="list surfaces and optimizers, and stop")


def main(args: argparse.Namespace) -> int:
    """Run the race, draw it, tell where everyone got to."""
    if args.list:
        return show_list()
    out = FilePath(args.out)
    surface, paths = run_race(args, out)
    save(surface, paths, args.view, out, args.fps)
    show_results(surface, paths)
    print(f"wrote {out}")
    return 0


def run_race(args: argparse.Namespace, out: FilePath) -> tuple[Surface, list[Path]]:
    """Check everything, then run every entry."""
    import numpy as np

    from steepest.apps.beforehand import check_packages, check_writable
    from steepest.apps.races.race_paths import parse_entry, run
    from steepest.apps.races.surfaces import NAMED, find_surface, grid

    if out.suffix.lower() not in KINDS:
        raise ValueError(f"--out {out}: expected files that end in {', '.join(KINDS)}")
    if not 1 <= args.steps <= 100_000:
        raise ValueError(f"--steps {args.steps}: expected 1 to 100000")
    if not 0.01 <= args.fps <= 50:
        raise ValueError(f"--fps {args.fps:g}: expected 0.01 to 50")
    if args.optimizers[-1] in NAMED:
        raise ValueError(f"-o: {args.optimizers[-1]!r} is a surface; it stands before -o")
    entries = [parse_entry(text) for text in args.optimizers]
    pairs = (tuple(pair) if pair else None for pair in (args.x_limits, args.y_limits, args.start))
    check_packages("matplotlib", "sympy")
    surface = find_surface(args.surface, *pairs)
    if np.isnan(grid(surface)[2]).all():
        raise ValueError(f"{args.surface}: no finite value in the picture; see --x and --y")
    check_writable(out)
    paths = []
    for text, entry in zip(args.optimizers, entries, strict=True):
        try:
            paths.append(run(entry, surface, args.steps))
        except (ValueError, TypeError) as error:  # of an option's value
            raise ValueError(f"-o {text}: {error}") from None
    return surface, paths


def save(surface: Surface, paths: list[Path], view: str, out: FilePath, fps: float) -> None:
    """Write the file that its ending says."""
    kind = out.suffix.lower()
    if kind == ".html":
        from steepest.apps.races.race_html import save_html

        save_html(surface, paths, view, out)
    elif kind == ".gif":
        from steepest.apps.races.race_draw import save_gif

        save_gif(surface, paths, view, out, fps)
    else:
        from steepest.apps.races.race_draw import save_png

        save_png(surface, paths, view, out)


def show_results(surface: Surface, paths: list[Path]) -> None:
    """A table: where everyone got to, the lowest first, and last who ran off."""
    rows: list[tuple[Any, ...]] = [("optimizer", "f", "x, y", "evaluations", "ended early")]
    for path in sorted(paths, key=lambda path: (path.lost, float(path.values[-1]))):
        x, y = path.points[-1]
        at = f"{x:.4g}, {y:.4g}"
        label = path.label.removesuffix(f" {path.ended}")  # which the last column has
        ended = path.ended.partition(":")[0]
        rows.append((label, f"{path.values[-1]:.4g}", at, f"{path.spent[-1]:.0f}", ended))
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    print_table(surface.title, rows)


def show_list() -> int:
    """The names that can be given."""
    from steepest.apps.races.race_paths import FIRST_ORDER, SECOND_ORDER
    from steepest.apps.races.surfaces import NAMED

    rows: list[tuple[Any, ...]] = [("surface", "formula", "what there is to see")]
    rows += [(name, one.formula, one.note) for name, one in NAMED.items()]
    print_table("Surfaces", rows)
    print("First order: ", ", ".join(FIRST_ORDER))
    print("Second order:", ", ".join(SECOND_ORDER))
    return 0


def print_table(title: str, rows: list[tuple[Any, ...]]) -> None:
    """A table with a header, by rich."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console().print(table)
