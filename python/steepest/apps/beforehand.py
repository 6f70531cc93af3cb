"""Checks before a command's work, so that it does not fail after it."""

from __future__ import annotations

import importlib
from pathlib import Path


def check_packages(*names: str) -> None:
    """Import them; raises `ImportError`."""
    for name in names:
        importlib.import_module(name)


def check_writable(path: Path) -> None:
    """Open a file that is to be written, and leave it as it was; raises `OSError`."""
    there = path.exists()
    with path.open("ab"):
        pass
    if not there:
        path.resolve().unlink()  # not the link, but the file that it leads to
