"""The command line: `steepest` or `python -m steepest`. Each command is a module of its own."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from steepest import _cpu

# command -> its module, which has HELP, add_arguments(parser) and main(args) -> exit status
COMMANDS: dict[str, str] = {
    "demo": "steepest.apps.demo",
    "bench": "steepest.apps.bench",
    "info": "steepest.apps.info",
    "fit": "steepest.apps.fit",
    "race": "steepest.apps.race",
    "advise": "steepest.apps.advise",
}
DESCRIPTION = "Fused optimizer steps, least squares and full-batch methods on arrays."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="steepest", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"steepest {_cpu.version}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        app = importlib.import_module(module)
        sub = commands.add_parser(name, help=app.HELP, description=app.HELP)
        app.add_arguments(sub)
        sub.set_defaults(run=app.main)
    args = parser.parse_args(argv)
    try:
        _cpu.simd_level()
    except ValueError as error:  # of STEEPEST_SIMD
        print(f"steepest: {error}", file=sys.stderr)
        return 2
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
