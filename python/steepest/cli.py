"""The command line: `steepest` or `python -m steepest`. Each command is a module of its own."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence

from steepest import _cpu
from steepest.errors import BackendError

# Each is a module of steepest.apps, with HELP, add_arguments(parser) and main(args) -> exit status.
# Of the exceptions that main raises, FAILURES are printed here, in a line.
COMMANDS = ("demo", "bench", "info", "fit", "race", "advise")
DESCRIPTION = "Fused optimizer steps, least squares and full-batch methods on arrays."
OPTIONAL = ("matplotlib", "sklearn", "sympy")  # what steepest[demo] brings
FAILURES = (ValueError, OSError, ImportError, MemoryError, BackendError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, 2 for an error that the user can mend."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # its encoding may lack µ: print ? in its place
        sys.stdout.reconfigure(errors="replace")
    if not os.environ.get("COLUMNS", "1").strip("0"):  # 0 is "unknown"; rich would print nothing
        del os.environ["COLUMNS"]
    parser = argparse.ArgumentParser(prog="steepest", description=DESCRIPTION)
    version = _cpu.version or "(run from its tree, not installed)"
    parser.add_argument("--version", action="version", version=f"steepest {version}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        app = importlib.import_module(f"steepest.apps.{name}")
        sub = commands.add_parser(name, help=app.HELP, description=app.HELP)
        app.add_arguments(sub)
        sub.set_defaults(run=app.main)
    given = sys.argv[1:] if argv is None else argv
    words = (f" {word}" if is_value(word) else word for word in given[1:])
    args = parser.parse_args([*given[:1], *words])
    try:
        _cpu.simd_level()
    except ValueError as error:  # of STEEPEST_SIMD
        print(f"steepest: {error}", file=sys.stderr)
        return 2
    try:
        status = int(args.run(args))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has read enough; Python would flush again, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except FAILURES as error:
        print(f"steepest {args.command}: {explained(error)}", file=sys.stderr)
        return 1 if isinstance(error, BackendError) else 2


def is_value(word: str) -> bool:
    """Whether it is a number or formula with a leading minus: argparse needs a space before it."""
    return re.match("-[^-oh]", word) is not None  # -o and -h are all the short options


def explained(error: Exception) -> str:
    """What went wrong, and on which file or for want of which package."""
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] in OPTIONAL:
        return f"{error}; pip install 'steepest[demo]'"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
