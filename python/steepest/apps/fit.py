"""`steepest fit`: fit a formula to the columns of a CSV file."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from steepest.apps.fits.formula import FUNCTIONS, parse, spelled
from steepest.nlls.arguments import LOSSES

HELP = "fit a formula to the columns of a CSV file; print a summary, write a plot"
EPILOG = """{functions}
log is the natural logarithm; pi is the number; any other name, e too, is a column or a parameter
exit status: 0 fitted; 1 no minimum found; 2 invalid arguments, data or formula
example: steepest fit data.csv "y = a*exp(-b*x) + c" --start a=1,b=1,c=0 --bounds b=0:10"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    functions = fill(f"functions: {', '.join(FUNCTIONS)}", 90)
    parser.epilog = EPILOG.format(functions=functions)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "data",
        help='CSV file, or - for standard input; its first line names the columns, as "t" or '
        '"t [s]"; a name such as "lap time" is lap_time in the formula',
    )
    add("formula", help='such as "y = a*exp(-b*x) + c", in names of columns and parameters')
    start = "where parameters start; those not named start at 1, or within their bounds"
    add("--start", metavar="a=1,b=1", action="append", help=start)
    add("--sigma", metavar="COLUMN", help="column of the response's standard deviations")
    add("--absolute-sigma", action="store_true", help="take sigma as it is, not up to a factor")
    add("--bounds", metavar="a=0:10,b=:5", action="append", help="limits of parameters")
    add("--fix", metavar="c,d", action="append", help="parameters to hold at their start")
    add("--loss", choices=LOSSES, default="linear", help="robust loss (default: linear)")
    scale = (
        "size of residual above which a point counts as an outlier, in units of sigma or of the "
        "response"
    )
    add("--f-scale", metavar="C", type=float, help=f"{scale} (default: 1); needs a robust --loss")
    add("--omit-missing", action="store_true", help="leave out rows with empty fields or NaN")
    add("--encoding", default="utf-8", help="of the file, such as latin-1 (default: utf-8)")
    add("--json", action="store_true", help="print JSON instead of the summary")
    output = "write PREFIX.png (given a folder: DATA_fit.png in it; default: DATA_fit.png here)"
    add("--output", metavar="PREFIX", help=output)


def main(args: argparse.Namespace) -> int:
    """Fit, report, plot; returns the exit status."""
    from rich.console import Console

    from steepest.apps.beforehand import check_packages, check_writable
    from steepest.apps.fits.fit_plot import save_plot
    from steepest.apps.fits.fit_report import print_summary, record
    from steepest.apps.fits.fitting import Request, default_start, fit_table
    from steepest.apps.fits.table import read_table

    if args.absolute_sigma and args.sigma is None:
        raise ValueError("--absolute-sigma: needs --sigma")
    if args.f_scale is not None and args.loss == "linear":
        robust = ", ".join(loss for loss in LOSSES if loss != "linear")
        raise ValueError(f"--f-scale: needs --loss, one of {robust}")
    check_packages("matplotlib", "sympy")
    formula, table = parse(args.formula), read_table(args.data, args.encoding)
    start = dict(parse_start(joined(args.start)))
    bounds = dict(parse_bounds(joined(args.bounds)))
    fixed = tuple(split("--fix", joined(args.fix)))
    free = {name: limits for name, limits in bounds.items() if name not in fixed}
    request = Request(
        formula=formula,
        start=default_start(formula, table, start, free) | start,
        bounds=bounds,
        fixed=fixed,
        sigma=None if args.sigma is None else spelled(args.sigma),
        absolute_sigma=args.absolute_sigma,
        loss=args.loss,
        f_scale=1.0 if args.f_scale is None else args.f_scale,
        omit_missing=args.omit_missing,
    )
    path = Path(args.output or "")
    if path.is_dir() or (args.output or "").endswith("/"):  # a folder, even where there is none
        path /= Path(table.path).stem + "_fit"
    picture = str(path) if path.suffix.lower() == ".png" else f"{path}.png"
    check_writable(Path(picture))
    fitted = fit_table(table, request)
    if args.json:
        print(json.dumps(record(fitted, picture), indent=2, allow_nan=False))
    else:
        print_summary(fitted, Console())
    save_plot(fitted, picture)  # last: numbers that cannot be drawn are printed
    if not args.json:
        print(f"{'plot:':<16}{picture}")
    if not fitted.result.success:
        print(f"steepest fit: no minimum found: {fitted.result.message}", file=sys.stderr)
    return 0 if fitted.result.success else 1


def joined(given: list[str] | None) -> str:
    """One text of an option that may be given several times."""
    return ",".join(given or ())


def split(option: str, text: str) -> list[str]:
    """The parts between commas, stripped and spelled as in formulas; none may be empty."""
    parts = [spelled(part.strip()) for part in text.split(",")] if text.strip() else []
    if not all(parts):
        raise ValueError(f"{option}: {text!r} has an empty part between commas")
    return parts


def assignments(option: str, text: str) -> Iterator[tuple[str, str]]:
    """(name, text) of "a=1,b=2"."""
    seen: set[str] = set()
    for part in split(option, text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name.isidentifier():
            raise ValueError(f"{option}: {part!r} is not of the form name=value")
        if name in seen:
            raise ValueError(f"{option}: {name!r} is given twice")
        seen.add(name)
        yield name, value


def real(option: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{option}: {name}={text!r} is not a number") from None
    if math.isnan(value):
        raise ValueError(f"{option}: {name}={text} is not a number")
    return value


def parse_start(text: str) -> Iterator[tuple[str, float]]:
    for name, value in assignments("--start", text):
        start = real("--start", name, value)
        if math.isinf(start):
            raise ValueError(f"--start: {name}={value} is not finite")
        yield name, start


def parse_bounds(text: str) -> Iterator[tuple[str, tuple[float, float]]]:
    for name, value in assignments("--bounds", text):
        low, colon, high = value.partition(":")
        if not colon:
            raise ValueError(f"--bounds: {name}={value} is not of the form low:high")
        lower = real("--bounds", name, low) if low else -math.inf
        upper = real("--bounds", name, high) if high else math.inf
        if not lower < upper:
            held = f"; --fix {name} holds it at its start" if lower == upper else ""
            raise ValueError(f"--bounds: {name}={value}: the lower is not below the upper{held}")
        yield name, (lower, upper)
