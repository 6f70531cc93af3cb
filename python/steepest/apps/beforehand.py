"""What a command asks before its work, lest it fails after it."""

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
        path.resolve().unlink()  # what a link leads to, not the link
