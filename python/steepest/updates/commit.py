"""Several changes as one: no KeyboardInterrupt comes between them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

Change = partial[Any]  # of a function in C


def commit(changes: Iterable[Change]) -> Any:
    """Make the changes, up to the first that fails: one that returns what is wrong. Returns that.

    Python looks for Ctrl-C between bytecodes, and none of these runs until all changes are made.
    """
    return next(filter(None, map(partial.__call__, changes)), None)
