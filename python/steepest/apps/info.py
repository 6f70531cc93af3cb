"""`steepest info`: what this build and machine have."""

from __future__ import annotations

import argparse

HELP = "say what this build and machine have"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def main(args: argparse.Namespace) -> int:
    """Print the table of `steepest.info`."""
    from rich.console import Console

    from steepest.system import info

    Console().print(info(load=True))
    return 0
